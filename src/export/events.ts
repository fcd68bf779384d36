/** What an export tells while it works: progress for people, parts for the journal, losses for the ledger. */
import type { FileEvent } from '../files/file-events.js';
import type { JournalPart } from '../package/journal.js';
import type { LockWait } from '../snapshot/lock-watch.js';

/** Of the whole run. */
export type RunEvent =
  | { readonly kind: 'snapshot'; readonly id: string; readonly takenAt: string; /** Seconds. */ readonly age: number; /** Another session holds it. */ readonly joined: boolean }
  /** How many exports the run is to make. */
  | { readonly kind: 'targets'; readonly count: number }
  /** The snapshot is let go, for all rows are copied. */
  | { readonly kind: 'let-go' }
  /** For a lock on a table that somebody changes. */
  | { readonly kind: 'waiting' } & LockWait;

/** Of one target. */
export type TargetEvent =
  /** `resumed`: an earlier run's parts are kept, as they are where the snapshot is the same. `tables`: of each class, how many there are. */
  | { readonly kind: 'started'; readonly resumed: 'not' | 'same snapshot' | 'new snapshot'; readonly tables: Readonly<Record<string, number>> }
  /** The plan's counts: what progress is measured against. */
  | { readonly kind: 'planned'; readonly messages: number; readonly messageFiles: number }
  /** How many uploaded files and emoji the rows name, and their bytes, as far as the rows say. Avatars come on top. */
  | { readonly kind: 'files-wanted'; readonly files: number; readonly bytes: number }
  /** Rows, and bytes of COPY, that have come since the last time. */
  | { readonly kind: 'progress'; readonly table: string; readonly dataClass: string; readonly rows: number; readonly bytes: number }
  /** `kept`: an earlier run had finished it. */
  | { readonly kind: 'part'; readonly part: JournalPart; readonly dataClass: string; readonly kept: boolean }
  | { readonly kind: 'file'; readonly event: FileEvent }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'packaging' }
  | { readonly kind: 'verifying' }
  | { readonly kind: 'finished'; readonly directory: string }
  /** By an earlier run, out of a snapshot of its own (ISO 8601). */
  | { readonly kind: 'finished-before'; readonly directory: string; readonly takenAt: string }
  /** Of the finished export, what has been stored in S3 since the last time. */
  | { readonly kind: 'stored'; readonly objects: number; readonly bytes: number };

export type ExportEvent = ({ readonly target: string } & TargetEvent) | RunEvent;
