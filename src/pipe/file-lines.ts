/**
 * The files of an export as lines, each with its entry of records.json: both lists are sorted by path, so they are read side by
 * side. With a files directory each file is put there first, so that a reader of the line finds it.
 */
import { constants } from 'node:fs';
import { copyFile, link, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { digestFile, diskFault } from '../files/export-directory.js';
import { unsafe } from '../files/safe-path.js';
import { AREAS } from '../files/wanted-files.js';
import { comparePaths, type ManifestFile } from '../package/manifest.js';
import { areaOf, recordsOf, type FinishedExport } from './finished-export.js';
import { BARE, TableFile, changed } from './table-file.js';

export interface FileLine {
  /** uploads, avatars, emoji or realm_icons. */
  readonly file: string;
  /** Below the files directory, and below the export. */
  readonly path: string;
  readonly sha256: string;
  readonly size: number;
  /** The file's entry in the records.json of its area. */
  readonly record: unknown;
}

/** What link(2) answers where a second name cannot be had. */
const NO_LINK = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * @param filesDirectory where the files are put (linked, or copied where that cannot be); undefined names them only
 * @throws RealmliftError EXPORT_CHANGED, FILES_DIRECTORY when a file of another content is in the way
 */
export async function* fileLines(source: FinishedExport, filesDirectory: string | undefined): AsyncGenerator<FileLine> {
  const files = source.areaFiles();
  let entry = await files.next();
  for (const area of [...AREAS].sort()) {
    const listed = source.records.get(area);
    const records = listed === undefined ? undefined : TableFile.open(join(source.directory, listed.path), listed);
    try {
      const rows = recordRows(records);
      let record = rows.next();
      for (; entry.done !== true && areaOf(entry.value.path) === area; entry = await files.next()) {
        const { path, size, sha256 } = entry.value;
        const described = record.done !== true && `${area}/${record.value.path}` === path;
        if (record.done !== true && !described && comparePaths(`${area}/${record.value.path}`, path) < 0) throw changed(recordsOf(area), 'it has a record whose file is missing');
        if (filesDirectory !== undefined) await placeFile(join(source.directory, path), filesDirectory, entry.value);
        yield { file: area, path, sha256, size, record: described ? record.value : null };
        if (described) record = rows.next();
      }
      if (record.done !== true) throw changed(recordsOf(area), 'it has a record whose file is missing');
    } finally {
      records?.close();
    }
  }
}

function* recordRows(records: TableFile | undefined): Generator<{ path: string }, void> {
  if (records === undefined) return;
  for (const row of records.rows(BARE)) {
    const record = JSON.parse(row.toString('utf8')) as { path?: unknown };
    if (typeof record.path !== 'string') throw new RealmliftError('JSON_DAMAGED', 'verify', 'a record of records.json has no path');
    yield record as { path: string };
  }
}

/**
 * Links or copies a file of an export below `directory` and holds what is then there to its SHA-256.
 *
 * @throws RealmliftError EXPORT_CHANGED, FILES_DIRECTORY, DISK_FULL
 */
export async function placeFile(file: string, directory: string, expected: ManifestFile): Promise<void> {
  const { path } = expected;
  const problem = unsafe(path);
  if (problem !== undefined) throw changed(path, problem);
  const target = join(directory, path);
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await linkOrCopy(file, target);
  } catch (error) {
    if (error instanceof RealmliftError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw changed(path, 'it is missing', error);
    throw diskFault(error) ?? new RealmliftError('FILES_DIRECTORY', 'files', `${path} cannot be put there (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})`, {
      hint: 'choose a new or empty directory', cause: error,
    });
  }
  const { sha256 } = await digestFile(target);
  if (sha256 !== expected.sha256) throw changed(path, 'its content is another');
}

async function linkOrCopy(file: string, target: string): Promise<void> {
  try {
    await link(file, target);
  } catch (error) {
    if (!NO_LINK.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await copyFile(file, target, constants.COPYFILE_EXCL);
  }
}
