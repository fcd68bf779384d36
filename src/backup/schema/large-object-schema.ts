/**
 * Large objects without their bytes: SQL that makes them, empty, with owner, rights, comment and security labels.
 *
 * This is not left to pg_dump. Up to PostgreSQL 16 it writes it before the rows, from 17 on among them (SECTION_DATA in dumpLO of
 * src/bin/pg_dump/pg_dump.c), and of the rows it is asked for nothing.
 */
import type pg from 'pg';

/**
 * Rights are granted in the order of the list that holds them, each by who granted it; no list means those of the owner alone.
 * https://www.postgresql.org/docs/current/catalog-pg-largeobject-metadata.html
 */
const STATEMENTS = `
  SELECT concat_ws(E'\\n',
    format('SELECT pg_catalog.lo_create(%L);', o.oid),
    format('ALTER LARGE OBJECT %s OWNER TO %I;', o.oid, pg_get_userbyid(o.lomowner)),
    CASE WHEN o.lomacl IS NOT NULL THEN format('REVOKE ALL ON LARGE OBJECT %s FROM %I;', o.oid, pg_get_userbyid(o.lomowner)) END,
    (SELECT string_agg(CASE WHEN g.grantor = o.lomowner THEN g.sql ELSE format(E'SET SESSION AUTHORIZATION %I;\\n%s\\nRESET SESSION AUTHORIZATION;', pg_get_userbyid(g.grantor), g.sql) END, E'\\n' ORDER BY g.n)
     FROM (SELECT min(n) AS n, grantor,
                  format('GRANT %s ON LARGE OBJECT %s TO %s%s;', string_agg(privilege_type, ', ' ORDER BY n), o.oid,
                         CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END) AS sql
           FROM aclexplode(o.lomacl) WITH ORDINALITY AS a (grantor, grantee, privilege_type, is_grantable, n) GROUP BY grantor, grantee, is_grantable) g),
    (SELECT format('COMMENT ON LARGE OBJECT %s IS %L;', o.oid, description) FROM pg_description WHERE classoid = 'pg_largeobject'::regclass AND objoid = o.oid),
    (SELECT string_agg(format('SECURITY LABEL FOR %I ON LARGE OBJECT %s IS %L;', provider, o.oid, label), E'\\n') FROM pg_seclabel WHERE classoid = 'pg_largeobject'::regclass AND objoid = o.oid)
  ) AS sql
  FROM pg_largeobject_metadata o ORDER BY o.oid`;

/** @returns undefined when the database has no large objects */
export async function largeObjectSchema(client: pg.Client): Promise<string | undefined> {
  const { rows } = await client.query<{ sql: string }>(STATEMENTS);
  return rows.length === 0 ? undefined : `${rows.map(({ sql }) => sql).join('\n')}\n`;
}
