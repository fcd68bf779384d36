/**
 * `realmlift import-check`: rehearses what Zulip's import (zerver/lib/import_realm.py) will demand, before it stops half-way with
 * half a realm made. What depends on the new server is looked up in its database, which is only read.
 */
import { existsSync } from 'node:fs';
import { sum } from '../numbers.js';
import { checkArrival, type ArrivalName, type Check } from './arrival-checks.js';
import { RealmliftError } from '../errors.js';
import { freeSpace } from '../free-space.js';
import { areaOf, AREAS, USER_FILE } from '../package/export-files.js';
import { isWithoutFiles, MANIFEST } from '../package/manifest.js';
import type { ReadableExport } from '../pipe/finished-export.js';
import { withTableFiles } from '../pipe/opened-tables.js';
import { openReadableExport } from '../pipe/readable-export.js';
import { tellPhase } from '../narration.js';
import { loadRegistry } from '../plan/views/registry.js';
import { withTarget } from '../remap/target-server.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { verifyExport, type VerifyReport } from '../verify/verify-export.js';

export interface ImportCheckOptions {
  /** The new server's database; without it much remains unknown. */
  readonly target: ConnectionSettings | undefined;
  /** The subdomain that the import will be given; undefined means the realm's own. */
  readonly subdomain: string | undefined;
  /** The import will be given --allow-reserved-subdomain. */
  readonly allowReserved?: boolean;
  /** The new server's LOCAL_UPLOADS_DIR, whose room counts; undefined looks at the room where the export lies. */
  readonly uploadsDir: string | undefined;
  /** Cuts the session on the new server soon after it has aborted. */
  readonly stop?: AbortSignal;
}

export type ImportCheck = Check<'manifest' | 'rows' | 'files' | 'kind' | 'disk' | ArrivalName>;

/**
 * All checks, in the order in which the import would stumble.
 *
 * @throws RealmliftError EXPORT_MISSING, EXPORT_PACKED, those of the connection
 */
export async function checkImport(directory: string, options: ImportCheckOptions): Promise<ImportCheck[]> {
  const report = await verifyExport(directory);
  tellPhase('checks', 'steps');
  const checks: ImportCheck[] = [];
  const add = (name: ImportCheck['name'], failure: string | undefined, what: string): void => {
    checks.push({ name, outcome: failure === undefined ? 'good' : 'failed', what: failure ?? what });
  };
  const source = await openReadableExport(directory).catch((error: unknown) => {
    if (!(error instanceof RealmliftError)) throw error;
    return error;
  });
  add('manifest', source instanceof RealmliftError ? source.message : found(report, MANIFEST), report.manifest ? `all ${report.totals.files} files are there that manifest.json lists` : `there is none, as in Zulip's own exports: nothing says whether the ${report.totals.files} files are all`);
  add('rows', found(report, 'rows'), `${rowsOf(report)} rows, no reference points outside`);
  const none = !(source instanceof RealmliftError) && isWithoutFiles(source.header);
  add('files', found(report, 'files'), none ? 'there are none, as --no-files asked: links in messages to uploads will lead nowhere' : 'every attachment has its record, every record its file');
  if (source instanceof RealmliftError) return [...checks, { name: 'kind', outcome: 'unknown', what: DAMAGED }];
  add('kind', kindFailure(source), `one realm${source.header.mode === undefined ? '' : `, ${source.header.mode} export`}`);
  checks.push(await disk(source, options.uploadsDir));
  if (checks.some(({ name, outcome }) => name === 'kind' && outcome === 'failed')) return checks;
  const { subdomain = source.header.realm, allowReserved = false, target: settings, stop } = options;
  try {
    await withTableFiles(async (open) => {
      const arrival = { source, files: open(source), subdomain, allowReserved };
      const registry = loadRegistry();
      checks.push(...settings === undefined ? await checkArrival(arrival, undefined) : await withTarget(settings, registry, (client, target) => checkArrival(arrival, { client, target, registry }), stop));
    });
  } catch (error) {
    // Files of the right size and another content, or of no rows.
    if (!(error instanceof RealmliftError) || !['EXPORT_CHANGED', 'JSON_DAMAGED'].includes(error.code)) throw error;
    checks.push({ name: 'version', outcome: 'unknown', what: DAMAGED });
  }
  return checks;
}

/** The checks in one line: what to do now. */
export function verdict(checks: readonly ImportCheck[]): { readonly good: boolean; readonly line: string } {
  const of = (outcome: ImportCheck['outcome']): string[] => checks.filter((each) => each.outcome === outcome).map(({ name }) => name);
  const [failed, warned, unknown] = [of('failed'), of('warned'), of('unknown')];
  if (failed.length > 0) return { good: false, line: `do not start the import: ${failed.length} of ${checks.length} checks failed (${failed.join(', ')})` };
  const open = unknown.length === 0 ? '' : `; not known yet: ${unknown.join(', ')}`;
  if (warned.length > 0) return { good: true, line: `the import can start, but read what is said of ${warned.join(', ')}${open}` };
  return { good: true, line: unknown.length === 0 ? 'the import can start: nothing speaks against it' : `nothing speaks against the import so far${open}` };
}

const DAMAGED = 'the export is damaged: nothing more can be told';

function rowsOf({ totals: { rows } }: VerifyReport): number {
  return sum(Object.values(rows));
}

/** The first error that verify found in the manifest, in files with rows, or in the uploaded files and their records. */
function found({ findings }: VerifyReport, where: typeof MANIFEST | 'rows' | 'files'): string | undefined {
  const errors = findings.filter(({ severity, file }) => severity === 'error' && (file === MANIFEST ? file : areaOf(file) === undefined ? 'rows' : 'files') === where);
  const [first] = errors;
  if (first === undefined) return undefined;
  return `${first.file}${first.table === undefined ? '' : ` ${first.table}`}: ${first.message}${errors.length === 1 ? '' : `; ${errors.length - 1} more, which realmlift verify lists`}`;
}

function kindFailure({ header, top }: ReadableExport): string | undefined {
  if (top.has(USER_FILE)) return "a single user's export, which the import does not take";
  return header.options['realms'] === undefined ? undefined : 'several realms joined to one export, which the import does not take';
}

/** The import copies every uploaded file. */
async function disk(source: ReadableExport, uploadsDir: string | undefined): Promise<ImportCheck> {
  const place = uploadsDir ?? source.directory;
  if (!existsSync(place)) return { name: 'disk', outcome: 'failed', what: `there is no directory ${place}` };
  let bytes = 0;
  for await (const { size } of source.areaFiles()) bytes += size;
  const { free } = await freeSpace(place);
  const enough = bytes <= free;
  return { name: 'disk', outcome: enough ? 'good' : 'failed', what: `${mebibytes(bytes)} of files in ${AREAS.join(', ')} will be copied; ${mebibytes(free)} are free at ${place}` };
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
