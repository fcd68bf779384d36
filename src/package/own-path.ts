/**
 * The directory that exports go to may be one where others can make files too. What they planted there under a name that a run is
 * about to use, such as a link to a file of ours, is refused and never followed.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, lstatSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { lstat, mkdir, open, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RealmliftError } from '../errors.js';

/** Never what is there already, whether a link leads to it or not. */
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Write permission of the group and of all others. */
const OTHERS_WRITE = 0o022;

/** Write permission of all others. */
const ALL_WRITE = 0o002;

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

/**
 * Where a file that others named is written before it is whole: in its directory, by a name that is short however long its own is, and the same in
 * each run, which so finds what an earlier one left.
 */
export function partialBeside(path: string): string {
  return join(dirname(path), `.realmlift-${createHash('sha256').update(basename(path)).digest('hex').slice(0, 32)}`);
}

/**
 * Makes the directories of `path` below `root`, which is made too and may itself be a link: it is what the user named.
 *
 * @param path relative; must have passed `unsafe`
 * @param onMade is told each directory that was not there
 * @throws as {@link requireOwnDirectories}
 */
export async function makeOwnDirectories(root: string, path: string, mode: number, onMade: (directory: string) => Promise<void> = () => Promise.resolve()): Promise<void> {
  await mkdir(root, { recursive: true, mode });
  await visitDirectories(root, path, async (directory) => {
    try {
      await mkdir(directory, { mode });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
      throw error;
    }
    await onMade(directory);
  });
}

/**
 * Refuses a way from `root` along `path` that leads through a link or through a directory that strangers made or can write to: what is
 * written or removed there would be elsewhere. Directories may belong to this user, to root, or to the owner of `root`.
 *
 * @throws RealmliftError OUTPUT_UNSAFE; the file system's own error
 */
export async function requireOwnDirectories(root: string, path: string): Promise<void> {
  await visitDirectories(root, path, undefined);
}

/** @param make undefined ends the way at what is not there */
async function visitDirectories(root: string, path: string, make: ((directory: string) => Promise<void>) | undefined): Promise<void> {
  const owners = new Set([process.getuid?.() ?? 0, 0, (await stat(root)).uid]);
  let directory = root;
  for (const name of path.split('/').filter((each) => each !== '' && each !== '.')) {
    directory = join(directory, name);
    let found = await lookAt(directory);
    if (found === undefined) {
      if (make === undefined) return;
      await make(directory);
      found = await lstat(directory);
    }
    const why = found.isSymbolicLink() ? 'is a symbolic link'
      : !found.isDirectory() ? 'is not a directory'
        : !owners.has(found.uid) ? `belongs to another user (id ${found.uid})`
          : (found.mode & ALL_WRITE) !== 0 ? 'can be written by all users' : undefined;
    if (why !== undefined) throw unsafePlace(directory, why);
  }
}

/** Refuses a link of this name, wherever it leads. @throws RealmliftError OUTPUT_UNSAFE */
export async function refuseLink(path: string): Promise<void> {
  if ((await lookAt(path))?.isSymbolicLink() === true) throw unsafePlace(path, 'is a symbolic link');
}

async function lookAt(path: string): Promise<Stats | undefined> {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

function unsafePlace(path: string, why: string): RealmliftError {
  return new RealmliftError('OUTPUT_UNSAFE', 'files', `${path} ${why}`, { hint: 'see who made it and remove it, or choose another directory; where another disk is wanted, mount it there' });
}

/** Writes a small file of which nothing is at `path` before it is whole. @throws as {@link createOwn} */
export function writeOwn(path: string, content: string): void {
  requireOwn(path);
  const partial = `${path}.partial`;
  const fd = createOwn(partial);
  try {
    try {
      writeFileSync(fd, content);
    } finally {
      closeSync(fd);
    }
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/** The same for a file that a person named: a pipe or a device takes the content as it comes. */
export async function writeNamed(path: string, content: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isFile()) writeOwn(path, content);
  else await writeFile(path, content);
}
