/** All that would stop a load half-way, known before a row is written: the checks of import-check, and those of one that writes. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { checkImport, type ImportCheck } from '../import-check.js';
import type { LoadRequest } from './load-request.js';
import { qualify, type TargetTables } from './target-tables.js';

/** Of a load that goes on, these would find the load's own rows. */
const OWN_ROWS: ReadonlySet<string> = new Set(['subdomain', 'uuid', 'unique']);

/** @throws RealmliftError LOAD_REFUSED naming all that speaks against it, VERIFY_FAILED */
export async function checkExport(directory: string, { target, subdomain, files }: LoadRequest, resumed: boolean): Promise<void> {
  const checks = await checkImport(directory, { target, subdomain, uploadsDir: files.kind === 'directory' ? files.directory : undefined });
  const failed = checks.filter(({ name, outcome }) => outcome === 'failed' && !(resumed && OWN_ROWS.has(name)));
  if (failed.length === 0) return;
  throw new RealmliftError('LOAD_REFUSED', 'load', `nothing was written: ${failed.map(({ name, what }) => `${name}: ${what}`).join('; ')}`, { hint: hintOf(failed), exit: EXIT.nothingExported });
}

function hintOf(failed: readonly ImportCheck[]): string {
  return failed.some(({ name }) => name === 'bots')
    ? 'on the new server: manage.py shell -c "from zerver.lib.server_initialization import create_internal_realm as c; c()"'
    : 'realmlift import-check shows all checks';
}

/** @throws RealmliftError TARGET_READ_ONLY, RIGHT_MISSING with the GRANT */
export async function checkRights(client: pg.Client, tables: TargetTables, written: readonly string[]): Promise<void> {
  const { rows: [state] } = await client.query<{ replica: boolean; read_only: string }>("SELECT pg_is_in_recovery() AS replica, current_setting('transaction_read_only') AS read_only");
  if (state?.replica === true) throw new RealmliftError('TARGET_READ_ONLY', 'load', 'the new server is a replica, which takes no writes', { hint: 'name the primary with --target-url', exit: EXIT.nothingExported });
  if (state?.read_only === 'on') throw new RealmliftError('TARGET_READ_ONLY', 'load', 'the database or the role is set to default_transaction_read_only', { hint: 'name a role that may write', exit: EXIT.nothingExported });
  const { rows } = await client.query<{ what: string; kind: string }>(`
    SELECT string_agg(quote_ident(name), ', ') AS what, privileges || CASE WHEN privileges = 'USAGE' THEN ' ON SEQUENCE ' ELSE ' ON ' END AS kind FROM (
      SELECT t AS name, 'SELECT, INSERT, UPDATE, DELETE' AS privileges FROM unnest($1::text[]) AS t
      WHERE NOT (has_table_privilege(t, 'SELECT') AND has_table_privilege(t, 'INSERT') AND has_table_privilege(t, 'UPDATE') AND has_table_privilege(t, 'DELETE'))
      UNION ALL SELECT s, 'USAGE' FROM unnest($2::text[]) AS s WHERE NOT has_sequence_privilege(s, 'USAGE')) AS lacking GROUP BY privileges ORDER BY privileges DESC`,
  [written.map((table) => qualify(client, tables.schema, table)), written.flatMap((table) => tables.sequences.get(table) ?? [])]);
  const [first] = rows;
  if (first === undefined) return;
  const user = client.escapeIdentifier(client.user ?? '');
  throw new RealmliftError('RIGHT_MISSING', 'load', `the role ${user} may not write ${first.what}`.replaceAll('"', ''), {
    hint: rows.map(({ what, kind }) => `GRANT ${kind}${what.replace(/"{3}|""/g, '')} TO ${user}`).join('; '), exit: EXIT.nothingExported,
  });
}
