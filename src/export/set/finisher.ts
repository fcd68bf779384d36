/**
 * A worker thread that finishes targets of a set once all rows are in the spools: writes their messages files, and when the rest
 * is there too, checks the export and writes its page. No database is needed for that.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { JournalPart } from '../../package/journal.js';
import { finishReport } from '../../report/finish-report.js';
import type { Place } from '../../report/place.js';
import { requireGood } from '../../verify/require-good.js';
import { withVerifyHere, type VerifyReport, type VerifyWorkers } from '../../verify/verify-export.js';
import { rememberChecked, sealCatchUp } from '../catch-up-file.js';
import { sendable, type SentError } from '../sent-error.js';
import { writeMessagesFiles, type TargetMessages } from './set-messages-files.js';

export interface FinisherSetup {
  readonly set: TargetMessages;
}

export interface Conclusion {
  /** Of the export, whole but for its page. */
  readonly directory: string;
  /** Its final one. */
  readonly place: Place;
  /** What whoever reads that it is not good can do; undefined: nobody asked for a check. */
  readonly hint: string | undefined;
  /** When it began, as Date.now() has it. */
  readonly began: number;
  readonly jobs: number;
}

/** What a finisher can do, with its arguments and its result. */
export interface FinisherTasks {
  /** `first`: number of the target's first messages file among those of the set. */
  messages: { arguments: { ordinal: number; first: number; directory: string }; result: JournalPart[] };
  conclude: { arguments: Conclusion; result: VerifyReport | undefined };
}

export type FinisherTask = { [Name in keyof FinisherTasks]: { readonly name: Name } & FinisherTasks[Name]['arguments'] }[keyof FinisherTasks];
export type FinisherReply = { readonly result: FinisherTasks[keyof FinisherTasks]['result'] } | { readonly error: SentError };

async function conclude({ directory, place, hint, began, jobs }: Conclusion, workers: VerifyWorkers): Promise<VerifyReport | undefined> {
  const verified = hint === undefined ? undefined : await rememberChecked(directory, (remember) => requireGood(directory, { workers, remember }, hint));
  const seconds = (Date.now() - began) / 1000;
  const times = { finished_at: new Date().toISOString(), seconds, verify_seconds: verified?.totals.seconds ?? null, jobs };
  await finishReport(directory, { verified, times, place, flushed: false });
  await sealCatchUp(directory);
  return verified;
}

const port = parentPort;
if (port !== null) {
  const { set } = workerData as FinisherSetup;
  // One after another: they share the scanner and the files for ids.
  let before: Promise<unknown> = Promise.resolve();
  void withVerifyHere((workers) => new Promise<void>((_, reject) => {
    port.on('message', (task: FinisherTask) => {
      const perform = (): Promise<unknown> => (task.name === 'messages' ? writeMessagesFiles(set, task.ordinal, task.first, task.directory) : conclude(task, workers));
      before = before.then(perform).then((result) => port.postMessage({ result }), (error: unknown) => port.postMessage({ error: sendable(error) })).catch(reject);
    });
  }));
}
