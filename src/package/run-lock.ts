/**
 * One run at a time in a directory. Locks are numbered files that name their owner: who makes the next number owns the
 * directory, and may do so only when the owner of the last one lives no more. Nobody ever removes another's file, so that two runs
 * that find a dead owner at the same moment cannot both take its place.
 */
import { linkSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { mayRun, readOwner, thisProcess } from '../process-owner.js';

const NAME = /^lock-(\d+)$/;

/** Names of the files with which runs lock a directory. */
export const LOCKS = /^(?:lock|owner)-/;

/**
 * @param directory of the run's own files
 * @param name of the export, for the error
 * @param owner a file on the same file system that names this process already, see ownerFile: who locks thousands of directories writes one
 * @returns what gives the lock back
 * @throws RealmliftError OUTPUT_BUSY
 */
export function lockRun(directory: string, name: string, owner?: string): () => void {
  if (owner !== undefined) {
    try {
      return lockBy(owner, directory, name);
    } catch (error) {
      // A file has a limit of links (65,000 of ext4), and some file systems have none.
      if (error instanceof RealmliftError) throw error;
    }
  }
  const mine = ownerFile(directory);
  try {
    return lockBy(mine, directory, name);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Writes a file that names this process, for locks. @returns its path */
export function ownerFile(directory: string): string {
  const me = thisProcess();
  const path = join(directory, `owner-${process.pid}-${me.host}`);
  writeFileSync(path, JSON.stringify(me), { mode: 0o600 });
  return path;
}

/** Linked and not written: a lock is whole as soon as it can be seen. */
function lockBy(mine: string, directory: string, name: string): () => void {
  for (;;) {
    const last = Math.max(0, ...readdirSync(directory).map((file) => Number(NAME.exec(file)?.[1] ?? 0)));
    if (last > 0) refuseAlive(join(directory, `lock-${last}`), name);
    const lock = join(directory, `lock-${last + 1}`);
    try {
      linkSync(mine, lock);
      return () => rmSync(lock, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function refuseAlive(lock: string, name: string): void {
  const owner = readOwner(lock);
  // One that has just been given back, or was cut by a crash, names nobody.
  if (owner === undefined || !mayRun(owner)) return;
  throw new RealmliftError('OUTPUT_BUSY', 'package', `another run (process ${owner.pid} on ${owner.host}) writes ${name}`, {
    hint: `wait for it, or remove ${lock} if it is gone`,
  });
}
