/** What a server's refusal means for whoever fills a database there. A violated constraint's detail would quote the row, so only its name is told. */
import { EXIT, RealmliftError, serverReason } from '../errors.js';
import { isLoss } from '../lost-connection.js';

/** The role that has all rights that it takes. */
const ROLES = { load: 'load as the role that Zulip itself uses', split: 'split as the owner of the database' } as const;

/** @param where the table or the step, for the message */
export function targetFault(error: unknown, where: string, stage: keyof typeof ROLES): unknown {
  if (error instanceof RealmliftError) return error;
  const { code, severity, message = '', constraint } = (error ?? {}) as { code?: string; severity?: string; message?: string; constraint?: string };
  const table = where.startsWith('zerver_') || where.startsWith('analytics_') ? where : undefined;
  // A SQLSTATE comes with a severity; the codes of a broken socket do not.
  const refused = code !== undefined && severity !== undefined;
  if (isLoss(error)) return new RealmliftError('CONNECTION_LOST', stage, `the connection to the new server was lost (${refused ? serverReason(code, message) : message})`, { table, again: true, cause: error });
  if (!refused) return error;
  const reason = constraint === undefined ? serverReason(code, message) : `SQLSTATE ${code}: the constraint ${constraint} is violated`;
  switch (code) {
    case '42501':
      return new RealmliftError('RIGHT_MISSING', stage, `the role may not do this on the new server (${reason})`, { table, hint: ROLES[stage], exit: EXIT.nothingExported, cause: error });
    case '25006':
      return new RealmliftError('TARGET_READ_ONLY', stage, `the new server does not take writes (${reason})`, { hint: 'name the primary with --target-url', cause: error });
    case '53100':
      return new RealmliftError('TARGET_FULL', stage, `the new server's disk is full (${reason})`, { table, hint: 'make room there', again: true, cause: error });
    case '40P01':
      return new RealmliftError('LOCK_TIMEOUT', stage, 'the server ended a deadlock with another session by ending our transaction', { table, hint: 'let that session end', again: true, cause: error });
    default:
      return new RealmliftError('ROWS_REFUSED', stage, `the new server refuses ${table === undefined ? `the step "${where}"` : 'the rows'} (${reason})`, { table, cause: error });
  }
}

/** The same of a load whose sessions may have been cut because it was stopped: then that is what it ended by. */
export function stoppedFault(error: unknown, stop: AbortSignal, where: string): unknown {
  return stop.aborted && isLoss(error) ? stop.reason : targetFault(error, where, 'load');
}
