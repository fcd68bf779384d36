/**
 * The directory that exports go to may be one where others can make files too. What they planted there under a name that a run is
 * about to use, such as a link to a file of ours, is refused and never followed.
 */
import { closeSync, constants, lstatSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { RealmliftError } from '../errors.js';

/** Never what is there already, whether a link leads to it or not. */
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Write permission of the group and of all others. */
const OTHERS_WRITE = 0o022;

/**
 * Refuses what has this name already, unless this user made it and nobody else can write to it.
 *
 * @returns what is there; undefined when nothing is
 * @throws RealmliftError OUTPUT_UNSAFE; the file system's own error
 */
export function requireOwn(path: string): Stats | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  const why = found.isSymbolicLink() ? 'is a symbolic link'
    : !found.isFile() && !found.isDirectory() ? 'is neither a file nor a directory'
      : process.getuid !== undefined && found.uid !== process.getuid() ? `belongs to another user (id ${found.uid})`
        : found.isDirectory() && (found.mode & OTHERS_WRITE) !== 0 ? 'can be written by other users' : undefined;
  if (why === undefined) return found;
  throw new RealmliftError('OUTPUT_UNSAFE', 'package', `${path} ${why}`, { hint: 'see who made it and remove it, or choose another directory with --output' });
}

/**
 * Creates a file, readable by its owner alone, where at most an earlier run's is.
 *
 * @returns its descriptor, for writing
 * @throws RealmliftError OUTPUT_UNSAFE; the file system's own error
 */
export function createOwn(path: string): number {
  if (requireOwn(path) !== undefined) rmSync(path);
  return openSync(path, CREATE, 0o600);
}

/** Creates a file, readable by its owner alone, in place of whatever has its name; a link there is removed and not followed. */
export async function createAnew(path: string): Promise<FileHandle> {
  await rm(path, { force: true });
  return open(path, CREATE, 0o600);
}

/** Writes a small file of which nothing is at `path` before it is whole. @throws as {@link createOwn} */
export function writeOwn(path: string, content: string): void {
  requireOwn(path);
  const partial = `${path}.partial`;
  const fd = createOwn(partial);
  try {
    writeFileSync(fd, content);
  } finally {
    closeSync(fd);
  }
  renameSync(partial, path);
}
