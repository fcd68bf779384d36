/**
 * The live schema: which of Zulip's tables and columns this server has, their types, and what they refer to.
 * Everything that depends on the Zulip version starts here.
 */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../../errors.js';
import { atOnce } from '../../snapshot/at-once.js';
import { SCHEMAS } from '../release/applied-migrations.js';

export interface CatalogColumn {
  readonly name: string;
  /** OID of the type, domains resolved to their base type. */
  readonly type: number;
  /** Table that a single-column foreign key points to. */
  readonly references: string | undefined;
  /** Does that key hold for all rows? Not where it is NOT VALID. */
  readonly enforced: boolean;
  readonly nullable: boolean;
  /** May this role read it? */
  readonly readable: boolean;
}

export interface CatalogTable {
  readonly name: string;
  /** In the order of the table. */
  readonly columns: ReadonlyMap<string, CatalogColumn>;
  /** PostgreSQL's estimate; -1 when the table was never analysed. */
  readonly estimatedRows: number;
  /** Size on disk with TOAST, without indexes, in bytes; 0 of a table that the session does not hold, for it would wait for who changes it. */
  readonly bytes: number;
  /** Does a policy decide which of its rows this role sees? */
  readonly policed: boolean;
}

export type Catalog = ReadonlyMap<string, CatalogTable>;

/** Read by whatever asks of a realm, before the columns of other tables are looked at; every release has them. */
const CORE = ['zerver_client', 'zerver_message', 'zerver_recipient', 'zerver_stream', 'zerver_subscription', 'zerver_usermessage', 'zerver_userprofile'];

/**
 * Finds the schema that holds Zulip's tables.
 * @throws RealmliftError NOT_ZULIP, also of a database that has a part of them
 */
export async function findSchema(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ schema: string; lacking: string[] }>(`
    SELECT n.nspname AS schema, ARRAY(SELECT core.name FROM unnest($2::text[]) AS core(name)
      WHERE NOT EXISTS (SELECT FROM pg_class t WHERE t.relnamespace = n.oid AND t.relname = core.name AND t.relkind IN ('r', 'p'))) AS lacking
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'zerver_realm' AND c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'realmlift%'
    ORDER BY array_position($1::text[], n.nspname::text), n.nspname`, [SCHEMAS, CORE]);
  const [found] = rows;
  if (found === undefined) {
    throw new RealmliftError('NOT_ZULIP', 'plan', 'this database has no table zerver_realm: it is not a Zulip database', {
      hint: 'check the database name in DATABASE_URL or PGDATABASE', exit: EXIT.nothingExported,
    });
  }
  const { schema, lacking } = found;
  if (lacking.length > 0) {
    throw new RealmliftError('NOT_ZULIP', 'plan', `this is not a whole Zulip database: its schema ${schema} has no table ${lacking.join(', ')}`, {
      hint: 'check the database name in DATABASE_URL or PGDATABASE, and whether the restore or upgrade that made it came to its end', exit: EXIT.nothingExported,
    });
  }
  return schema;
}

/** Reads the catalog of all tables of `schema`, without the partitions of those that have some. */
export async function readCatalog(client: pg.Client, schema: string): Promise<Catalog> {
  const [tables, columns] = await atOnce(client, () => [client.query<{ name: string; rows: number; bytes: string; policed: boolean }>(`
    SELECT c.relname AS name, c.reltuples::float8 AS rows, CASE WHEN c.oid IN (SELECT relation FROM pg_locks WHERE pid = pg_backend_pid() AND granted) THEN pg_table_size(c.oid) ELSE 0 END AS bytes,
           row_security_active(c.oid) AS policed
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname`, [schema]), client.query<{ table: string; name: string; type: number; references: string | null; enforced: boolean; nullable: boolean; readable: boolean }>(`
    WITH keys AS (
      SELECT k.conrelid, k.conkey[1] AS attnum, (array_agg(f.relname ORDER BY k.conname))[1] AS references, bool_or(k.convalidated) AS enforced
      FROM pg_constraint k JOIN pg_class f ON f.oid = k.confrelid
      WHERE k.contype = 'f' AND k.conparentid = 0 AND cardinality(k.conkey) = 1 GROUP BY k.conrelid, k.conkey[1])
    SELECT c.relname AS table, a.attname AS name, NOT a.attnotnull AS nullable,
           has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT') AS readable,
           CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END::int8::int4 AS type, keys.references, coalesce(keys.enforced, false) AS enforced
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN keys ON keys.conrelid = c.oid AND keys.attnum = a.attnum
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum`, [schema])]);
  const byTable = new Map<string, Map<string, CatalogColumn>>();
  for (const { table, name, type, references, enforced, nullable, readable } of columns.rows) {
    let of = byTable.get(table);
    if (of === undefined) byTable.set(table, (of = new Map<string, CatalogColumn>()));
    of.set(name, { name, type, references: references ?? undefined, enforced, nullable, readable });
  }
  return new Map(tables.rows.map(({ name, rows, bytes, policed }) => [
    name, { name, columns: byTable.get(name) ?? new Map<string, CatalogColumn>(), estimatedRows: rows, bytes: Number(bytes), policed },
  ]));
}
