/**
 * Cuts large tables into parts, so that many sessions can read one table, and a damaged part is a small one.
 */
import type { KeyRange, SourceTable } from './source-catalog.js';

/** Bytes of table that make one part: a few seconds of work. */
const PART_SIZE = 64 * 1024 * 1024;

type Measured = Pick<SourceTable, 'size' | 'blocks' | 'key'>;

/** Quotes a name, as {@link pg.Client.escapeIdentifier} does. */
type Quote = (name: string) => string;

/**
 * The conditions that divide the table's rows, each in SQL; an empty one for a table in one part. They cover all rows, also
 * those beyond the size that the table had when it was measured.
 */
export function rangeConditions(table: Measured, quote: Quote, partSize = PART_SIZE): string[] {
  const parts = Math.ceil(table.size / partSize);
  if (parts > 1 && table.blocks > 0) return blockRanges(table.blocks, Math.min(parts, table.blocks));
  if (parts > 1 && table.key !== undefined) return keyRanges(table.key, quote, parts);
  return [''];
}

function blockRanges(blocks: number, parts: number): string[] {
  const cut = (n: number): string => `'(${Math.floor((blocks * n) / parts)},0)'::tid`;
  return ranges(parts, 'ctid', cut);
}

/** Equal steps of the key: rows may lie unevenly, but every row is in one range. */
function keyRanges({ column, least, greatest }: KeyRange, quote: Quote, parts: number): string[] {
  return ranges(parts, quote(column), (n) => String(least + ((greatest - least) * BigInt(n)) / BigInt(parts)));
}

function ranges(parts: number, what: string, cut: (n: number) => string): string[] {
  return Array.from({ length: parts }, (_, n) =>
    [...(n === 0 ? [] : [`${what} >= ${cut(n)}`]), ...(n === parts - 1 ? [] : [`${what} < ${cut(n + 1)}`])].join(' AND '));
}
