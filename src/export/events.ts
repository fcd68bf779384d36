/** What an export tells while it works: progress for people, parts for the journal, losses for the ledger. */
import type { FileEvent } from '../files/file-events.js';
import type { JournalPart } from '../package/journal.js';

export type ExportEvent = { readonly target: string } & (
  /** `resumed`: an earlier run's parts are kept, as they are where the snapshot is the same. */
  | { readonly kind: 'started'; readonly resumed: 'not' | 'same snapshot' | 'new snapshot' }
  /** The plan's counts: what progress is measured against. */
  | { readonly kind: 'planned'; readonly messages: number; readonly messageFiles: number }
  | { readonly kind: 'progress'; readonly table: string; readonly rows: number; readonly bytes: number }
  /** `kept`: an earlier run had finished it. */
  | { readonly kind: 'part'; readonly part: JournalPart; readonly kept: boolean }
  | { readonly kind: 'file'; readonly event: FileEvent }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'packaging' }
  | { readonly kind: 'verifying' }
  | { readonly kind: 'finished'; readonly directory: string }
);
