/** What a server's refusal means for a load. A violated constraint's detail would quote the row, so only its name is told. */
import { EXIT, RealmliftError, serverReason } from '../errors.js';

/** @param where the table or the step, for the message */
export function loadFault(error: unknown, where: string): unknown {
  if (error instanceof RealmliftError) return error;
  const { code, message = '', constraint } = (error ?? {}) as { code?: string; message?: string; constraint?: string };
  const table = where.startsWith('zerver_') || where.startsWith('analytics_') ? where : undefined;
  if (code === undefined || !/^[0-9A-Z]{5}$/.test(code)) {
    if (!/connection|ECONN|EPIPE|terminated|timeout/i.test(`${code ?? ''} ${message}`)) return error;
    return new RealmliftError('CONNECTION_LOST', 'load', `the connection to the new server was lost (${message.split('\n')[0] ?? ''})`, { table, cause: error });
  }
  const reason = constraint === undefined ? serverReason(code, message) : `SQLSTATE ${code}: the constraint ${constraint} is violated`;
  switch (code) {
    case '42501':
      return new RealmliftError('RIGHT_MISSING', 'load', `the role may not do this on the new server (${reason})`, { table, hint: 'load as the role that Zulip itself uses', exit: EXIT.nothingExported, cause: error });
    case '25006':
      return new RealmliftError('TARGET_READ_ONLY', 'load', `the new server does not take writes (${reason})`, { hint: 'name the primary with --target-url', cause: error });
    case '53100':
      return new RealmliftError('TARGET_FULL', 'load', `the new server's disk is full (${reason})`, { table, hint: 'make room there', cause: error });
    case '57P01': case '57P02': case '57P03': case '08006': case '08003':
      return new RealmliftError('CONNECTION_LOST', 'load', `the connection to the new server was lost (${reason})`, { table, cause: error });
    default:
      return new RealmliftError('ROWS_REFUSED', 'load', `the new server refuses ${table === undefined ? `the step "${where}"` : 'the rows'} (${reason})`, { table, cause: error });
  }
}
