/** How large what a split copies will be, by the share of the messages: for progress, and for nothing else. */
import type pg from 'pg';
import { isNarrated, tellPhase } from '../narration.js';
import type { Source } from '../plan/source.js';
import { MESSAGES, USERMESSAGES, type MessageQueries, type SplitRows } from './split-rows.js';

/** The steps in which rows, and files, are copied. */
export const SPLIT_ROWS = 'rows';
export const SPLIT_FILES = 'uploaded files';

/** Bytes: each table counts for something. */
const LEAST = 8192;

interface Sizes {
  readonly source: Source;
  readonly expectedMessages: number;
}

/** Of one table. */
export function sizeOf({ source, expectedMessages }: Sizes, table: string): number {
  const all = source.catalog.get(MESSAGES)?.estimatedRows ?? 0;
  const share = all > 0 ? Math.min(1, expectedMessages / all) : 1;
  return LEAST + share * (source.catalog.get(table)?.bytes ?? 0);
}

/** Of some messages with their usermessages. */
export function sizeOfMessages(split: Sizes, count: number): number {
  return (sizeOf(split, MESSAGES) + sizeOf(split, USERMESSAGES)) * count / Math.max(1, split.expectedMessages);
}

/** How many messages travel; 0 where nobody wants to know. */
export async function countMessages(client: pg.Client, messages: readonly MessageQueries[]): Promise<number> {
  if (!isNarrated()) return 0;
  let all = 0;
  for (const { ids } of messages) {
    const { rows: [row] } = await client.query<{ n: number }>(`SELECT count(*)::float8 AS n FROM (${ids}) AS every`);
    all += row?.n ?? 0;
  }
  return all;
}

export function tellRows(split: Sizes & { readonly rows: readonly SplitRows[] }): void {
  tellPhase(SPLIT_ROWS, 'bytes', split.rows.reduce((sum, { table }) => sum + sizeOf(split, table), sizeOfMessages(split, split.expectedMessages)));
}
