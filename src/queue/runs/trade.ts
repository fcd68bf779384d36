/** What a worker does for a run of one kind, an export or a backup: the seam between the jobs that it takes and what they are. */
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import type { Expected } from './expected.js';
import type { JobKind } from './runs.js';

export interface Trade {
  /** Its files, see FileStore.name; undefined where the run takes none. */
  readonly files: string | undefined;
  /** Sessions in the snapshot; 0 where it was let go before. */
  readonly threads: number;
  /** Small pieces of rows that may wait here for a session. */
  readonly ahead: number;
  /** Batches of files under way at once. */
  readonly batches: number;
  /** Why what is written here is not where the run writes. @param run its id */
  elsewhere(run: string, expected: Expected): Promise<string | undefined>;
  /** Gets ready for rows. @param settings of the very server that holds the snapshot */
  join(settings: ConnectionSettings, snapshot: Expected['snapshot']): Promise<void>;
  /** Does one job. @throws RealmliftError, and then nothing is left of it */
  do(kind: JobKind, data: object, signal: AbortSignal): Promise<Made>;
  /** The snapshot is needed no more. */
  letGo(): void;
  close(): Promise<void>;
}

/** What became of a job, until it is known whether it counts. */
export interface Made {
  /** For the coordinator. */
  readonly done: object;
  /** He has been told: what was made is his. */
  leave(): void;
  /** The job was another's by then. */
  giveUp(): Promise<void>;
}
