/** What a restore must know of the database and its server beside the schema. */
import type pg from 'pg';
import { usersSchemas } from '../../snapshot/unqualified-names.js';
import type { Contents } from '../contents/backup-contents.js';

/**
 * Roles that own something or were granted something. The dependencies leave out the bootstrap superuser (OID 10), who
 * may own objects too. https://www.postgresql.org/docs/current/catalog-pg-shdepend.html
 */
const PROPERTIES = `
  SELECT d.datname AS database, pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collation,
         coalesce((SELECT json_agg(rolname ORDER BY rolname) FROM pg_roles r WHERE rolname !~ '^pg_' AND (
           EXISTS (SELECT FROM pg_shdepend WHERE dbid = d.oid AND refclassid = 'pg_authid'::regclass AND refobjid = r.oid)
           OR r.oid = 10 AND EXISTS (
             SELECT FROM pg_class WHERE oid >= 16384 AND relowner = 10 UNION ALL SELECT FROM pg_proc WHERE oid >= 16384 AND proowner = 10
             UNION ALL SELECT FROM pg_namespace WHERE oid >= 16384 AND nspowner = 10 UNION ALL SELECT FROM pg_type WHERE oid >= 16384 AND typowner = 10))), '[]') AS roles,
         coalesce((SELECT to_json(setconfig) FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0), '[]') AS settings,
         (SELECT json_agg(json_build_object('role', rolname, 'settings', setconfig) ORDER BY rolname) FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole WHERE setdatabase = d.oid) AS "roleSettings",
         CASE WHEN datacl IS NOT NULL THEN (
           SELECT coalesce(json_agg(json_build_object('role', rolname, 'right', privilege_type, 'grantable', is_grantable) ORDER BY n), '[]')
           FROM aclexplode(datacl) WITH ORDINALITY AS a (grantor, grantee, privilege_type, is_grantable, n) LEFT JOIN pg_roles r ON r.oid = grantee WHERE grantee <> datdba) END AS rights,
         shobj_description(d.oid, 'pg_database') AS comment
  FROM pg_database d WHERE d.datname = current_database()`;

type Source = Contents['source'];

interface PropertiesRow extends Pick<Source, 'database' | 'encoding' | 'collation' | 'roles' | 'settings'> {
  readonly roleSettings: Required<Source>['roleSettings'] | null;
  readonly rights: Required<Source>['rights'] | null;
  readonly comment: string | null;
}

export async function sourceProperties(client: pg.Client, serverVersion: number): Promise<Source> {
  const { rows } = await client.query<PropertiesRow & pg.QueryResultRow>(PROPERTIES);
  const { roleSettings, rights, comment, ...row } = rows[0] as PropertiesRow;
  return {
    serverVersion, ...row, ...(roleSettings === null ? {} : { roleSettings }), ...(rights === null ? {} : { rights }), ...(comment === null ? {} : { comment }),
    searchPath: await usersSchemas(client), ...(row.encoding === 'UTF8' ? {} : { rowsIn: row.encoding }),
  };
}
