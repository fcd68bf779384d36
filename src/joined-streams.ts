/** Of streams that are joined one fails first, and the others with it. */
import { RealmliftError } from './errors.js';

/** What a stream says that was ended because another one failed. */
const ECHOES = /^(?:AbortError|ERR_STREAM_PREMATURE_CLOSE|ERR_STREAM_DESTROYED)$|Premature close|closed prematurely|was destroyed/;

/**
 * Streams that are joined end each other when one fails, and then each has an error.
 * @throws of their errors one that is ours, else the first that is more than the echo of another, else the first
 */
export function throwReason(ended: readonly PromiseSettledResult<unknown>[]): void {
  const failed = ended.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
  if (failed.length > 0) throw failed.find((error) => error instanceof RealmliftError) ?? failed.find((error) => !isEcho(error)) ?? failed[0];
}

function isEcho(error: unknown): boolean {
  const { name = '', code = '', message = '' } = error as { name?: string; code?: string; message?: string };
  return [name, code, message].some((each) => ECHOES.test(each));
}
