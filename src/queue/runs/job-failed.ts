/** What is said of a job that failed. */
import { EXIT } from '../../errors.js';
import { sendable, type SentError } from '../../export/segments/sent-error.js';
import { count, flag, nullable, objectOf, optional, text, type Shape } from './shape.js';

export interface JobFailed {
  readonly error: SentError;
}

/** An error as it comes out of the queue, which never ends a run as if all were well. */
export const SENT_ERROR = objectOf<SentError>({
  code: (value) => typeof value === 'string' && /^[A-Z][A-Z0-9_]*$/.test(value), stage: text, message: text, table: optional(text), hint: optional(text), again: flag,
  exit: (value) => value !== EXIT.done && Object.values<unknown>(EXIT).includes(value), stack: (value) => value === undefined, realmId: optional(nullable(count)),
});

export const isJobFailed: Shape = objectOf<JobFailed>({ error: SENT_ERROR });

/** What may be told of an error: a stack names this machine's files. */
export function jobFailed(error: unknown): JobFailed {
  return { error: { ...sendable(error), stack: undefined } };
}
