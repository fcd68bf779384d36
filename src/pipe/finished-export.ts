/** A finished export directory, held to its manifest: what pipe, remap, merge and import-check read. */
import { createHash } from 'node:crypto';
import { lstatSync, statSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuseParent } from '../package/exports-below.js';
import { refusePacked } from '../package/packed-export.js';
import { EXIT, RealmliftError } from '../errors.js';
import { ORPHANS_DIRECTORY } from '../files/orphans.js';
import { recordsOf } from '../files/records.js';
import { AREAS, type Area } from '../files/wanted-files.js';
import { comparePaths, MANIFEST, readManifest, type ManifestFile, type ManifestHeader } from '../package/manifest.js';
import { walk, type FoundFile } from '../package/directory-walk.js';
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

/** Top-level files that hold tables of rows, in the order in which Zulip names them. */
export const TABLE_FILES = ['realm.json', 'user.json', 'analytics.json', 'attachment.json'] as const;

/** Old and new ids by table, of an export whose ids were rewritten. */
export const ID_MAPS = 'id_maps.json';

/** The number of a messages file. */
export const MESSAGES = /^messages-(\d{6,})\.json$/;

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
  let orphans = 0;
  const numbered: { number: number; file: ManifestFile }[] = [];
  const found = filesOf(directory);
  let present = found.next();
  const passBy = (before: string | undefined): void => {
    while (present.done !== true && SIDE_FILES.has(present.value.path) && present.value.path !== before) present = found.next();
  };
  for await (const file of files) {
    passBy(file.path);
    const order = present.done === true ? 1 : comparePaths(present.value.path, file.path);
    if (present.done !== true && order < 0) throw changed(present.value.path, 'it is not listed there');
    if (present.done === true || order > 0) throw changed(file.path, 'it is missing');
    if (!present.value.isFile) throw changed(file.path, 'it is no ordinary file');
    if (lstatSync(join(directory, file.path)).size !== file.size) throw changed(file.path, 'it has another size');
    const area = areaOf(file.path);
    if (file.path.startsWith(`${ORPHANS_DIRECTORY}/`)) orphans++;
    else if (area !== undefined) {
      if (file.path === recordsOf(area)) records.set(area, file);
    } else {
      const number = MESSAGES.exec(file.path)?.[1];
      if (number === undefined) top.set(file.path, file);
      else numbered.push({ number: Number(number), file });
    }
    present = found.next();
  }
  passBy(undefined);
  if (present.done !== true) throw changed(present.value.path, 'it is not listed there');
  numbered.sort((a, b) => a.number - b.number);
  numbered.forEach(({ number, file }, index) => {
    if (number !== index + 1) throw changed(file.path, 'the import reads messages files by number, and there is a gap before it');
  });
  return {
    directory, header, orphans, top, messages: numbered.map(({ file }) => file), records,
    areaFiles: async function* () {
      for await (const file of (await readManifest(manifest)).files) {
        const area = areaOf(file.path);
        if (area !== undefined && file.path !== recordsOf(area)) yield file;
      }
    },
  };
}

/** Opens an export of which everything is to go on: files that no row names could not. @throws RealmliftError ORPHANS_STAY, and as {@link openFinishedExport} */
export async function openWithoutOrphans(directory: string): Promise<FinishedExport> {
  const source = await openFinishedExport(directory);
  if (source.orphans === 0) return source;
  throw new RealmliftError('ORPHANS_STAY', 'usage', `${directory} holds ${source.orphans} files in ${ORPHANS_DIRECTORY}/ that no row names: nothing says what would become of them`, {
    hint: 'export again with --orphans report', exit: EXIT.usage,
  });
}

/** The area of a path such as `uploads/2/ab/x.png`; undefined for a file at the top level. */
export function areaOf(path: string): Area | undefined {
  return AREAS.find((area) => path.startsWith(`${area}/`));
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
