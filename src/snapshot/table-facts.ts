/**
 * What a table is, as one session sees the catalog: read in a snapshot and again outside of it, it tells which tables have
 * changed since.
 *
 * A TRUNCATE, and an ALTER TABLE that writes a table anew, give it another file, whose rows no earlier snapshot sees: in it
 * the table is empty. VACUUM FULL and CLUSTER give it another file too, with the rows as they were.
 * https://www.postgresql.org/docs/current/mvcc-caveats.html
 */
import type pg from 'pg';
import { RealmliftError } from '../errors.js';

export interface TableFact {
  readonly oid: number;
  /** Schema and name, quoted where SQL wants it. */
  readonly name: string;
  readonly relkind: string;
  /** Of the file that holds its rows; 0 where there is none. */
  readonly file: number;
  /** Partitions and tables that inherit. */
  readonly children: readonly number[];
  /** Name -> number and type. */
  readonly columns: Readonly<Record<string, string>>;
}

const FACTS = `
  SELECT c.oid::int8::float8 AS oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind, c.relfilenode::int8::float8 AS file,
         ARRAY(SELECT i.inhrelid::int8::float8 FROM pg_inherits i WHERE i.inhparent = c.oid ORDER BY 1) AS children,
         (SELECT coalesce(json_object_agg(a.attname, a.attnum || ' ' || a.atttypid), '{}') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace`;

/** A table, or a view in its place, that has this name in a schema. */
export interface NamedTable {
  readonly oid: number;
  readonly name: string;
  readonly relkind: string;
  /** Whether the role may read the versions (xmin) of its rows, which a view does not show. */
  readonly versions: boolean;
}

/** In the order of their names. */
export async function tablesNamed(client: pg.Client, schema: string, names: readonly string[]): Promise<NamedTable[]> {
  const { rows } = await client.query<NamedTable>(`
    SELECT c.oid::int8::float8 AS oid, c.relname AS name, c.relkind, CASE WHEN c.relkind IN ('r', 'p') THEN has_column_privilege(c.oid, 'xmin', 'SELECT') ELSE false END AS versions
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = ANY ($2) ORDER BY c.relname`, [schema, names]);
  return rows;
}

/** The tables with all their partitions, and the tables that inherit from them. */
export async function factsWithChildren(client: pg.Client, roots: readonly number[]): Promise<TableFact[]> {
  const { rows } = await client.query<TableFact>(`
    WITH RECURSIVE tree AS (SELECT unnest($1::oid[]) AS oid UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid)
    ${FACTS} WHERE c.oid IN (SELECT oid FROM tree) ORDER BY n.nspname, c.relname`, [roots]);
  return rows;
}

export async function factsOf(client: pg.Client, oids: readonly number[]): Promise<TableFact[]> {
  return (await client.query<TableFact>(`${FACTS} WHERE c.oid = ANY ($1::oid[])`, [oids])).rows;
}

/** @throws RealmliftError TABLE_CHANGED */
export function tableChanged(table: string, what: string, joined: boolean): RealmliftError {
  return new RealmliftError('TABLE_CHANGED', 'snapshot', `${table} ${what} since the snapshot was taken: in the snapshot its rows cannot be read any more as they were`, {
    table: table.replace(/^.*\./, ''), hint: joined ? 'nothing was read; take a new snapshot' : 'nothing was read; run again, which takes a new snapshot',
  });
}

/** How a table differs from what the snapshot knows; undefined where it does not. */
export function difference(known: TableFact, now: TableFact | undefined): { readonly what: string; readonly fileAlone: boolean } | undefined {
  const other = (what: string): { what: string; fileAlone: boolean } => ({ what, fileAlone: false });
  if (now === undefined) return other('was dropped (or dropped and made anew)');
  if (now.name !== known.name) return other('was renamed');
  if (now.relkind !== known.relkind || now.children.join() !== known.children.join()) return other('got or lost partitions');
  const column = Object.entries(known.columns).find(([name, each]) => now.columns[name] !== each)?.[0];
  if (column !== undefined) return other('was altered (ALTER TABLE: a column was dropped, renamed or given another type)');
  return now.file === known.file ? undefined : { what: 'was emptied or written anew (TRUNCATE, ALTER TABLE)', fileAlone: true };
}

/**
 * True when the table's file, which is not the one that the snapshot knows, holds the rows that were there: it holds one of a
 * transaction that the snapshot sees as finished, which only VACUUM FULL and CLUSTER put into a new file. (COPY … FREEZE makes
 * rows that every snapshot sees, so the transaction is asked for.) On a standby VACUUM FULL may have removed what the snapshot sees.
 *
 * @param client in the snapshot, holding the table
 */
export async function keptItsRows(client: pg.Client, { oid, name }: TableFact): Promise<boolean> {
  const { rows: [may] } = await client.query<{ may: boolean }>("SELECT has_table_privilege($1::oid, 'SELECT') AND NOT pg_is_in_recovery() AS may", [oid]);
  if (may?.may !== true) return false;
  // The transaction's number lacks its upper half: it is the last one of that number before the snapshot.
  const { rows: [row] } = await client.query<{ kept: boolean }>(`
    WITH snapshot AS (SELECT txid_current_snapshot() AS taken, txid_snapshot_xmax(txid_current_snapshot()) AS until)
    SELECT EXISTS (SELECT FROM ONLY ${name} t, snapshot s
      WHERE txid_visible_in_snapshot(s.until - mod(mod(s.until - t.xmin::text::bigint, 4294967296) + 4294967296, 4294967296), s.taken)) AS kept`);
  return row?.kept === true;
}
