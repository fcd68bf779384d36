/** Copying single files of an export, each held to the SHA-256 that its manifest names. */
import { constants } from 'node:fs';
import { chmod, copyFile, link } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { ioReason } from '../io-reason.js';
import { diskFault } from '../files/export-directory.js';
import { unsafe } from '../files/safe-path.js';
import type { ManifestFile } from '../package/manifest.js';
import { makeOwnDirectories } from '../package/own-path.js';
import { digestOf } from '../package/part-file.js';
import { changed } from './table-file.js';

/** What link(2) answers where a second name cannot be had. */
const NO_LINK = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * @param from the file, which `expected` describes
 * @param directory below it no link is followed
 * @param name where it goes, relative to `directory`; nothing may be there
 * @param how `link` gives the same file a second name where the file system can: for files that nobody will change
 * @throws RealmliftError EXPORT_CHANGED, FILE_IN_THE_WAY, OUTPUT_UNSAFE, DISK_FULL
 */
export async function placeFile(from: string, directory: string, name: string, { path, sha256 }: ManifestFile, how: 'link' | 'copy'): Promise<void> {
  const problem = unsafe(path);
  if (problem !== undefined) throw changed(path, problem);
  const to = join(directory, name);
  try {
    await makeOwnDirectories(directory, dirname(name), 0o700);
    if (how === 'copy' || !(await linked(from, to))) {
      await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      await chmod(to, 0o600);
    }
  } catch (error) {
    if (error instanceof RealmliftError) throw error;
    const { code = 'unknown reason' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES') throw changed(path, `it cannot be read: ${ioReason(error)}`, error);
    throw diskFault(error, to) ?? new RealmliftError('FILE_IN_THE_WAY', 'files', `${path} cannot be put there: ${ioReason(error)}`, { hint: 'choose a new or empty directory', cause: error });
  }
  if ((await digestOf(to)).sha256 !== sha256) throw changed(path, 'its content is another');
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (NO_LINK.has((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
