/** The unique indexes of the new server, as its catalog knows them, and the rows of an export as they would meet them. */
import type pg from 'pg';
import { serverReason } from '../errors.js';
import { RowFields } from '../json/row-fields.js';
import type { TableFile } from '../pipe/table-file.js';
import type { Catalog } from '../plan/views/catalog.js';
import { keyOf } from '../plan/plan-tables.js';
import type { Registry } from '../plan/views/registry.js';
import type { TargetServer } from '../remap/target-server.js';
import { STAYS } from './row-values.js';
import { timestamp } from '../timestamp.js';

export interface UniqueIndex {
  readonly table: string;
  readonly name: string;
  /** SQL of each key, in the table's columns. */
  readonly keys: readonly string[];
  /** The same where all are plain columns. */
  readonly plain: readonly string[] | undefined;
  readonly predicate: string | null;
  /** All columns that keys and predicate read. */
  readonly columns: readonly string[];
  /** Those that the keys read. */
  readonly compared: readonly string[];
  readonly nullsDistinct: boolean;
}

/** What the import makes itself, so that no exported value can be in the way: a client by its name, keys, hashes, the subdomain. */
const MADE_ANEW: Readonly<Record<string, readonly string[]>> = {
  zerver_client: ['name'], zerver_huddle: ['huddle_hash'], zerver_realm: ['string_id'], zerver_userprofile: ['api_key'],
};
/** pg_type's OID of timestamptz, which exports write as seconds. */
const TIMESTAMP = 1184;

/** A row that has every column of the index. */
export interface ShownRow {
  readonly id: number;
  /** The exported JSON of the columns, by UniqueIndex.plain; undefined where the keys are expressions. */
  readonly plain: readonly string[] | undefined;
  /** An object of all columns, as jsonb_populate_record takes it. */
  readonly shown: () => string;
}

/**
 * Asks `fault` of one index after another, up to the first that has one.
 * @param client in the transaction in which the new server was read
 * @returns what `fault` found, or that the new server cannot read the rows
 */
export async function firstFault(client: pg.Client, files: readonly TableFile[], registry: Registry, { schema, catalog }: TargetServer, fault: (index: UniqueIndex, rows: () => Iterable<ShownRow>) => Promise<string | undefined>): Promise<string | undefined> {
  // Rows of mirror dummies become users.
  const sources = new Map<string, [TableFile, string][]>();
  for (const file of files) {
    for (const name of file.tables) {
      const table = registry.tables.get(name)?.table ?? name;
      if (!STAYS.has(name)) sources.set(table, [...sources.get(table) ?? [], [file, name]]);
    }
  }
  for (const index of await readIndexes(client, schema, [...sources.keys()])) {
    await client.query('SAVEPOINT one_index');
    const found = await fault(index, () => rowsOf(index, sources.get(index.table) ?? [], registry, catalog)).catch(async (error: unknown) => {
      const { code, severity, message } = error as { code?: string; severity?: string; message: string };
      if (severity === undefined || code === undefined) throw error;
      await client.query('ROLLBACK TO SAVEPOINT one_index');
      return `${index.table}: the new server cannot read its rows for ${index.name} (${serverReason(code, message)})`;
    });
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Those of `tables` whose values the import does not make itself. */
async function readIndexes(client: pg.Client, schema: string, tables: readonly string[]): Promise<UniqueIndex[]> {
  const { rows } = await client.query<{ table: string; name: string; keys: string[]; plain: (string | null)[]; predicate: string | null; columns: string[]; compared: string[]; nullsDistinct: boolean }>(`
    SELECT t.relname::text AS table, i.relname::text AS name, pg_get_expr(x.indpred, x.indrelid) AS predicate,
      ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, false) FROM generate_series(1, x.indnkeyatts) k ORDER BY k) AS keys,
      ARRAY(SELECT (SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum = x.indkey[k - 1]) FROM generate_series(1, x.indnkeyatts) k ORDER BY k) AS plain,
      ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum > 0 AND (a.attnum = ANY (x.indkey) OR EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum))) AS columns,
      ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum > 0 AND (a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1]) OR a.attnum IN (
        SELECT var[1]::int FROM regexp_matches(x.indexprs::text, ':varattno ([0-9]+)', 'g') AS var))) AS compared,
      coalesce((to_jsonb(x)->>'indnullsnotdistinct')::bool, false) = false AS "nullsDistinct"
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE x.indisunique AND n.nspname = $1 AND t.relname = ANY ($2)
    ORDER BY 1, 2`, [schema, tables]);
  return rows.map(({ plain, ...index }) => ({ ...index, plain: plain.includes(null) ? undefined : plain as string[] }))
    .filter(({ table, plain, columns }) => plain?.join() !== 'id' && !columns.some((column) => MADE_ANEW[table]?.includes(column)));
}

function* rowsOf(index: UniqueIndex, sources: readonly (readonly [TableFile, string])[], registry: Registry, catalog: Catalog): Generator<ShownRow> {
  const types = catalog.get(index.table)?.columns;
  const fields = new RowFields();
  for (const [file, name] of sources) {
    const view = registry.tables.get(name);
    const keys = index.columns.map((column) => (view === undefined ? column : keyOf(column, { view }, registry, catalog)));
    for (const row of file.rows(name)) {
      fields.split(row);
      const places = keys.map((key) => fields.find(key));
      // Columns that exports leave out are made by the import, each another.
      if (places.includes(-1)) break;
      const value = (at: number): string => fields.bytes(places[at] as number).toString('utf8');
      yield {
        id: fields.integerOf('id'),
        plain: index.plain?.map((column) => value(index.columns.indexOf(column))),
        shown: () => `{${index.columns.map((column, at) => `${JSON.stringify(column)}:${types?.get(column)?.type === TIMESTAMP ? asTimestamp(value(at)) : value(at)}`).join()}}`,
      };
    }
  }
}

function asTimestamp(seconds: string): string {
  return seconds === 'null' ? 'null' : JSON.stringify(timestamp(Number(seconds)));
}
