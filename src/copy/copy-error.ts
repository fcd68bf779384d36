/** What a failed COPY means to the person who runs the export. */
import { asRealmliftError, connectionLost, RealmliftError, recoveryConflict, serverReason } from '../errors.js';
import { readableName } from '../readable-name.js';

/** The fields of the server's error message that are used. */
interface ServerError {
  readonly code?: string | undefined;
  readonly message: string;
  readonly severity?: string | undefined;
}

/** SQLSTATEs of bytes that are no text, or none in UTF-8. */
const NO_TEXT = new Set(['22021', '22P05']);

/**
 * @param role whom to grant a missing right
 * @param select the query, for the schema of the table it has no right to
 */
export function copyError(cause: unknown, table: string | undefined, select: string, role: string): RealmliftError {
  if (cause instanceof RealmliftError) return cause;
  // A backend that is terminated while it waits for us to read sends no message at all, so the reason is known only at times.
  const ended = recoveryConflict(cause, 'copy', table) ?? connectionLost(cause, 'copy', table);
  if (ended !== undefined) return ended;
  const { code, message, severity } = cause as ServerError;
  // A SQLSTATE comes with a severity.
  if (severity === undefined || code === undefined) return asRealmliftError(cause, 'copy');
  if (code === '42501') {
    return new RealmliftError('RIGHT_MISSING', 'copy', `the role ${role} may not read what the export needs: ${message}`, { table, cause, hint: grant(message, table ?? '', select, role) });
  }
  if (NO_TEXT.has(code)) return new UndecodableRows(table ?? '', select, cause);
  return new RealmliftError('COPY_FAILED', 'copy', `the server could not send the rows (${serverReason(code, message)})`, { table, cause });
}

/**
 * SQLSTATE classes of what is wrong with rows: a value that cannot be had (22), a damaged page or a long value that is gone (XX), a disk
 * that does not give a page (58), a row too long (54), more rows than there may be (21). What is wrong with the server or its limits is another thing.
 */
const OF_ROWS = /^(21|22|54|58|XX)/;

/** Whether the server failed at rows that it was to read, so that it may well be able to read others. @param error its own, or what copyError made of it */
export function isOfRows(error: unknown): boolean {
  const { code, severity } = (error instanceof RealmliftError ? error.cause : error) as Partial<ServerError> | undefined ?? {};
  return severity !== undefined && OF_ROWS.test(code ?? '');
}

/** The server's refusal, with the query to ask again for its reason. */
export class UndecodableRows extends RealmliftError {
  readonly select: string;

  constructor(table: string, select: string, cause: unknown) {
    super('TEXT_NOT_UTF8', 'copy', 'a row has text that is no UTF-8', { table, cause });
    this.select = select;
  }
}

/** The GRANT that is missing, by the object that the server names: `permission denied for table x`. */
function grant(message: string, table: string, select: string, role: string): string {
  const [, kind = 'table', name = table] = /permission denied for (\w+) "?([^"\s]+)"?/.exec(message) ?? [];
  const grantee = readableName(role);
  if (kind === 'schema') return `GRANT USAGE ON SCHEMA ${readableName(name)} TO ${grantee}`;
  const schema = new RegExp(`([^\\s"().,]+)"?\\."?${name.replace(/\W/g, '\\$&')}\\b`).exec(select)?.[1];
  return `GRANT SELECT ON ${readableName(...(schema === undefined ? [] : [schema]), name)} TO ${grantee}`;
}
