/** How large what a split copies will be, by the share of the messages: for progress, and for nothing else. */
import { tellPhase } from '../narration.js';
import type { PreparedSplit } from './prepared-split.js';

/** The steps in which rows, and files, are copied. */
export const SPLIT_ROWS = 'rows';
export const SPLIT_FILES = 'uploaded files';

/** Bytes: each table counts for something. */
const LEAST = 8192;

/** Of one table. */
export function sizeOf({ source, messages }: Pick<PreparedSplit, 'source' | 'messages'>, table: string): number {
  const all = source.catalog.get('zerver_message')?.estimatedRows ?? 0;
  const share = all > 0 ? Math.min(1, messages / all) : 1;
  return LEAST + share * (source.catalog.get(table)?.bytes ?? 0);
}

export function tellRowsAhead(split: PreparedSplit): void {
  tellPhase(SPLIT_ROWS, 'bytes', split.rows.reduce((sum, { table }) => sum + sizeOf(split, table), 0));
}
