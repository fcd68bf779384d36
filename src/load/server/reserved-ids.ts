/**
 * Ids taken from the new server's sequences, so that nobody who writes at the same time gets one of them. They are asked for one by one,
 * as an INSERT would, and so have gaps where somebody else took one meanwhile; nothing is locked.
 */
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';
import type { NewIds } from '../../remap/assignment.js';
import type { IdRange, LoadJournal } from './load-journal.js';
import { qualify, type TargetTables } from './target-tables.js';

/**
 * Takes so many ids of each table and notes them.
 *
 * @param counts rows by the table that owns the ids
 * @throws RealmliftError NO_SEQUENCE
 */
export async function reserveIds(client: pg.Client, journal: LoadJournal, tables: TargetTables, counts: ReadonlyMap<string, number>): Promise<void> {
  await journal.step(client, 'ids', async () => {
    for (const [table, count] of counts) {
      if (count === 0) continue;
      for (const range of await takeIds(client, tables, table, count)) await journal.addIds(client, range);
    }
  });
}

/** @throws RealmliftError NO_SEQUENCE */
export async function takeIds(client: pg.Client, tables: TargetTables, table: string, count: number): Promise<IdRange[]> {
  const sequence = tables.sequences.get(table);
  if (sequence === undefined) throw new RealmliftError('NO_SEQUENCE', 'load', 'the new server has no sequence for its ids', { table });
  await passRows(client, tables, table, sequence);
  // Without a gap, the id less its number among those that are taken stays the same.
  const { rows } = await client.query<{ first: number; count: number }>(`
    SELECT min(id)::float8 AS first, count(*)::float8 AS count
    FROM (SELECT nextval($1::regclass) AS id, n FROM generate_series(1, $2::bigint) AS n) AS taken GROUP BY id - n ORDER BY 1`, [sequence, count]);
  return rows.map((range) => ({ table, ...range }));
}

/** A sequence that stands below its table's rows, as after a careless restore, would give out ids that are taken. */
async function passRows(client: pg.Client, tables: TargetTables, table: string, sequence: string): Promise<void> {
  await client.query(`
    SELECT setval($1::regclass, highest) FROM (SELECT max(id) AS highest FROM ${qualify(client, tables.schema, table)}) AS rows
    WHERE highest > coalesce(pg_sequence_last_value($1::regclass), 0)`, [sequence]);
}

/** The ids of a load's ranges, numbered in the order in which they were taken. */
export class ReservedIds implements NewIds {
  readonly #ranges = new Map<string, { readonly first: number; readonly before: number; readonly count: number }[]>();
  readonly #limit: (table: string) => number;

  /** @param limit the highest id that the table's column can hold */
  constructor(ranges: readonly IdRange[], limit: (table: string) => number) {
    for (const { table, first, count } of ranges) {
      const of = this.#ranges.get(table) ?? [];
      this.#ranges.set(table, of);
      const last = of.at(-1);
      of.push({ first, count, before: last === undefined ? 0 : last.before + last.count });
    }
    this.#limit = limit;
  }

  base(table: string): number {
    return (this.#ranges.get(table)?.[0]?.first ?? 1) - 1;
  }

  nth(table: string, n: number): number {
    const ranges = this.#ranges.get(table) ?? [];
    let [low, high] = [0, ranges.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((ranges[middle]?.before ?? 0) < n) low = middle;
      else high = middle - 1;
    }
    const range = ranges[low];
    if (range === undefined || n > range.before + range.count) throw new RealmliftError('EXPORT_CHANGED', 'load', 'the export has more rows than ids were taken for', { table, hint: 'it was changed since the load began: remove what was loaded with --undo' });
    return range.first + n - range.before - 1;
  }

  limit(table: string): number {
    return this.#limit(table);
  }
}
