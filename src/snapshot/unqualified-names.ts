/**
 * What the database's own functions name without a schema.
 *
 * Our sessions look for names in pg_catalog and Zulip's schema alone, so that nobody's `=` takes the place of PostgreSQL's. A function of the
 * database may count on more: that of an index is inlined by the planner, in every query of its table, under the search path of the
 * session. Where that fails, and nowhere else, the session gets those schemas too that are needed, behind its own, out of the search
 * paths that the database's settings give to those who use it.
 */
import type pg from 'pg';

/** SQLSTATEs of a function, a relation, another object or a schema that was not found. */
const NOT_FOUND = new Set(['42883', '42P01', '42704', '3F000']);

/** Whether an error says that a name was not found: under another search path it may be. */
export function isNameUnknown(error: unknown): boolean {
  return NOT_FOUND.has((error as { code?: string }).code ?? '');
}

/** OIDs below are PostgreSQL's own. src/include/access/transam.h */
const FIRST_OF_USERS = 16384;

/**
 * Relations whose planning calls a function of the database's own: by an index, a partition key, extended statistics or a CHECK. Views of
 * the same name may read them for a role that may not.
 */
const RELATIONS = `
  SELECT DISTINCT format('%I.%I', v.relnamespace::regnamespace::name, v.relname) AS relation, c.relnamespace::regnamespace::name AS schema
  FROM pg_depend d
       LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
       LEFT JOIN pg_statistic_ext s ON d.classid = 'pg_statistic_ext'::regclass AND s.oid = d.objid
       LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
       JOIN pg_class c ON c.oid = coalesce(i.indrelid, s.stxrelid, nullif(k.conrelid, 0), CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid END)
       JOIN pg_class v ON v.relname = c.relname AND (v.oid = c.oid OR v.relkind = 'v')
  WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND d.refobjid >= ${FIRST_OF_USERS} AND c.relkind IN ('r', 'p', 'm')
    AND c.relpersistence <> 't' AND has_schema_privilege(v.relnamespace, 'USAGE')
    -- One that somebody is about to change, or is, is not held by us and so not read: its planning would wait for him.
    AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation IN (c.oid, v.oid) AND l.mode = 'AccessExclusiveLock'
                    AND NOT EXISTS (SELECT FROM pg_locks o WHERE o.relation = l.relation AND o.pid = pg_backend_pid() AND o.granted))`;

/** Whether there can be any, for next to nothing: of nearly every database there is none. */
const ANY = `
  SELECT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND d.refobjid >= ${FIRST_OF_USERS}
                 AND d.classid IN ('pg_class'::regclass, 'pg_statistic_ext'::regclass, 'pg_constraint'::regclass)) AS any`;

/**
 * Schemas to look in after the session's own, so that its queries can be planned; none for nearly every database.
 *
 * @param client in a transaction, under its own search path, which it keeps
 */
export async function schemasForPlanning(client: pg.Client): Promise<string[]> {
  const { rows: [dependent] } = await client.query<{ any: boolean }>(ANY);
  if (dependent?.any !== true) return [];
  const { rows } = await client.query<{ relation: string; schema: string }>(RELATIONS);
  const left = new Set<string>();
  for (const { relation } of rows) if (!(await isPlanned(client, relation, []))) left.add(relation);
  if (left.size === 0) return [];
  const all = [...new Set([...(await usersSchemas(client)), ...rows.map(({ schema }) => schema)])];
  // From the fewest schemas to all of them: what was planned once stays planned, for the session remembers an index's inlined expression.
  const trials = [...all.map((schema) => [schema]), ...all.map((_, n) => all.slice(0, n + 1))];
  const needed = new Set<string>();
  for (const schemas of trials) {
    for (const relation of left) {
      if (!(await isPlanned(client, relation, schemas))) continue;
      left.delete(relation);
      for (const schema of schemas) needed.add(schema);
    }
  }
  return all.filter((schema) => needed.has(schema));
}

/** False when a query of the relation cannot be planned because a name is not found. What else is wrong, its own query will tell if there is one. */
async function isPlanned(client: pg.Client, relation: string, schemas: readonly string[]): Promise<boolean> {
  await client.query('SAVEPOINT planning');
  try {
    await addSchemas(client, schemas);
    await client.query(`EXPLAIN SELECT FROM ${relation}`);
    return true;
  } catch (error) {
    return !isNameUnknown(error);
  } finally {
    await client.query('ROLLBACK TO SAVEPOINT planning; RELEASE SAVEPOINT planning');
  }
}

/** Adds schemas to the end of the search path, until the end of the transaction. */
export async function addSchemas(client: pg.Client, schemas: readonly string[]): Promise<void> {
  if (schemas.length === 0) return;
  await client.query(`SELECT set_config('search_path', concat_ws(', ', current_setting('search_path'), $1::text), true)`, [asPath(client, schemas)]);
}

/** Schemas as a search path. */
export function asPath(client: pg.Client, schemas: readonly string[]): string {
  return schemas.map((schema) => client.escapeIdentifier(schema)).join(', ');
}

/** Search paths: what this session would have without us, the database's, those of the owners of its tables and functions. */
const PATHS = `
  WITH owner AS (
    SELECT oid, rolname FROM pg_roles WHERE oid IN (SELECT relowner FROM pg_class WHERE oid >= ${FIRST_OF_USERS} UNION SELECT proowner FROM pg_proc WHERE oid >= ${FIRST_OF_USERS})
  ), setting AS (
    SELECT s.setrole, substr(each, length('search_path=') + 1) AS path, s.setdatabase
    FROM pg_db_role_setting s, unnest(s.setconfig) AS each
    WHERE each LIKE 'search_path=%' AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  )
  SELECT path FROM (
    SELECT 1 AS n, '' AS who, reset_val AS path FROM pg_settings WHERE name = 'search_path'
    UNION ALL SELECT 2, '', path FROM setting WHERE setrole = 0
    UNION ALL SELECT 3, rolname, replace(path, '"$user"', quote_ident(rolname)) FROM setting JOIN owner ON oid = setrole
    UNION ALL SELECT 4, rolname, quote_ident(rolname) FROM owner
  ) AS paths WHERE path <> '' ORDER BY n, who, path`;

/** Schemas in which the database's own functions find what they name without one, in order. @param client in a transaction */
export async function usersSchemas(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ path: string }>(PATHS);
  const out = new Set<string>();
  await client.query('SAVEPOINT paths');
  for (const { path } of rows) {
    await client.query(`SELECT set_config('search_path', $1, true)`, [path]);
    const { rows: found } = await client.query<{ schema: string }>('SELECT pg_catalog.unnest(pg_catalog.current_schemas(false)) AS schema');
    for (const { schema } of found) if (!schema.startsWith('pg_')) out.add(schema);
  }
  await client.query('ROLLBACK TO SAVEPOINT paths; RELEASE SAVEPOINT paths');
  return [...out];
}
