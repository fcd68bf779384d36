/**
 * A file of an earlier export becomes one of a new export, if it still is what it was. It shares its blocks with the earlier one where the
 * file system clones, is the same file by a second name (a hard link) where it does not, and is copied where neither works. Nothing here ever
 * writes into a file that has its name already: what is made anew takes the place of the link, and the earlier export stays as it was.
 */
import { constants, lstatSync } from 'node:fs';
import { copyFile, link, rm, utimes } from 'node:fs/promises';
import { digestOf, PartFile, type FinishedFile } from './part-file.js';

/** What the system answers where files cannot be cloned or linked, so that they are copied. */
const CANNOT = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL', 'EPERM', 'EMLINK', 'ENOTTY']);

/** File systems, by their number, that do not clone: nobody asks them twice. */
const withoutClones = new Set<bigint>();

/** A finished file that a later export may take over. */
export interface KeptFile extends FinishedFile {
  /** See {@link inodeOf}; undefined where it is not known. */
  readonly inode?: string | undefined;
}

/**
 * What tells a file on disk from one that took its place or was written to since: its number and its last change, to the nanosecond.
 * A copy has another one. Undefined where there is no ordinary file.
 */
export function inodeOf(path: string): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return found?.isFile() === true ? `${found.ino}.${found.mtimeNs}` : undefined;
}

/**
 * A file whose inode is the one that was written down is not read; of any other, the SHA-256 says whether it is the one that was finished.
 *
 * @param to is replaced
 * @returns whether the file is there as it was finished; else there is none
 * @throws RealmliftError as diskError, the file system's own error
 */
export async function takeOver(from: string, to: string, { size, sha256, inode }: KeptFile): Promise<boolean> {
  const there = lstatSync(from, { throwIfNoEntry: false, bigint: true });
  if (there?.isFile() !== true || there.size !== BigInt(size)) {
    await rm(to, { force: true });
    return false;
  }
  const known = inode === `${there.ino}.${there.mtimeNs}`;
  const cloned = !withoutClones.has(there.dev) && await attempt(to, () => copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL));
  if (!cloned) withoutClones.add(there.dev);
  const linked = !cloned && await attempt(to, () => link(from, to));
  if (!(cloned || linked) || !known) {
    const found = cloned || linked ? await digestOf(to) : await copied(from, to);
    if (found.size !== size || found.sha256 !== sha256) {
      await rm(to, { force: true });
      return false;
    }
  }
  // A link has them, and whatever else has that file too.
  if (!linked) await utimes(to, Number(there.atimeMs) / 1000, Number(there.mtimeMs) / 1000);
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

/** Makes a file that is not there, or takes away what is: that may be a link itself. @returns false where the file system cannot */
async function attempt(to: string, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (CANNOT.has(code)) return false;
    if (code !== 'EEXIST') throw error;
    await rm(to);
    return attempt(to, work);
  }
}
