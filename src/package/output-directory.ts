/**
 * Where an export is written. A run is a directory: OUT/NAME.partial while it grows, renamed to OUT/NAME when it is whole, so
 * that nothing half-written ever stands at the final path. What the run itself needs (lock, journal, parts of tables) lies in
 * `.realmlift` inside and is gone before the rename.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { flushDirectory, journalPath } from './journal.js';
import { requireOwn } from './own-path.js';
import { diskError } from './part-file.js';
import { LOCKS, lockRun } from './run-lock.js';

/** Directory of the run's own files, inside the partial directory. */
export const RUN_DIRECTORY = '.realmlift';

export interface OutputDirectory {
  /** Final path. */
  readonly final: string;
  /** Path while the export is being written. */
  readonly partial: string;
  /** Where the run's own files lie. */
  readonly run: string;
  /** True when an earlier run's partial directory is being continued. */
  readonly resumed: boolean;
  /**
   * Moves the finished export to its final path: what lies in `partial`, or in another directory on the same file system, and then `partial` is removed.
   * @param flushed false where the caller flushes many exports at once
   */
  publish(from?: string, flushed?: boolean): void;
  /** Gives the directory free for another run, which may resume it; one in which nothing was begun is removed. */
  release(): void;
  /** Removes what was written and gives the directory free. */
  discard(): void;
}

/** What becomes of what an earlier run left: it is the caller's to go on with, it ends this run, or it is removed. */
export type Leftovers = 'resume' | 'refuse' | 'remove';

/** Where an unfinished export of this name has its own files. */
export function runDirectory(output: string, name: string): string {
  return join(output, `${name}.partial`, RUN_DIRECTORY);
}

/**
 * Takes possession of OUT/NAME.
 *
 * @param owner see lockRun
 * @throws RealmliftError OUTPUT_EXISTS, OUTPUT_BUSY (another live run), OUTPUT_RESUMABLE (an export stopped half-way, and is not
 * to be gone on with), OUTPUT_UNSAFE (others made what is there), OUTPUT_UNWRITABLE
 */
export function takeOutputDirectory(output: string, name: string, leftovers: Leftovers, owner?: string): OutputDirectory {
  const final = join(output, name);
  const partial = `${final}.partial`;
  const run = runDirectory(output, name);
  try {
    refuseFinished(final);
    makeDirectories(output);
    for (const directory of [partial, run]) if (requireOwn(directory) === undefined) makeDirectory(directory);
    const unlock = lockRun(run, final, owner);
    try {
      // Between the first look and the lock, the run that had it may have finished.
      refuseFinished(final);
      // Only exports keep a journal: what merge and remap leave is of no use to anybody.
      const journal = existsSync(journalPath(run));
      const left = journal || readdirSync(partial).some((entry) => entry !== RUN_DIRECTORY);
      if (journal && leftovers === 'remove') {
        throw new RealmliftError('OUTPUT_RESUMABLE', 'package', `an export stopped half-way in ${partial}`, { hint: 'finish it with realmlift export --resume, or remove that directory, or choose another --output' });
      }
      if (left && leftovers === 'refuse') {
        throw new RealmliftError('OUTPUT_RESUMABLE', 'package', `an earlier run stopped half-way in ${partial}`, { hint: 'go on with --resume, or remove that directory' });
      }
      if (leftovers === 'remove') clear(partial, run);
      return {
        final, partial, run, resumed: left,
        publish: (from = partial, flushed = true) => publish(final, partial, run, from, flushed), release: () => release(partial, run, unlock),
        // With the lock, so that it is no other run's directory.
        discard: () => rmSync(partial, { recursive: true, force: true }),
      };
    } catch (error) {
      release(partial, run, unlock);
      throw error;
    }
  } catch (error) {
    throw diskError(error, final);
  }
}

/** A directory and those above it. Not by mkdir's own recursion, which never ends where a file system answers ENOENT to whatever is made in it, as /proc does. */
export function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectories(parent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Another run may have been as quick. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    requireOwn(path);
  }
}

function refuseFinished(final: string): void {
  const found = lstatSync(final, { throwIfNoEntry: false });
  if (found === undefined || (found.isDirectory() && readdirSync(final).length === 0)) return;
  const what = found.isSymbolicLink() ? 'a symbolic link' : found.isDirectory() ? 'not empty' : 'not a directory';
  throw inTheWay(final, what);
}

/** @param what is there: `not empty` */
export function inTheWay(path: string, what: string): RealmliftError {
  return new RealmliftError('OUTPUT_EXISTS', 'package', `${path} is ${what}`, { hint: 'move it away, or choose another directory with --output' });
}

/** Removes everything but the locks. */
function clear(partial: string, run: string): void {
  for (const name of readdirSync(partial)) if (name !== RUN_DIRECTORY) rmSync(join(partial, name), { recursive: true });
  for (const name of readdirSync(run)) if (!LOCKS.test(name)) rmSync(join(run, name), { recursive: true });
}

function publish(final: string, partial: string, run: string, from: string, flushed: boolean): void {
  try {
    if (flushed) flushDirectory(from);
    if (from === partial) rmSync(run, { recursive: true });
    if (existsSync(final)) rmdirSync(final);
    renameSync(from, final);
    if (from !== partial) rmSync(partial, { recursive: true });
    if (flushed) flushDirectory(dirname(final));
  } catch (error) {
    throw diskError(error, final);
  }
}

function release(partial: string, run: string, unlock: () => void): void {
  unlock();
  if (existsSync(journalPath(run))) return;
  for (const directory of [run, partial]) {
    try {
      rmdirSync(directory);
    } catch {
      // Something is in it that is not ours to remove, or another run has taken the directory.
      return;
    }
  }
}
