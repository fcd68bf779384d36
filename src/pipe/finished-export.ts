/** A finished export directory, held to its manifest. */
import { createHash } from 'node:crypto';
import { lstatSync, statSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuseParent } from '../package/exports-below.js';
import { refusePacked } from '../package/packed-export.js';
import { EXIT, RealmliftError } from '../errors.js';
import { ORPHANS_DIRECTORY } from '../files/orphans.js';
import { areaOf, MESSAGES_FILE, recordsOf, TABLE_FILES, type Area } from '../package/export-files.js';
import { MANIFEST, readManifest, type ManifestFile, type ManifestHeader } from '../package/manifest.js';
import { walk, type FoundFile } from '../package/directory-walk.js';
import { compareWithManifest } from '../package/manifest-comparison.js';
import { SIDE_FILES } from '../package/side-files.js';
import { changed, type Expected } from './table-file.js';

/** An export whose tables can be read: of realmlift ({@link FinishedExport}), or one that Zulip itself wrote. */
export interface ReadableExport {
  readonly directory: string;
  /** What is known of it; Zulip does not write down its mode. */
  readonly header: Pick<ManifestHeader, 'realm' | 'zulip_version' | 'options'> & { readonly mode?: string };
  /** Files at the top level but messages files and the manifest, by name. */
  readonly top: ReadonlyMap<string, Expected>;
  /** messages-000001.json and so on, without a gap. */
  readonly messages: readonly Expected[];
  /** The files in uploads/, avatars/, emoji/ and realm_icons/ but records.json. */
  readonly areaFiles: () => AsyncIterable<Expected> | Iterable<Expected>;
}

/** An export of which every file is listed with its SHA-256, by a manifest or by whoever opened it. */
export type ListedExport = Omit<ReadableExport, 'messages' | 'areaFiles'> & Pick<FinishedExport, 'messages' | 'records' | 'areaFiles'> & { readonly header: Pick<ManifestHeader, 'realm_id'> };

export interface FinishedExport extends ReadableExport {
  readonly header: ManifestHeader;
  /** How many files it holds that no row names, see --orphans copy. */
  readonly orphans: number;
  readonly top: ReadonlyMap<string, ManifestFile>;
  readonly messages: readonly ManifestFile[];
  /** records.json of each area that has one. */
  readonly records: ReadonlyMap<Area, ManifestFile>;
  /** The files in uploads/, avatars/, emoji/ and realm_icons/ but records.json, by path. */
  readonly areaFiles: () => AsyncGenerator<ManifestFile>;
}

/** Old and new ids by table, of an export whose ids were rewritten. */
export const ID_MAPS = 'id_maps.json';

/**
 * Opens an export: its manifest is read, and every file must be there with its size, and no other. Contents are compared when
 * they are read.
 *
 * @throws RealmliftError NOT_AN_EXPORT, MANIFEST_DAMAGED, EXPORT_CHANGED
 */
export async function openFinishedExport(directory: string): Promise<FinishedExport> {
  refusePacked(directory);
  refuseParent(directory);
  const manifest = join(directory, MANIFEST);
  // Of a file it is asked in vain.
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true || lstatSync(manifest, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new RealmliftError('NOT_AN_EXPORT', 'usage', `${directory} has no manifest.json`, {
      hint: 'name the directory of a finished export of realmlift; exports of other tools do not say when and how they were taken', exit: EXIT.usage,
    });
  }
  const { header, files } = await readManifest(manifest);
  const top = new Map<string, ManifestFile>();
  const records = new Map<Area, ManifestFile>();
  const numbered: ManifestFile[] = [];
  let orphans = 0;
  for await (const file of presentFiles(directory, files)) {
    const area = areaOf(file.path);
    if (file.path.startsWith(`${ORPHANS_DIRECTORY}/`)) orphans++;
    else if (area !== undefined) {
      if (file.path === recordsOf(area)) records.set(area, file);
    } else if (MESSAGES_FILE.test(file.path)) numbered.push(file);
    else top.set(file.path, file);
  }
  const messages = byNumber(numbered);
  messages.forEach(({ path }, index) => {
    if (numberOf(path) !== index + 1) throw changed(path, 'the import reads messages files by number, and there is a gap before it');
  });
  return {
    directory, header, orphans, top, messages, records,
    areaFiles: async function* () {
      for await (const file of (await readManifest(manifest)).files) {
        const area = areaOf(file.path);
        if (area !== undefined && file.path !== recordsOf(area)) yield file;
      }
    },
  };
}

/** The files that a manifest lists, held to what is there. @throws RealmliftError EXPORT_CHANGED */
async function* presentFiles(directory: string, files: AsyncGenerator<ManifestFile>): AsyncGenerator<ManifestFile> {
  for await (const { path, found, listed } of compareWithManifest(filesOf(directory), files)) {
    if (listed === undefined) {
      if (SIDE_FILES.has(path)) continue;
      throw changed(path, 'it is not listed there');
    }
    if (found === undefined) throw changed(path, 'it is missing');
    if (!found.isFile) throw changed(path, 'it is no ordinary file');
    if (lstatSync(join(directory, path)).size !== listed.size) throw changed(path, 'it has another size');
    yield listed;
  }
}

/** Messages files in the order in which the import reads them, which is not that of their paths once their numbers are longer than six digits. */
export function byNumber<File extends Expected>(files: readonly File[]): File[] {
  return [...files].sort((a, b) => numberOf(a.path) - numberOf(b.path));
}

function numberOf(path: string): number {
  return Number(MESSAGES_FILE.exec(path)?.[1]);
}

/** Opens an export of which everything is to go on: files that no row names could not. @throws RealmliftError ORPHANS_STAY, and as {@link openFinishedExport} */
export async function openWithoutOrphans(directory: string): Promise<FinishedExport> {
  const source = await openFinishedExport(directory);
  if (source.orphans === 0) return source;
  throw new RealmliftError('ORPHANS_STAY', 'usage', `${directory} holds ${source.orphans} files in ${ORPHANS_DIRECTORY}/ that no row names: nothing says what would become of them`, {
    hint: 'export again with --orphans report', exit: EXIT.usage,
  });
}

/** How many uploaded files it has, for progress. */
export async function areaFileCount(source: Pick<ReadableExport, 'areaFiles'>): Promise<number> {
  let count = 0;
  for await (const file of source.areaFiles()) if (file.size >= 0) count++;
  return count;
}

/** Bytes of the files with rows. */
export function rowBytes(source: Pick<ReadableExport, 'top' | 'messages'>): number {
  return [...tableFiles(source), ...source.messages].reduce((sum, { size }) => sum + size, 0);
}

/** The files of {@link TABLE_FILES} that the export has. */
export function tableFiles<File extends Expected>({ top }: { readonly top: ReadonlyMap<string, File> }): File[] {
  return TABLE_FILES.map((name) => top.get(name)).filter((file) => file !== undefined);
}

/**
 * The text of a small file at the top level, held to its SHA-256.
 *
 * @returns undefined when the export has no such file
 * @throws RealmliftError EXPORT_CHANGED
 */
export function readTop({ directory, top }: Pick<ReadableExport, 'directory' | 'top'>, name: string): string | undefined {
  const listed = top.get(name);
  if (listed === undefined) return undefined;
  const bytes = readFileSync(join(directory, name));
  if (listed.sha256 !== undefined && createHash('sha256').update(bytes).digest('hex') !== listed.sha256) throw changed(name, 'its content is another');
  return bytes.toString('utf8');
}

function* filesOf(directory: string): Generator<FoundFile> {
  for (const file of walk(directory)) if (file.path !== MANIFEST) yield file;
}
