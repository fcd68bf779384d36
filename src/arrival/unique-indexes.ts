/**
 * Rows of which a unique index of the new server would refuse one. The target's catalog knows the indexes: what a plain index
 * compares is compared here, byte for byte; expressions and conditions (channels whose names differ by case, counts without a
 * subgroup) are computed by the new server itself, from rows that it is shown and does not keep.
 *
 * Equal keys are found by a hash of 53 bits that goes to sorted files, so memory stays as reactions grow.
 */
import type pg from 'pg';
import type { TableFile } from '../pipe/table-file.js';
import type { Registry } from '../plan/views/registry.js';
import type { TargetServer } from '../remap/target-server.js';
import { findRepeated, IdSpool, mergeRuns } from '../ids/id-spool.js';
import { pathId } from '../ids/id-table.js';
import { withTemporaryFiles } from '../ids/temporary-files.js';
import { firstFault, type ShownRow, type UniqueIndex } from './index-rows.js';
import { FaultyRows } from './row-faults.js';

/** Rows that the new server is shown at once. */
export const BATCH = 1000;

/**
 * The first fault, or undefined.
 * @param client in the transaction in which the new server was read
 */
export async function uniqueFault(client: pg.Client, files: readonly TableFile[], registry: Registry, target: TargetServer): Promise<string | undefined> {
  return firstFault(client, files, registry, target, (index, rows) => repeated(index, () => keysOf(client, index, rows())));
}

interface KeyedRow {
  readonly id: number;
  readonly hash: number;
}

/** The key of each row to which the index applies and that has a value in each place. */
async function* keysOf(client: pg.Client, index: UniqueIndex, rows: Iterable<ShownRow>): AsyncGenerator<KeyedRow> {
  const show = shower(client, index);
  let batch: { readonly id: number; readonly local: string; readonly shown: string }[] = [];
  const flush = async function* (): AsyncGenerator<KeyedRow> {
    const computed = show === undefined ? undefined : await show(batch.map(({ shown }) => shown));
    for (const [at, { id, local }] of batch.entries()) {
      const key = computed === undefined ? local : computed[at];
      // Of a plain index with a condition the server says only whether it applies.
      if (key !== undefined) yield { id, hash: pathId(index.plain === undefined ? key : local) };
    }
    batch = [];
  };
  for (const { id, plain = [], shown } of rows) {
    if (index.nullsDistinct && plain.includes('null')) continue;
    batch.push({ id, local: plain.join('\0'), shown: show === undefined ? '' : shown() });
    if (batch.length === BATCH) yield* flush();
  }
  yield* flush();
}

/** Asks the new server for the keys of rows; undefined for those to which the index does not apply. Undefined when it need not be asked. */
function shower(client: pg.Client, { table, keys, plain, predicate, nullsDistinct }: UniqueIndex): ((rows: readonly string[]) => Promise<(string | undefined)[]>) | undefined {
  if (plain !== undefined && predicate === null) return undefined;
  const compared = keys.map((key) => `(${key})::text`).join(', ');
  const name = client.escapeIdentifier(table);
  const sql = `
    SELECT CASE WHEN ${predicate ?? 'true'} AND ${nullsDistinct ? `num_nulls(${compared}) = 0` : 'true'} THEN ARRAY[${compared}]::text END AS key
    FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS shown (json_row, place), jsonb_populate_record(NULL::${name}, json_row) AS ${name}
    ORDER BY place`;
  return async (rows) => (await client.query<{ key: string | null }>(sql, [`[${rows.join()}]`])).rows.map(({ key }) => key ?? undefined);
}

/** The rows are read twice: for what is there more than once, and, rarely, for whose that is. */
async function repeated(index: UniqueIndex, rows: () => AsyncIterable<KeyedRow>): Promise<string | undefined> {
  const twice = new Set<number>();
  await withTemporaryFiles(async (open) => {
    const [keys, scratch] = open(2).map((fd) => new IdSpool(fd)) as [IdSpool, IdSpool];
    for await (const { hash } of rows()) keys.add(hash);
    findRepeated(mergeRuns(keys.finish(), scratch), (hash) => { if (twice.size < BATCH) twice.add(hash); });
  });
  if (twice.size === 0) return undefined;
  const faulty = new FaultyRows();
  for await (const { id, hash } of rows()) if (twice.has(hash)) faulty.add(id);
  return faulty.told(index.table, `they have the same ${index.keys.join(', ')}, which the new server's index ${index.name} forbids`);
}
