/**
 * Rows that a unique index of the new server would refuse. The target's catalog knows the indexes: what a plain index compares
 * is compared here, byte for byte; expressions and conditions (channels whose names differ by case, counts without a subgroup)
 * are computed by the new server itself, from rows that it is shown and does not keep.
 *
 * Equal keys are found by a hash of 53 bits that goes to sorted files, so memory stays as reactions grow.
 */
import type pg from 'pg';
import { serverReason } from '../errors.js';
import type { Catalog } from '../plan/catalog.js';
import { keyOf } from '../plan/plan-tables.js';
import type { Registry } from '../plan/registry.js';
import { RowFields } from '../pipe/row-fields.js';
import type { TableFile } from '../pipe/table-file.js';
import type { TargetServer } from '../remap/target-server.js';
import { findRepeated, IdSpool, mergeRuns } from '../verify/id-spool.js';
import { pathId } from '../verify/id-table.js';
import { withTemporaryFiles } from '../verify/temporary-files.js';
import { FaultyRows } from './row-faults.js';

interface UniqueIndex {
  readonly table: string;
  readonly name: string;
  /** SQL of each key, in the table's columns. */
  readonly keys: readonly string[];
  /** The same where all are plain columns. */
  readonly plain: readonly string[] | undefined;
  readonly predicate: string | null;
  /** All columns that keys and predicate read. */
  readonly columns: readonly string[];
  readonly nullsDistinct: boolean;
}

/** What the import makes itself, so that no exported value can be in the way: a client by its name, keys, hashes, the subdomain. */
const MADE_ANEW: Readonly<Record<string, readonly string[]>> = {
  zerver_client: ['name'], zerver_huddle: ['huddle_hash'], zerver_realm: ['string_id'], zerver_userprofile: ['api_key', 'uuid'],
};
/** Exported, and not imported. */
const STAYS = new Set(['zerver_analytics', 'zerver_realmexport', 'zerver_userprofile_crossrealm']);

/** Rows that the new server is shown at once. */
const BATCH = 1000;
/** pg_type's OID of timestamptz, which exports write as seconds. */
const TIMESTAMP = 1184;

/**
 * The first fault, or undefined.
 * @param client in the transaction in which the new server was read
 */
export async function uniqueFault(client: pg.Client, files: readonly TableFile[], registry: Registry, { schema, catalog }: TargetServer): Promise<string | undefined> {
  // Rows of mirror dummies become users.
  const sources = new Map<string, [TableFile, string][]>();
  for (const file of files) {
    for (const name of file.tables) {
      const table = registry.tables.get(name)?.table ?? name;
      if (!STAYS.has(name)) sources.set(table, [...sources.get(table) ?? [], [file, name]]);
    }
  }
  for (const index of await readIndexes(client, schema, [...sources.keys()])) {
    const rows = (): AsyncIterable<KeyedRow> => keysOf(client, index, sources.get(index.table) ?? [], registry, catalog);
    const fault = await repeated(index, rows).catch((error: unknown) => {
      const { code, severity, message } = error as { code?: string; severity?: string; message: string };
      if (severity === undefined || code === undefined) throw error;
      return `${index.table}: the new server cannot read its rows for ${index.name} (${serverReason(code, message)})`;
    });
    if (fault !== undefined) return fault;
  }
  return undefined;
}

async function readIndexes(client: pg.Client, schema: string, tables: readonly string[]): Promise<UniqueIndex[]> {
  const { rows } = await client.query<{ table: string; name: string; keys: string[]; plain: (string | null)[]; predicate: string | null; columns: string[]; nullsDistinct: boolean }>(`
    SELECT t.relname::text AS table, i.relname::text AS name, pg_get_expr(x.indpred, x.indrelid) AS predicate,
      ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, false) FROM generate_series(1, x.indnkeyatts) k ORDER BY k) AS keys,
      ARRAY(SELECT (SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum = x.indkey[k - 1]) FROM generate_series(1, x.indnkeyatts) k ORDER BY k) AS plain,
      ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum > 0 AND (a.attnum = ANY (x.indkey) OR EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum))) AS columns,
      coalesce((to_jsonb(x)->>'indnullsnotdistinct')::bool, false) = false AS "nullsDistinct"
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE x.indisunique AND n.nspname = $1 AND t.relname = ANY ($2)
    ORDER BY 1, 2`, [schema, tables]);
  return rows.map(({ plain, ...index }) => ({ ...index, plain: plain.includes(null) ? undefined : plain as string[] }))
    .filter(({ table, plain, columns }) => plain?.join() !== 'id' && !columns.some((column) => MADE_ANEW[table]?.includes(column)));
}

interface KeyedRow {
  readonly id: number;
  readonly hash: number;
}

/** The key of each row to which the index applies and that has a value in each place. */
async function* keysOf(client: pg.Client, index: UniqueIndex, sources: readonly (readonly [TableFile, string])[], registry: Registry, catalog: Catalog): AsyncGenerator<KeyedRow> {
  const types = catalog.get(index.table)?.columns;
  const fields = new RowFields();
  for (const [file, name] of sources) {
    const view = registry.tables.get(name);
    const keys = index.columns.map((column) => (view === undefined ? column : keyOf(column, { view }, registry, catalog)));
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
    for (const row of file.rows(name)) {
      fields.split(row);
      const places = keys.map((key) => fields.find(key));
      // Columns that exports leave out are made by the import, each another.
      if (places.includes(-1)) break;
      const value = (at: number): string => fields.bytes(places[at] as number).toString('utf8');
      const compared = index.plain?.map((column) => value(index.columns.indexOf(column))) ?? [];
      if (index.nullsDistinct && compared.includes('null')) continue;
      const shown = show === undefined ? '' : `{${index.columns.map((column, at) => `${JSON.stringify(column)}:${types?.get(column)?.type === TIMESTAMP ? asTimestamp(value(at)) : value(at)}`).join()}}`;
      batch.push({ id: fields.integerOf('id'), local: compared.join('\0'), shown });
      if (batch.length === BATCH) yield* flush();
    }
    yield* flush();
  }
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

function asTimestamp(seconds: string): string {
  return seconds === 'null' ? 'null' : JSON.stringify(new Date(Number(seconds) * 1000).toISOString());
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
