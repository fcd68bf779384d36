/** What can be loaded: an export of realmlift, held to its manifest, or one of Zulip's own, of which a manifest is made in memory. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AREAS, recordsOf, type Area } from '../../package/export-files.js';
import { comparePaths, MANIFEST, type ManifestFile } from '../../package/manifest.js';
import { digestOf } from '../../package/part-file.js';
import { inodeOf } from '../../package/take-over.js';
import { openWithoutOrphans, type ListedExport } from '../../pipe/finished-export.js';
import { withTableFiles } from '../../pipe/opened-tables.js';
import { openReadableExport } from '../../pipe/readable-export.js';
import type { Expected } from '../../pipe/table-file.js';
import { realmRow } from './realm-state.js';

/** `digest`: SHA-256 of what it holds. A load is only gone on with from the same export. */
export type LoadableExport = ListedExport & { readonly digest: string };

/** @throws RealmliftError NOT_AN_EXPORT, MANIFEST_DAMAGED, EXPORT_CHANGED, ORPHANS_STAY, NOT_ONE_REALM */
export async function openLoadable(directory: string): Promise<LoadableExport> {
  if (inodeOf(join(directory, MANIFEST)) === undefined) return listed(directory);
  const { sha256 } = await digestOf(join(directory, MANIFEST));
  return { ...await openWithoutOrphans(directory), digest: sha256 };
}

async function listed(directory: string): Promise<LoadableExport> {
  const source = await openReadableExport(directory);
  const digest = createHash('sha256');
  const withDigest = async (file: Expected): Promise<ManifestFile> => {
    const { size, sha256 } = await digestOf(join(directory, file.path));
    digest.update(`${file.path}\0${size}\0${sha256}\n`);
    return { path: file.path, size, sha256 };
  };
  const top = new Map<string, ManifestFile>();
  for (const [name, file] of source.top) top.set(name, await withDigest(file));
  const messages: ManifestFile[] = [];
  for (const file of source.messages) messages.push(await withDigest(file));
  const records = new Map<Area, ManifestFile>();
  for (const area of AREAS) if (existsSync(join(directory, recordsOf(area)))) records.set(area, await withDigest({ path: recordsOf(area), size: 0 }));
  const files: ManifestFile[] = [];
  for await (const file of source.areaFiles()) files.push(await withDigest(file));
  files.sort((a, b) => comparePaths(a.path, b.path));
  const realmId = await withTableFiles((open) => Number(realmRow(open({ ...source, top }))['id']));
  return { ...source, header: { ...source.header, realm_id: realmId }, top, messages, records, areaFiles: () => generator(files), digest: digest.digest('hex') };
}

async function* generator(files: readonly ManifestFile[]): AsyncGenerator<ManifestFile> {
  for (const file of files) yield await Promise.resolve(file);
}
