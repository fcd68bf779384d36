/** All that would stop a load half-way, known before a row is written: the checks of import-check, and those of one that writes. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { checkImport, type ImportCheck } from '../arrival/import-check.js';
import { tellWarning } from '../narration.js';
import { eachTableFile } from '../pipe/opened-tables.js';
import { openReadableExport } from '../pipe/readable-export.js';
import { SYSTEM_BOT_EMAILS } from '../plan/realm.js';
import { readableName } from '../readable-name.js';
import type { TargetServer } from '../remap/target-server.js';
import { IMAGE_COLUMNS } from './files/image-attachments.js';
import type { LoadRequest } from './load-request.js';
import { columnMissing, layoutOf, type Schema } from './rows/table-layout.js';
import { LISTS } from './rows/table-loader.js';
import { NOT_LOADED, type LoadSource } from './source/load-source.js';
import type { LoadableExport } from './source/loadable-export.js';
import { LoadRecord } from './server/load-record.js';
import { TO_INDEX, type TargetTables } from './server/target-tables.js';

/** Of a load that goes on, these would find the load's own rows. */
const OWN_ROWS: ReadonlySet<ImportCheck['name']> = new Set(['subdomain', 'realm', 'taken', 'disk']);
/** What stops Zulip's import and not a load: the number of an unknown user stays, a name that is not the emoji's is kept. */
const TOLD_ALONE: ReadonlySet<ImportCheck['name']> = new Set(['history', 'reactions']);

/** @param client of the new server @throws RealmliftError LOAD_REFUSED naming all that speaks against it */
export async function checkExport(client: pg.Client, directory: string, { target, subdomain, allowReserved, files }: LoadRequest, resumed: boolean, stop: AbortSignal): Promise<void> {
  // The name that the realm has was allowed once, and its users know it by that.
  const own = await openReadableExport(directory).then(({ header }) => header.realm === subdomain, () => false);
  const checks = await checkImport(directory, { target, subdomain, allowReserved: allowReserved || own, uploadsDir: files.kind === 'directory' ? files.directory : undefined, stop });
  const failed = checks.filter(({ name, outcome }) => outcome === 'failed' && !(resumed && OWN_ROWS.has(name)));
  for (const { what } of failed.filter(({ name }) => TOLD_ALONE.has(name))) tellWarning(`${what}; it is loaded as it is`);
  const reasons = failed.filter(({ name }) => !TOLD_ALONE.has(name));
  if (reasons.length > 0) refuse(reasons.map(({ name, what }) => `${name}: ${what}`), `${await wayOut(client, subdomain, reasons)}realmlift import-check shows all checks`);
}

/** What is wrong with an export that is only read as yet, of which nothing was written. */
export async function unwritten<T>(reading: Promise<T>): Promise<T> {
  return reading.catch((error: unknown) => { throw error instanceof RealmliftError && error.exit === EXIT.failed ? error.advising(error.hint, EXIT.nothingExported) : error; });
}

/** Beside mending what is wrong: of a realm, or a subdomain, that is there. */
async function wayOut(client: pg.Client, subdomain: string, reasons: readonly ImportCheck[]): Promise<string> {
  const of = (name: ImportCheck['name']): boolean => reasons.some((each) => each.name === name);
  if (!of('subdomain') && !of('realm')) return '';
  if (await LoadRecord.isThere(client, subdomain)) return `${subdomain} was loaded here before: --update brings it to the state of this export; `;
  return of('realm') ? '' : '--subdomain gives it another name; ';
}

/**
 * What an import of Zulip's would make first, a load demands: the realm of the system bots.
 *
 * @throws RealmliftError LOAD_REFUSED with the command that makes it
 */
export function checkBots({ bots, realms }: TargetServer): void {
  const lacking = SYSTEM_BOT_EMAILS.filter((email) => !bots.has(email));
  if (lacking.length === 0 && realms.length > 0) return;
  refuse([`the new server lacks its system bots (${lacking.join(', ')})`], 'there: manage.py shell -c "from zerver.lib.server_initialization import create_internal_realm as c; c()"');
}

/** Bytes of a records.json without records. */
const NO_RECORDS = 4;

/** @throws RealmliftError SALT_MISSING where there are avatars */
export function checkSalt({ records }: LoadableExport, salt: string | undefined): void {
  if (salt !== undefined || (records.get('avatars')?.size ?? 0) <= NO_RECORDS) return;
  throw new RealmliftError('SALT_MISSING', 'load', "the names of avatars are made with the new server's avatar_salt, which is not given", { hint: "--zulip-secrets with the new server's /etc/zulip/zulip-secrets.conf, or ZULIP_AVATAR_SALT", exit: EXIT.usage });
}

