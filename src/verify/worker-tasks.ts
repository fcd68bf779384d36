/** What the main thread asks of a worker, and what it gets back. Everything here travels by postMessage. */
import type { SharedContext } from './export-context.js';
import type { IdRun } from '../ids/id-spool.js';
import type { RealmIndex } from './realm-index.js';
import type { Area } from '../package/export-files.js';
import type { RecordsResult } from './check-records.js';
import { REFERENCES } from './references.js';
import type { TableFileResult } from './check-table-file.js';
import type { CheckedFile } from './checked-files.js';
import type { ReplacedRow } from '../package/replaced-rows.js';

/** Each kind of task with its arguments and its result. */
export interface Tasks {
  /** Read realm.json or user.json for its ids. `damage` says why it cannot be read. */
  index: { arguments: { path: string; oneUser: boolean }; result: { index: RealmIndex | undefined; damage: string | undefined } };
  /** What the following tasks need to know. */
  context: { arguments: SharedContext; result: undefined };
  records: { arguments: { area: Area }; result: RecordsResult };
  /** `direct`: as readFile has it. */
  tables: { arguments: { file: string; direct: boolean }; result: TableFileResult };
  /** A messages file that was made of one that was found good before; undefined where it has to be read as if it were new. */
  mended: { arguments: { file: string; known: CheckedFile; rows: readonly ReplacedRow[] }; result: TableFileResult | undefined };
  /** Files whose content is of no concern. */
  hash: { arguments: { files: { path: string; size: number }[] }; result: HashedFile[] };
  /** A messages file that was found good before, with the ids of its messages, and with its digest where that was taken. */
  unchanged: { arguments: { path: string; size: number; ids: Float64Array; sha256: string | undefined }; result: HashedFile };
  /** The ids of all files that this worker has read. */
  finish: { arguments: undefined; result: CollectedIds };
}

export interface HashedFile {
  file: string;
  size: number;
  sha256: string;
}

export interface CollectedIds {
  messages: IdRun[];
  userMessages: IdRun[];
  references: Map<string, IdRun[]>;
}

export type TaskName = keyof Tasks;

export interface TaskMessage {
  name: TaskName;
  arguments: Tasks[TaskName]['arguments'];
}

/** What a thread may send of an error. */
export type TaskFailure = Pick<Error, 'message'> & { readonly [Name in 'code' | 'stack' | 'path' | 'syscall']?: string | undefined };

/** A failure of the system (`EACCES`, `EIO`, …) has its code; any other is a mistake of ours. */
export type TaskReply = { result: unknown } | { failure: TaskFailure };

/** References to messages that are checked over all files, by `table.key`. */
export const MESSAGE_REFERENCES = Object.entries(REFERENCES)
  .flatMap(([table, keys]) => Object.entries(keys).filter(([, target]) => target === 'message').map(([key]) => `${table}.${key}`));

/** Temporary files that each worker writes: messages, usermessages, and one for each of {@link MESSAGE_REFERENCES}. */
export const SPOOLS_PER_WORKER = 2 + MESSAGE_REFERENCES.length;

/** Whoever performs tasks: threads, or the caller's own. */
export interface TaskRunner {
  /** How many tasks can be under way at once. */
  readonly capacity: number;
  /**
   * Has any worker do the task.
   *
   * @throws RealmliftError `VERIFY_READ` when a file cannot be read, `VERIFY_FAILED` otherwise.
   */
  run<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result']>;
  /** Has every worker do the task, after those that it has already. */
  runOnAll<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result'][]>;
}
