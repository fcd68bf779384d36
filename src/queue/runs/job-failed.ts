/** What is said of a job that failed. */
import { sendable, type SentError } from '../../export/segments/sent-error.js';

export interface JobFailed {
  readonly error: SentError;
}

/** What may be told of an error: a stack names this machine's files. */
export function jobFailed(error: unknown): JobFailed {
  return { error: { ...sendable(error), stack: undefined } };
}
