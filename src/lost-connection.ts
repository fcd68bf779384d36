/**
 * The errors by which connections to databases ended. By code and message they cannot be told from those of other sockets and
 * pipes, such as standard output's, so the driver's client notes them where they come from.
 */

const noted = new WeakSet<object>();

/** @param error by which a client learns that its connection ended */
export function noteLoss(error: Error): void {
  noted.add(error);
}

/** True when the error, or what caused it, ended a connection to a database: the network cut it, or the server ended the session. */
export function isLoss(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { message, cause } = error as { message?: string; cause?: unknown };
  // The message is what queries under way are told when we end their session ourselves.
  return noted.has(error) || endsSession(error) || message === 'Connection terminated' || isLoss(cause);
}

/** SQLSTATEs behind which the server ends the session: it shuts down, the database is dropped, a time limit is reached. */
const ENDING = new Set(['57P01', '57P02', '57P03', '57P04', '57P05', '25P03', '25P04']);

/** True of an error message behind which the server ends the session. Its severity is in the language of the server, hence the codes. */
export function endsSession({ severity = '', code = '' }: { severity?: string; code?: string }): boolean {
  return severity === 'FATAL' || severity === 'PANIC' || ENDING.has(code);
}
