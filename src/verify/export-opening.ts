/** What an export directory is, as far as its small files tell: read first, because everything else depends on it. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import { CONSENT_FILES } from '../package/consent-files.js';
import { ATTACHMENT_FILE, MIGRATION_STATUS, REALM_FILE, USER_FILE } from '../package/export-files.js';
import { MANIFEST, readManifest, type ManifestFile, type ManifestHeader } from '../package/manifest.js';
import { exportAround, refuseParent } from '../package/exports-below.js';
import { refusePacked } from '../package/packed-export.js';
import type { FindingList } from './findings.js';
import { allOrdinary } from './ordinary-files.js';
import { parseStatsJson, parseStatsText, type Statistics } from './statistics.js';

export interface OpenedExport {
  directory: string;
  /** It has user.json instead of realm.json. */
  oneUser: boolean;
  /** It has neither, or not all of it can be read. */
  empty: boolean;
  /** It has a manifest.json, readable or not. */
  ours: boolean;
  /** The manifest's list; undefined without a manifest, or when it cannot be read. */
  listed: AsyncGenerator<ManifestFile> | undefined;
  header: ManifestHeader | undefined;
  statistics: Statistics | undefined;
  /** stats.json or stats.txt. */
  statisticsFile: string | undefined;
  /** Who consented, as the file of consent lists them; undefined without one. */
  consented: { readonly file: string; readonly ids: readonly number[] } | undefined;
  /** As migration_status.json says it. */
  zulipVersion: string | undefined;
}

/**
 * Reads manifest.json (its head), stats.json or stats.txt, migration_status.json and who consented.
 *
 * @throws RealmliftError `EXPORT_MISSING` when `directory` is not one.
 */
export async function openExport(directory: string, findings: FindingList): Promise<OpenedExport> {
  refusePacked(directory);
  refuseParent(directory);
  if (await kindOf(directory) !== 'directory') {
    const within = exportAround(directory);
    throw new RealmliftError('EXPORT_MISSING', 'verify', `${directory} is not a directory`, {
      hint: within === undefined ? 'give the directory of an export, unpacked' : `name the export that it is a file of: ${within}`, exit: EXIT.usage,
    });
  }
  if (!allOrdinary(directory, findings)) {
    return { directory, oneUser: false, empty: true, ours: false, listed: undefined, header: undefined, statistics: undefined, statisticsFile: undefined, consented: undefined, zulipVersion: undefined };
  }
  const has = async (name: string): Promise<boolean> => await kindOf(join(directory, name)) === 'file';
  const oneUser = !(await has(REALM_FILE)) && await has(USER_FILE);
  const empty = !oneUser && !(await has(REALM_FILE));
  if (empty) findings.add('error', REALM_FILE, undefined, 'the file is missing, and there is no user.json');
  const ours = await has(MANIFEST);
  const opened: OpenedExport = {
    directory, oneUser, empty, ours, listed: undefined, header: undefined, statistics: undefined, statisticsFile: undefined,
    consented: undefined, zulipVersion: undefined,
  };
  if (!ours) findings.add('note', MANIFEST, undefined, 'no manifest, as in exports that Zulip itself wrote: checksums and completeness are unchecked');
  else {
    try {
      const { header, files } = await readManifest(join(directory, MANIFEST));
      opened.header = header;
      opened.listed = files;
    } catch (error) {
      findings.add('error', MANIFEST, undefined, manifestDamage(error));
    }
  }
  if (!oneUser && !empty) {
    // That of analytics need not be there, nor any file of messages.
    if (!(await has(ATTACHMENT_FILE))) findings.add('error', ATTACHMENT_FILE, undefined, 'the file is missing: the import stops without it');
    await readStatistics(opened, has, findings);
    opened.zulipVersion = await readMigrationStatus(opened, has, findings);
  }
  opened.consented = await readConsent(opened, has, findings);
  return opened;
}

/** @throws the error itself when it is not about the manifest's content. */
export function manifestDamage(error: unknown): string {
  if (error instanceof RealmliftError && error.code === 'MANIFEST_DAMAGED') return error.message;
  throw error;
}

/** What is at `path`, if anything. */
export async function kindOf(path: string): Promise<'file' | 'directory' | undefined> {
  try {
    const found = await stat(path);
    return found.isDirectory() ? 'directory' : 'file';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw asRealmliftError(error, 'verify');
  }
}

type Has = (name: string) => Promise<boolean>;

async function readStatistics(opened: OpenedExport, has: Has, findings: FindingList): Promise<void> {
  const name = await has('stats.json') ? 'stats.json' : await has('stats.txt') ? 'stats.txt' : undefined;
  if (name === undefined) {
    findings.add(opened.ours ? 'error' : 'note', 'stats.json', undefined, 'neither stats.json nor stats.txt is there');
    return;
  }
  const text = await readFile(join(opened.directory, name), 'utf8');
  try {
    opened.statistics = name === 'stats.json' ? parseStatsJson(text) : parseStatsText(text);
    opened.statisticsFile = name;
  } catch {
    findings.add('error', name, undefined, 'not the counts of an export');
  }
}

/** Zulip writes stats.json since it writes migration_status.json, and its import stops without the latter. */
async function readMigrationStatus(opened: OpenedExport, has: Has, findings: FindingList): Promise<string | undefined> {
  const file = MIGRATION_STATUS;
  if (!(await has(file))) {
    if (opened.statisticsFile === 'stats.json') findings.add('error', file, undefined, 'the file is missing: the import refuses to begin');
    return undefined;
  }
  const status = await readJson(join(opened.directory, file)) as { migrations_by_app?: object; zulip_version?: unknown } | undefined;
  const apps = Object.values(status?.migrations_by_app ?? {});
  if (typeof status?.zulip_version !== 'string' || apps.length === 0 || !apps.every(Array.isArray)) {
    findings.add('error', file, undefined, 'not the status of migrations: the import refuses to begin');
    return undefined;
  }
  const expected = opened.header?.zulip_version ?? status.zulip_version;
  if (expected !== status.zulip_version) {
    findings.add('error', file, undefined, `it is of Zulip ${status.zulip_version}, the manifest is of Zulip ${expected}`);
  }
  return status.zulip_version;
}

async function readConsent(opened: OpenedExport, has: Has, findings: FindingList): Promise<OpenedExport['consented']> {
  let file: string | undefined;
  for (const name of CONSENT_FILES) if (await has(name)) file ??= name;
  if (file === undefined) return undefined;
  const ids = await readJson(join(opened.directory, file));
  if (Array.isArray(ids) && ids.every((id) => Number.isSafeInteger(id))) return { file, ids: ids as number[] };
  findings.add('error', file, undefined, 'not a list of user ids');
  return undefined;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
