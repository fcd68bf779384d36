/**
 * One run at a time in a directory. Locks are numbered files that name their owner: who makes the next number owns the
 * directory, and may do so only when the owner of the last one lives no more. Nobody ever removes another's file, so that two runs
 * that find a dead owner at the same moment cannot both take its place.
 */
import { linkSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';

const NAME = /^lock-(\d+)$/;

/** Names of the files with which runs lock a directory. */
export const LOCKS = /^(?:lock|owner)-/;

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process started, where the system tells: another process may have got its number meanwhile. */
  readonly started: string | undefined;
}

/**
 * @param directory of the run's own files
 * @param name of the export, for the error
 * @returns what gives the lock back
 * @throws RealmliftError OUTPUT_BUSY
 */
export function lockRun(directory: string, name: string): () => void {
  const me: Owner = { pid: process.pid, host: hostname(), started: startOf(process.pid) };
  const mine = join(directory, `owner-${process.pid}-${me.host}`);
  // Linked and not written: a lock is whole as soon as it can be seen.
  writeFileSync(mine, JSON.stringify(me), { mode: 0o600 });
  try {
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
  } finally {
    rmSync(mine, { force: true });
  }
}

function refuseAlive(lock: string, name: string): void {
  const owner = ownerOf(lock);
  if (owner === undefined || (owner.host === hostname() && !isAlive(owner))) return;
  throw new RealmliftError('OUTPUT_BUSY', 'package', `another run (process ${owner.pid} on ${owner.host}) writes ${name}`, {
    hint: `wait for it, or remove ${lock} if it is gone`,
  });
}

/** Undefined when the owner has just given it back, or when it was cut by a crash. */
function ownerOf(lock: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(lock, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

function isAlive({ pid, started }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = startOf(pid);
  return started === undefined || now === undefined || started === now;
}

/** Boot and clock ticks since it; undefined where there is no /proc, or no such process. Field 22 of proc_pid_stat(5). */
function startOf(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
    return `${boot}/${fields?.[19] ?? ''}`;
  } catch {
    return undefined;
  }
}
