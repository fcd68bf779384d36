/**
 * What a database holds beside its schema: tables with rows, sequences, large objects; read in the snapshot.
 *
 * As pg_dump has it: rows of ordinary and unlogged tables and of partitions (a partitioned table itself has none), each of them
 * ONLY; of an extension's tables only those that it declares as configuration, under the condition that it gives; no rows
 * of foreign tables and materialized views. https://www.postgresql.org/docs/current/extend-extensions.html
 * On a hot standby unlogged tables and sequences have no rows and values, and cannot be read: pg_dump leaves them out there as well.
 */
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';
import { tableChanged } from '../../snapshot/table-facts.js';
import { isNameUnknown } from '../../snapshot/unqualified-names.js';
import type { CopyFormat } from '../rows/row-counter.js';

/** The rows of a table, as they are saved and found again. */
export interface TableRows {
  readonly schema: string;
  readonly name: string;
  /** What the rows are copied as; see portable-types.ts. */
  readonly format: CopyFormat;
  /** Columns with a value of their own: not those that are generated. */
  readonly columns: readonly string[];
  /** Condition that limits the rows to save, in SQL. */
  readonly condition?: string;
  /** The table to load the rows into, where a partition of that name might refuse them; see HASHED_BY_OID. */
  readonly root?: QualifiedName;
}

export interface SourceTable extends TableRows {
  /** Blocks of the table's main file; 0 where its rows cannot be addressed by block. */
  readonly blocks: number;
  /** Bytes, with what is stored out of line. */
  readonly size: number;
  /** A single integer column that is the primary key, with the range of its values. */
  readonly key?: KeyRange;
}

export interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

export interface KeyRange {
  readonly column: string;
  readonly least: bigint;
  readonly greatest: bigint;
}

export interface SequenceValue {
  readonly schema: string;
  readonly name: string;
  /** A bigint as text. */
  readonly value: string;
  readonly called: boolean;
}

/**
 * Partitioned tables whose partitions are told by a hash of something that is another value in another database, as that of an
 * enum is, which is hashed by its OID. Their rows find their partition anew. pg_dump 11 and later do the same.
 */
const HASHED_BY_OID = `
  SELECT partrelid FROM pg_partitioned_table p
  WHERE partstrat = 'h' AND (0 = ANY (partattrs) OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = partrelid AND attnum = ANY (partattrs) AND atttypid >= 10000))`;

const EXTENSION_TABLES = `
  WITH extension AS (
    SELECT d.objid, e.extconfig, e.extcondition FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  )`;

