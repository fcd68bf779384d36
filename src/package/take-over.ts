/**
 * A file of an earlier export becomes one of a new export, if it still is what it was. It shares its blocks with the earlier one where the
 * file system clones, and is copied where not: neither can be changed through the other. Pulled files, which nobody edits and which are most of the
 * bytes, become hard links where they cannot be cloned; nothing here ever writes into a file that has its name already.
 */
import { constants } from 'node:fs';
import { copyFile, link, rm, stat, utimes } from 'node:fs/promises';
import { digestOf, PartFile, type FinishedFile } from './part-file.js';

/** What the system answers where files cannot be cloned or linked, so that they are copied. */
const CANNOT = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL', 'EPERM', 'EMLINK', 'ENOTTY']);

/**
 * @param to is replaced
 * @param linked whether it may become a hard link
 * @returns whether the file is there as it was finished; else there is none
 * @throws RealmliftError as diskError, the file system's own error
 */
export async function takeOver(from: string, to: string, { size, sha256 }: FinishedFile, linked: boolean): Promise<boolean> {
  // What is there may be a link itself.
  await rm(to, { force: true });
  const there = await stat(from).catch(() => undefined);
  if (there?.isFile() !== true || there.size !== size) return false;
  const cloned = await attempt(() => copyFile(from, to, constants.COPYFILE_FICLONE_FORCE));
  const same = !cloned && linked && await attempt(() => link(from, to));
  const found = cloned || same ? await digestOf(to) : await copied(from, to);
  if (found.size !== size || found.sha256 !== sha256) {
    await rm(to, { force: true });
    return false;
  }
  // A link has them, and whatever else has that file too.
  if (!same) await utimes(to, there.atime, there.mtime);
  return true;
}

async function copied(from: string, to: string): Promise<FinishedFile> {
  const file = new PartFile(to);
  try {
    await file.append(from);
    return await file.finish();
  } finally {
    file.abandon();
  }
}

/** @returns false where the file system cannot */
async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (CANNOT.has((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
