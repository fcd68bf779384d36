/**
 * `realmlift import-check`: rehearses what Zulip's import (zerver/lib/import_realm.py) will demand, before it stops half-way with
 * half a realm made. What depends on the new server is looked up in its database, which is only read.
 */
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { RealmliftError } from './errors.js';
import { AREAS } from './files/wanted-files.js';
import { MANIFEST } from './package/manifest.js';
import { hasMigrationStatus } from './package/migration-status.js';
import { areaOf, openFinishedExport, readTop, type FinishedExport } from './pipe/finished-export.js';
import { withTableFiles } from './pipe/opened-tables.js';
import { loadRegistry } from './plan/registry.js';
import { namesOf } from './remap/remap-request.js';
import { columnsMisfit, migrationsMisfit, versionMisfit } from './remap/target-fit.js';
import { spaceOf } from './remap/reference-catalog.js';
import { readTarget, type TargetServer } from './remap/target-server.js';
import type { ConnectionSettings } from './snapshot/connection-settings.js';
import { verifyExport, type VerifyReport } from './verify/verify-export.js';

export interface ImportCheckOptions {
  /** The new server's database; without it much remains unknown. */
  readonly target: ConnectionSettings | undefined;
  /** The subdomain that the import will be given; undefined means the realm's own. */
  readonly subdomain: string | undefined;
  /** The new server's LOCAL_UPLOADS_DIR, whose room counts; undefined looks at the room where the export lies. */
  readonly uploadsDir: string | undefined;
}

export interface ImportCheck {
  readonly name: 'manifest' | 'rows' | 'files' | 'kind' | 'disk' | 'version' | 'migrations' | 'columns' | 'subdomain' | 'bots' | 'ids';
  readonly outcome: 'good' | 'failed' | 'unknown';
  /** What was found, one line without any row's content. */
  readonly what: string;
}

/**
 * All checks, in the order in which the import would stumble.
 *
 * @throws RealmliftError NOT_AN_EXPORT, EXPORT_MISSING, those of the connection
 */
export async function checkImport(directory: string, options: ImportCheckOptions): Promise<ImportCheck[]> {
  const report = await verifyExport(directory);
  const checks: ImportCheck[] = [];
  const add = (name: ImportCheck['name'], failure: string | undefined, what: string): void => {
    checks.push({ name, outcome: failure === undefined ? 'good' : 'failed', what: failure ?? what });
  };
  const source = await openFinishedExport(directory).catch((error: unknown) => {
    if (!(error instanceof RealmliftError) || error.code === 'NOT_AN_EXPORT') throw error;
    return error;
  });
  add('manifest', source instanceof RealmliftError ? source.message : found(report, MANIFEST), `all ${report.totals.files} files are there that manifest.json lists`);
  add('rows', found(report, 'rows'), `${rowsOf(report)} rows, no reference points outside`);
  add('files', found(report, 'files'), 'every attachment has its record, every record its file');
  if (source instanceof RealmliftError) return [...checks, ...['kind', 'disk', ...WITH_TARGET].map(unknown('the export is damaged'))];
  add('kind', kindFailure(source), `one realm, ${source.header.mode} export`);
  checks.push(await disk(source, options.uploadsDir));
  if (options.target === undefined) return [...checks, ...WITH_TARGET.map(unknown('--target-url of the new server tells'))];
  const registry = loadRegistry();
  const target = await readTarget(options.target, registry);
  return withTableFiles((open) => {
    const files = open(source);
    add('version', versionMisfit(source, target) ?? statusFailure(source, target), `Zulip ${source.header.zulip_version ?? target.version.release}, as the new server`);
    add('migrations', migrationsMisfit(source, target), 'the same are applied to the new server');
    add('columns', columnsMisfit(source, files, target, registry), 'the new server has all tables and columns');
    const subdomain = options.subdomain ?? source.header.realm;
    add('subdomain', target.subdomains.has(subdomain) ? `"${subdomain}" is taken on the new server: give the import another` : undefined, `"${subdomain}" is free`);
    const lacking = [...namesOf(files).bots.keys()].filter((email) => !target.bots.has(email));
    add('bots', lacking.length === 0 ? undefined : `the new server lacks the system bots ${lacking.join(', ')}`, 'the new server has the system bots that the rows name');
    const full = Object.entries(report.totals.rows).find(([table, rows]) => target.ids.base(spaceOf(table)) + rows > target.ids.limit(spaceOf(table)))?.[0];
    add('ids', full === undefined ? undefined : `the ids of ${full} would pass ${target.ids.limit(spaceOf(full))}, where its column ends`, 'there is room for every row above the ids that are taken');
    return checks;
  }).catch((error: unknown) => {
    // A file of the right size and another content.
    if (!(error instanceof RealmliftError) || error.code !== 'EXPORT_CHANGED') throw error;
    return [...checks, ...WITH_TARGET.filter((name) => !checks.some((each) => each.name === name)).map(unknown('the export is damaged'))];
  });
}

/** What only the new server's database tells. */
const WITH_TARGET = ['version', 'migrations', 'columns', 'subdomain', 'bots', 'ids'] as const;

function unknown(what: string): (name: string) => ImportCheck {
  return (name) => ({ name: name as ImportCheck['name'], outcome: 'unknown', what });
}

function rowsOf({ totals: { rows } }: VerifyReport): number {
  return Object.values(rows).reduce((sum, count) => sum + count, 0);
}

/** The first error that verify found in the manifest, in files with rows, or in the uploaded files and their records. */
function found({ findings }: VerifyReport, where: typeof MANIFEST | 'rows' | 'files'): string | undefined {
  const errors = findings.filter(({ severity, file }) => severity === 'error' && (file === MANIFEST ? file : areaOf(file) === undefined ? 'rows' : 'files') === where);
  const [first] = errors;
  if (first === undefined) return undefined;
  return `${first.file}${first.table === undefined ? '' : ` ${first.table}`}: ${first.message}${errors.length === 1 ? '' : `; ${errors.length - 1} more, which realmlift verify lists`}`;
}

function kindFailure({ header, top }: FinishedExport): string | undefined {
  if (top.has('user.json')) return "a single user's export, which the import does not take";
  return header.options['realms'] === undefined ? undefined : 'several realms joined to one export, which the import does not take';
}

/** From the version on that writes it, the import stops without it. */
function statusFailure(source: FinishedExport, { version }: TargetServer): string | undefined {
  return hasMigrationStatus(version) && readTop(source, 'migration_status.json') === undefined ? 'there is no migration_status.json' : undefined;
}

/** The import copies every uploaded file. */
async function disk(source: FinishedExport, uploadsDir: string | undefined): Promise<ImportCheck> {
  const place = uploadsDir ?? source.directory;
  if (!existsSync(place)) return { name: 'disk', outcome: 'failed', what: `there is no directory ${place}` };
  let bytes = 0;
  for await (const { size } of source.areaFiles()) bytes += size;
  const { bavail, bsize } = await statfs(place);
  const enough = bytes <= bavail * bsize;
  return { name: 'disk', outcome: enough ? 'good' : 'failed', what: `${mebibytes(bytes)} of files in ${AREAS.join(', ')} will be copied; ${mebibytes(bavail * bsize)} are free at ${place}` };
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
