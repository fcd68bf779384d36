/** Exports as realmlift writes them, made from the expected ones, to be damaged. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Test } from 'tap';
import { CONSENT_FILES } from '../../src/package/consent-files.js';
import { comparePaths, readManifest, writeManifest, type ManifestFile, type ManifestHeader } from '../../src/package/manifest.js';
import { RUN_DIRECTORY } from '../../src/package/output-directory.js';
import type { CheckedBefore, CheckedBy, CheckedFile } from '../../src/verify/checked-files.js';
import { verifyExport } from '../../src/verify/verify-export.js';
import { expectedExport } from '../testbed/expected-export.js';
import type { Dataset } from '../testbed/test-data.js';

export type Row = Record<string, unknown>;
export type Tables = Record<string, Row[]>;

const SECRETS: Record<string, string[]> = {
  zerver_service: ['token'],
  zerver_botconfigdata: ['value'],
  zerver_stream: ['email_token'],
  zerver_userprofile: ['zoom_token', 'third_party_api_state'],
  zerver_userprofile_mirrordummy: ['zoom_token', 'third_party_api_state'],
};

/** Changes a JSON file of the export. */
export function edit<T = Tables>(directory: string, file: string, change: (content: T) => T | undefined | void): void {
  const path = join(directory, file);
  const content = JSON.parse(readFileSync(path, 'utf8')) as T;
  writeFileSync(path, JSON.stringify(change(content) ?? content));
}

/** The first row of a table, or the first that `which` picks. */
export function first(tables: Tables, table: string, which: (row: Row) => boolean = () => true): Row {
  const row = tables[table]?.find(which);
  if (row === undefined) throw new Error(`no such row in ${table}`);
  return row;
}

/**
 * A copy of an expected export without secrets, changed by `change`, and then with a manifest that fits: what verify
 * finds is the change itself.
 */
export async function ourExport(t: Test, dataset: Dataset, name: string, change: (directory: string) => void = () => undefined): Promise<string> {
  const directory = join(t.testdir({}), 'export');
  cpSync(await expectedExport(dataset, name), directory, { recursive: true });
  const oneUser = readdirSync(directory).includes('user.json');
  edit(directory, oneUser ? 'user.json' : 'realm.json', (tables) => {
    for (const [table, keys] of Object.entries(SECRETS)) {
      for (const row of tables[table] ?? []) for (const key of keys) delete row[key];
    }
  });
  await sign(directory);
  change(directory);
  await sign(directory);
  return directory;
}

/** What a manifest of realmlift would say of it. */
function headerOf(directory: string): ManifestHeader {
  const has = (file: string): boolean => existsSync(join(directory, file));
  const tables = JSON.parse(readFileSync(join(directory, has('user.json') ? 'user.json' : 'realm.json'), 'utf8')) as Tables;
  const [realm, user] = [tables['zerver_realm']?.[0], tables['zerver_userprofile']?.[0]];
  return {
    format: 1, realmlift: '0.1.0', realm: realm === undefined ? 'acme' : (realm['string_id'] as string), realm_id: Number(realm?.['id'] ?? user?.['realm']),
    mode: realm === undefined ? 'user' : CONSENT_FILES.some(has) ? 'consent' : 'full', zulip_version: null,
    snapshot: { taken_at: '2026-01-01T00:00:00.000Z', id: '00000003-0000001B-1', server: '15.4' }, options: {},
  };
}

/** Writes a manifest of what is there, whose head is that of the one before. */
export async function sign(directory: string, changed: Partial<ManifestHeader> = {}): Promise<void> {
  const before = join(directory, 'manifest.json');
  const header = { ...(existsSync(before) ? (await readManifest(before)).header : headerOf(directory)), ...changed };
  await writeManifest(join(directory, 'manifest.json'), header, filesOf(directory).map((path) => describe(directory, path)));
}

/** The files that a manifest lists, in its order. */
export function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .filter((path) => path !== 'manifest.json' && !path.startsWith(`${RUN_DIRECTORY}/`))
    .sort(comparePaths);
}

/** What verify can know later of an export that is good. */
export async function checkedBefore(directory: string): Promise<CheckedBefore & { readonly files: ReadonlyMap<string, CheckedFile> }> {
  const files = new Map<string, CheckedFile>();
  let by: CheckedBy | undefined;
  await verifyExport(directory, { jobs: 1, remember: { by: (all) => { by = all; }, file: (file) => { files.set(file.sha256, file); } } });
  return { by: by as CheckedBy, files, find: (sha256) => files.get(sha256) };
}

function describe(directory: string, path: string): ManifestFile {
  const content = readFileSync(join(directory, path));
  const file = { path, size: statSync(join(directory, path)).size, sha256: createHash('sha256').update(content).digest('hex') };
  if (!/^(realm|user|analytics|attachment|messages-\d+)\.json$/.test(path)) return file;
  let tables: Tables;
  try {
    tables = JSON.parse(content.toString()) as Tables;
  } catch {
    return { ...file, rows: {} };
  }
  return { ...file, rows: Object.fromEntries(Object.entries(tables).map(([table, rows]) => [table, rows.length])) };
}
