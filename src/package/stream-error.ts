/** Why what was written to a reader, such as standard output, did not arrive. */
import { RealmliftError } from '../errors.js';
import { isDiskFull } from '../io-reason.js';

/** What writing to a reader that went away answers. */
const READER_GONE = new Set(['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED', 'ECONNRESET']);

/** @returns OUTPUT_CLOSED when the reader went away, which is no fault of ours; OUTPUT_FULL, OUTPUT_FAILED; any other error as it is */
export function streamError(error: unknown): unknown {
  const { code, syscall, path } = (error ?? {}) as NodeJS.ErrnoException;
  if (error instanceof RealmliftError || code === undefined) return error;
  if (READER_GONE.has(code)) return new RealmliftError('OUTPUT_CLOSED', 'package', 'the reader of the stream went away', { cause: error });
  // An error of a file names it.
  if (syscall !== 'write' || path !== undefined) return error;
  return isDiskFull(error)
    ? new RealmliftError('OUTPUT_FULL', 'package', `standard output cannot take more (${code}): what it holds is cut`, { hint: 'make room where it goes', again: true, cause: error })
    : new RealmliftError('OUTPUT_FAILED', 'package', `standard output cannot be written (${code}): what it holds is cut`, { cause: error });
}
