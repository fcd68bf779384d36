/**
 * A worker thread that finishes targets of a set once all rows are in the spools: writes their messages files, and when the rest
 * is there too, checks the export and writes its page. No database is needed for that.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { JournalPart } from '../../package/journal.js';
import { withVerifyHere, type VerifyReport } from '../../verify/verify-export.js';
import { sendable, type SentError } from '../segments/sent-error.js';
import { concludeExport, type Conclusion } from '../target/conclude-export.js';
import { writeMessagesFiles, type TargetMessages } from './set-messages-files.js';

export interface FinisherSetup {
  readonly set: TargetMessages;
}

/** What a finisher can do, with its arguments and its result. */
export interface FinisherTasks {
  /** `first`: number of the target's first messages file among those of the set. */
  messages: { arguments: { ordinal: number; first: number; directory: string }; result: JournalPart[] };
  conclude: { arguments: Conclusion & { readonly directory: string }; result: VerifyReport | undefined };
}

export type FinisherTask = { [Name in keyof FinisherTasks]: { readonly name: Name } & FinisherTasks[Name]['arguments'] }[keyof FinisherTasks];
export type FinisherReply = { readonly result: FinisherTasks[keyof FinisherTasks]['result'] } | { readonly error: SentError };

const port = parentPort;
if (port !== null) {
  const { set } = workerData as FinisherSetup;
  // One after another: they share the scanner and the files for ids.
  let before: Promise<unknown> = Promise.resolve();
  void withVerifyHere((workers) => new Promise<void>((_, reject) => {
    port.on('message', (task: FinisherTask) => {
      const perform = (): Promise<unknown> => (task.name === 'messages' ? writeMessagesFiles(set, task.ordinal, task.first, task.directory) : concludeExport(task.directory, task, { check: { workers } }));
      before = before.then(perform).then((result) => port.postMessage({ result }), (error: unknown) => port.postMessage({ error: sendable(error) })).catch(reject);
    });
  }));
}
