/**
 * A directory for what must be on a disk for a while. It may hold private data, so it does not outlive its process: not one that
 * ends in any orderly way, nor one that is killed, after which a guard removes it; nor one that is killed together with its
 * guard, or by the machine, after which the next start does.
 */
import { spawn } from 'node:child_process';
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RealmliftError } from './errors.js';
import { ioReason, isDiskFull } from './io-reason.js';
import { mayRun, readOwner, thisProcess } from './process-owner.js';

/** Where the path of a file is short, as that of a unix socket must be; a TMPDIR may lie as deep as it likes. */
export const SHORT = '/tmp';

/** All names begin with it. */
const PREFIX = 'realmlift-';

/** Says inside whose the directory is. */
const OWNER = '.realmlift-owner';

/**
 * Waits for the end of its standard input, which its starter's end brings about however that comes. A program that the starter ran may write
 * there until it has noticed that end too.
 */
const GUARD = 'read -r _; rm -rf -- "$1" || { sleep 10; rm -rf -- "$1"; }';

/**
 * Runs `work` with a directory of its own under TMPDIR, readable by its owner alone (0700), and removes it however `work` ends.
 *
 * @param purpose part of its name
 * @param below where it is made instead: SHORT
 * @throws RealmliftError TMPDIR_UNUSABLE
 */
export async function withTemporaryDirectory<T>(purpose: string, work: (directory: string) => Promise<T>, below = tmpdir()): Promise<T> {
  const directory = await newDirectory(purpose, below);
  const release = guard(directory);
  try {
    return await work(directory);
  } finally {
    // Where work that was left behind still writes, it cannot be removed: the guard does it when this process has ended.
    await rm(directory, { recursive: true, force: true }).then(release, () => undefined);
  }
}

/** Finds out now what would else end a run in the end. @throws RealmliftError TMPDIR_UNUSABLE */
export async function tryTemporaryDirectory(): Promise<void> {
  await rm(await newDirectory('try', tmpdir()), { recursive: true, force: true });
}

/** Removes directories of this user whose process lives no more. */
export function removeAbandoned(): void {
  const user = process.getuid?.();
  for (const directory of [...new Set([tmpdir(), SHORT])].flatMap(entriesOf)) {
    try {
      const found = lstatSync(directory);
      const ours = found.isDirectory() && found.uid === user && lstatSync(join(directory, OWNER), { throwIfNoEntry: false }) !== undefined;
      const owner = ours ? readOwner(join(directory, OWNER)) : undefined;
      if (owner !== undefined && !mayRun(owner)) rmSync(directory, { recursive: true, force: true });
    } catch {
      // Another start was as quick, or it cannot be removed: that is no trouble of this run's.
    }
  }
}

/** @throws RealmliftError where a temporary file cannot be made */
export function temporaryError(cause: unknown, below = tmpdir()): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (cause instanceof RealmliftError || code === undefined) return cause;
  return new RealmliftError('TMPDIR_UNUSABLE', 'usage', `temporary files cannot be written below ${below}: ${ioReason(cause)}`, { hint: isDiskFull(cause) ? 'make room there, or name a directory with TMPDIR' : 'name a directory that can be written with TMPDIR', cause });
}

async function newDirectory(purpose: string, below: string): Promise<string> {
  let directory: string | undefined;
  try {
    directory = await mkdtemp(join(below, `${PREFIX}${purpose}-`));
    await writeFile(join(directory, OWNER), JSON.stringify(thisProcess()), { mode: 0o600, flag: 'wx' });
    return directory;
  } catch (error) {
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
    throw temporaryError(error, below);
  }
}

/** @returns what lets the guard go */
function guard(directory: string): () => void {
  // A session of its own: what a terminal or a shell sends to its jobs does not reach it.
  const child = spawn('/bin/sh', ['-c', GUARD, 'guard', directory], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  // Without a shell the next start does it.
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  child.unref();
  (child.stdin as Socket).unref();
  return () => child.stdin.end();
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => name.startsWith(PREFIX)).map((name) => join(directory, name));
  } catch {
    return [];
  }
}
