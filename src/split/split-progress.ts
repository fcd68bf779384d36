/** How large what a split copies will be, by the share of the messages: for progress, and for nothing else. */
import type pg from 'pg';
import { isNarrated, tellPhase } from '../narration.js';
import { MESSAGES, USERMESSAGES } from './split-rows.js';
import type { PreparedSplit } from './prepared-split.js';

/** The steps in which rows, and files, are copied. */
export const SPLIT_ROWS = 'rows';
export const SPLIT_FILES = 'uploaded files';

/** Bytes: each table counts for something. */
const LEAST = 8192;

type Sizes = Pick<PreparedSplit, 'source' | 'expected'>;

/** Of one table. */
export function sizeOf({ source, expected }: Sizes, table: string): number {
  const all = source.catalog.get(MESSAGES)?.estimatedRows ?? 0;
  const share = all > 0 ? Math.min(1, expected.messages / all) : 1;
  return LEAST + share * (source.catalog.get(table)?.bytes ?? 0);
}

/** Of some messages with their usermessages. */
export function sizeOfMessages(split: Sizes, count: number): number {
  return (sizeOf(split, MESSAGES) + sizeOf(split, USERMESSAGES)) * count / Math.max(1, split.expected.messages);
}

/** @param client counts the messages, where somebody wants to know */
export async function expectMessages(split: PreparedSplit, client: pg.Client): Promise<void> {
  if (!isNarrated()) return;
  for (const { ids } of split.messages) {
    const { rows: [row] } = await client.query<{ n: number }>(`SELECT count(*)::float8 AS n FROM (${ids}) AS every`);
    split.expected.messages += row?.n ?? 0;
  }
}

export function tellRows(split: PreparedSplit): void {
  tellPhase(SPLIT_ROWS, 'bytes', split.rows.reduce((sum, { table }) => sum + sizeOf(split, table), sizeOfMessages(split, split.expected.messages)));
}