/** Of a class, whether it is in a schema of users. */
const OF_USERS = `c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

const UNREADABLE = `(c.relpersistence = 'u' AND pg_is_in_recovery())`;

const SAVED = `c.relkind = 'r' AND ${OF_USERS} AND NOT ${UNREADABLE} AND (e.objid IS NULL OR c.oid = ANY (e.extconfig))`;

/** Without their sizes, for which the server would wait for somebody who changes one. Rights are not those of the snapshot: of what was dropped since, null. */
const TABLES_TO_HOLD = `${EXTENSION_TABLES}
  SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, coalesce(has_table_privilege(c.oid, 'SELECT'), true) AS readable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN extension e ON e.objid = c.oid
  WHERE ${SAVED} ORDER BY n.nspname, c.relname`;

const TABLES = `${EXTENSION_TABLES}
  SELECT n.nspname AS schema, c.relname AS name, x.condition, pg_table_size(c.oid)::text AS size,
         -- Only heap tables are known to answer conditions on ctid by reading the blocks in question.
         CASE WHEN a.amname = 'heap' THEN (pg_relation_size(c.oid) / current_setting('block_size')::int)::text ELSE '0' END AS blocks,
         -- In the order of the table that the rows will be loaded into.
         (SELECT coalesce(json_agg(json_build_object('name', attname, 'type', atttypid::bigint) ORDER BY attnum), '[]')
          FROM pg_attribute WHERE attrelid = coalesce(r.oid, c.oid) AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns,
         CASE WHEN r.oid IS NOT NULL THEN json_build_object('schema', r.relnamespace::regnamespace::name, 'name', r.relname) END AS root,
         (SELECT k.attname FROM pg_index i JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = i.indkey[0]
          WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnatts = 1 AND k.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)) AS key
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
       LEFT JOIN extension e ON e.objid = c.oid
       LEFT JOIN LATERAL (SELECT a.relid FROM pg_partition_ancestors(c.oid) WITH ORDINALITY a (relid, n) WHERE a.relid IN (${HASHED_BY_OID}) ORDER BY n DESC LIMIT 1) h ON true
       LEFT JOIN pg_class r ON r.oid = h.relid,
       LATERAL (SELECT nullif(e.extcondition[array_position(e.extconfig, c.oid)], '') AS condition) x
  WHERE ${SAVED} ORDER BY n.nspname, c.relname`;

const SEQUENCES = `
  SELECT n.nspname AS schema, c.relname AS name, has_sequence_privilege(c.oid, 'SELECT') AS readable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
       LEFT JOIN pg_extension e ON e.oid = d.refobjid
  WHERE c.relkind = 'S' AND ${OF_USERS} AND NOT ${UNREADABLE} AND (e.oid IS NULL OR c.oid = ANY (e.extconfig))
  ORDER BY n.nspname, c.relname`;

const UNLOGGED = `${EXTENSION_TABLES}
  SELECT n.nspname AS schema, c.relname AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN extension e ON e.objid = c.oid
  WHERE c.relkind IN ('r', 'S') AND ${OF_USERS} AND ${UNREADABLE} AND (e.objid IS NULL OR c.oid = ANY (e.extconfig))
  ORDER BY n.nspname, c.relname`;

interface TableRow {
  readonly schema: string;
  readonly name: string;
  readonly condition: string | null;
  readonly size: string;
  readonly blocks: string;
  readonly columns: readonly { readonly name: string; readonly type: number }[];
  readonly root: QualifiedName | null;
  readonly key: string | null;
}

/**
 * Tables with rows to save, which the session holds.
 *
 * @param isPortable whether a type's binary form means the same in another database
 */
export async function sourceTables(client: pg.Client, serverVersion: number, isPortable: (type: number) => boolean): Promise<SourceTable[]> {
  const { rows } = await client.query<TableRow>(TABLES);
  const out: SourceTable[] = [];
  for (const { schema, name, condition, size, blocks, columns, root, key } of rows) {
    const common = {
      schema, name, columns: columns.map((column) => column.name), size: Number(size), ...(condition === null ? {} : { condition }), ...(root === null ? {} : { root }),
      format: columns.every(({ type }) => isPortable(type)) ? 'binary' : 'text',
    } as const;
    const range = serverVersion < TID_RANGE_SCAN && key !== null ? await keyRange(client, common, key) : undefined;
    out.push({ ...common, blocks: serverVersion < TID_RANGE_SCAN ? 0 : Number(blocks), ...(range === undefined ? {} : { key: range }) });
  }
  return out;
}

/** The server whose planner reads only the blocks that a range of ctid names; older ones would read the table once for each range. */
const TID_RANGE_SCAN = 140000;

async function keyRange(client: pg.Client, table: QualifiedName, column: string): Promise<KeyRange | undefined> {
  const key = client.escapeIdentifier(column);
  const { rows: [row] } = await client.query<{ least: string | null; greatest: string | null }>(`SELECT min(${key})::text AS least, max(${key})::text AS greatest FROM ONLY ${qualified(client, table)}`);
  const { least = null, greatest = null } = row ?? {};
  return least === null || greatest === null ? undefined : { column, least: BigInt(least), greatest: BigInt(greatest) };
}

/** OIDs of the tables with rows to save. @throws RealmliftError RIGHT_MISSING when not all of them may be read */
export async function tablesToHold(client: pg.Client): Promise<number[]> {
  const { rows } = await client.query<QualifiedName & { oid: number; readable: boolean }>(TABLES_TO_HOLD);
  refuseUnreadable(rows, 'tables');
  return rows.map(({ oid }) => oid);
}

/** Unlogged tables and sequences of which a hot standby has nothing but the definition; none on a primary. */
export async function unloggedOnStandby(client: pg.Client): Promise<QualifiedName[]> {
  return (await client.query<QualifiedName & pg.QueryResultRow>(UNLOGGED)).rows;
}

/**
 * Where each sequence stands. Sequences know no snapshots: as with pg_dump, a value may be later than the rows, never earlier. They know no
 * locks either that would keep others from dropping one: the sooner after the snapshot, the better.
 *
 * @throws RealmliftError RIGHT_MISSING; TABLE_CHANGED of one that was dropped or renamed since the snapshot
 */
export async function sequenceValues(client: pg.Client): Promise<SequenceValue[]> {
  const { rows } = await client.query<{ schema: string; name: string; readable: boolean | null }>(SEQUENCES);
  const gone = rows.find(({ readable }) => readable === null);
  if (gone !== undefined) throw tableChanged(`${gone.schema}.${gone.name}`, 'was dropped', false);
  refuseUnreadable(rows, 'sequences');
  const out: SequenceValue[] = [];
  for (let at = 0; at < rows.length; at += SEQUENCES_AT_ONCE) {
    const batch = rows.slice(at, at + SEQUENCES_AT_ONCE);
    const select = batch.map((sequence, n) => `SELECT ${n} AS n, last_value::text AS value, is_called AS called FROM ${qualified(client, sequence)}`).join(' UNION ALL ');
    const { rows: values } = await client.query<{ n: number; value: string; called: boolean }>(`${select} ORDER BY n`).catch((error: unknown) => {
      throw isNameUnknown(error) ? tableChanged(/"([^"]+)"/.exec((error as Error).message)?.[1] ?? 'a sequence', 'was dropped or renamed', false) : error;
    });
    for (const { n, value, called } of values) out.push({ schema: batch[n]?.schema as string, name: batch[n]?.name as string, value, called });
  }
  return out;
}

const SEQUENCES_AT_ONCE = 200;

/** `"schema"."name"`. */
export function qualified(client: pg.Client, { schema, name }: QualifiedName): string {
  return `${client.escapeIdentifier(schema)}.${client.escapeIdentifier(name)}`;
}

function refuseUnreadable(rows: readonly (QualifiedName & { readonly readable: boolean | null })[], what: string): void {
  const refused = rows.filter(({ readable }) => !readable).map(({ schema, name }) => `${schema}.${name}`);
  if (refused.length === 0) return;
  throw new RealmliftError('RIGHT_MISSING', 'backup', `the role may not read ${refused.length} ${what}, the first of them ${refused.slice(0, 3).join(', ')}`, {
    hint: 'the whole database is asked for: use its owner, a superuser, or (PostgreSQL 14) GRANT pg_read_all_data TO the role',
  });
}