function refuse(reasons: readonly string[], hint: string): void {
  if (reasons.length > 0) throw new RealmliftError('LOAD_REFUSED', 'load', `nothing was written: ${reasons.join('; ')}`, { hint, exit: EXIT.nothingExported });
}

/** Columns that a load fills by itself, of tables that no export has. */
const FILLED: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(Object.entries(LISTS).map(([table, { column }]) => [table, ['attachment_id', column]])),
  zerver_client: ['name'],
  zerver_imageattachment: IMAGE_COLUMNS,
};

/**
 * Every table and column of the export is one of the new server's, and what that demands is there. Of the messages files the first is asked.
 *
 * @throws RealmliftError TABLE_UNKNOWN, COLUMN_UNKNOWN, COLUMN_MISSING
 */
export function checkColumns({ source, files, messageTables }: LoadSource, schema: Schema): void {
  for (const file of files) for (const table of file.tables) if (!NOT_LOADED.has(table)) layoutOf(table, file, schema, {});
  for (const file of eachTableFile(source, source.messages.slice(0, 1))) for (const table of messageTables) layoutOf(table, file, schema, {});
  for (const [table, filled] of Object.entries(FILLED)) {
    const lacking = schema.tables.columns.get(table)?.find(({ name, needed }) => needed && !filled.includes(name));
    if (lacking !== undefined) throw columnMissing(table, lacking.name);
  }
}

/** Tables that a load, an update or the removal of what was loaded writes to. */
export function writtenTables(sources: readonly LoadSource[], { registry, tables }: Schema): string[] {
  const exported = sources.flatMap(({ rows }) => [...rows.keys()]).filter((name) => !NOT_LOADED.has(name)).map((name) => registry.tables.get(name)?.table ?? name);
  const ofRealm = (tables.references.get('zerver_realm') ?? []).map(({ table }) => table);
  return [...new Set([...exported, ...ofRealm, ...Object.keys(LISTS), 'zerver_client', TO_INDEX.table])].filter((table) => tables.columns.has(table));
}

/** @throws RealmliftError TARGET_READ_ONLY, RIGHT_MISSING with the GRANT */
export async function checkRights(client: pg.Client, tables: TargetTables, written: readonly string[]): Promise<void> {
  const { rows: [state] } = await client.query<{ replica: boolean; read_only: string }>("SELECT pg_is_in_recovery() AS replica, current_setting('transaction_read_only') AS read_only");
  if (state?.replica === true) throw new RealmliftError('TARGET_READ_ONLY', 'load', 'the new server is a replica, which takes no writes', { hint: 'name the primary with --target-url', exit: EXIT.nothingExported });
  if (state?.read_only === 'on') throw new RealmliftError('TARGET_READ_ONLY', 'load', 'the database or the role is set to default_transaction_read_only', { hint: 'name a role that may write', exit: EXIT.nothingExported });
  const { rows: [lacking] } = await client.query<{ tables: string[]; sequences: string[]; create: boolean }>(`
    SELECT ARRAY(SELECT format('%I.%I', n.nspname, t.relname) FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = $1 AND t.relname = ANY ($2)
             AND NOT (has_table_privilege(t.oid, 'SELECT') AND has_table_privilege(t.oid, 'INSERT') AND has_table_privilege(t.oid, 'UPDATE') AND has_table_privilege(t.oid, 'DELETE'))) AS tables,
           ARRAY(SELECT s FROM unnest($3::text[]) AS s WHERE NOT (has_sequence_privilege(s, 'USAGE') AND has_sequence_privilege(s, 'SELECT'))) AS sequences,
           has_database_privilege(current_database(), 'CREATE') AS create`,
  [tables.schema, written, written.flatMap((table) => tables.sequences.get(table) ?? [])]);
  const user = client.user ?? '';
  const role = readableName(user);
  const grants = [
    ...(lacking?.tables.length === 0 ? [] : [`SELECT, INSERT, UPDATE, DELETE ON ${lacking?.tables.join(', ') ?? ''}`]), ...(lacking?.sequences.length === 0 ? [] : [`SELECT, USAGE ON SEQUENCE ${lacking?.sequences.join(', ') ?? ''}`]),
    // Where is noted how far the load has come.
    ...(lacking?.create === true ? [] : [`CREATE ON DATABASE ${readableName(client.database ?? '')}`]),
  ];
  if (grants.length === 0) return;
  throw new RealmliftError('RIGHT_MISSING', 'load', `the role ${user} may not write what a load writes`, { hint: `${grants.map((grant) => `GRANT ${grant} TO ${role}`).join('; ')}; or load as the role that Zulip itself uses`, exit: EXIT.nothingExported });
}
