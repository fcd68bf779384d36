/**
 * Where an export is written. A run is a directory: OUT/NAME.partial while it grows, renamed to OUT/NAME when it is whole, so
 * that nothing half-written ever stands at the final path. What the run itself needs (lock, journal, parts of tables) lies in
 * `.realmlift` inside and is gone before the rename.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import { flushDirectory, journalPath } from './journal.js';
import { diskError } from './part-file.js';
import { lockRun } from './run-lock.js';

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
  /** Moves the finished export to its final path. */
  publish(): void;
  /** Gives the directory free for another run, which may resume it; one in which nothing was begun is removed. */
  release(): void;
}

/** Where an unfinished export of this name has its own files. */
export function runDirectory(output: string, name: string): string {
  return join(output, `${name}.partial`, RUN_DIRECTORY);
}

/**
 * Takes possession of OUT/NAME.
 *
 * @throws RealmliftError OUTPUT_EXISTS, OUTPUT_BUSY (another live run), OUTPUT_RESUMABLE (an earlier run stopped half-way and
 * --resume was not given), OUTPUT_UNWRITABLE
 */
export function takeOutputDirectory(output: string, name: string, resume: boolean): OutputDirectory {
  const final = join(output, name);
  const partial = `${final}.partial`;
  const run = runDirectory(output, name);
  try {
    refuseFinished(final);
    mkdirSync(run, { recursive: true, mode: 0o700 });
    const unlock = lockRun(run, final);
    try {
      // Between the first look and the lock, the run that had it may have finished.
      refuseFinished(final);
      const left = existsSync(journalPath(run)) || readdirSync(partial).some((entry) => entry !== RUN_DIRECTORY);
      if (left && !resume) {
        throw new RealmliftError('OUTPUT_RESUMABLE', 'package', `an earlier run stopped half-way in ${partial}`, { hint: 'go on with --resume, or remove that directory' });
      }
      return { final, partial, run, resumed: left, publish: () => publish(final, partial, run), release: () => release(partial, run, unlock) };
    } catch (error) {
      release(partial, run, unlock);
      throw error;
    }
  } catch (error) {
    throw diskError(error, final);
  }
}

function refuseFinished(final: string): void {
  if (existsSync(final) && readdirSync(final).length > 0) {
    throw new RealmliftError('OUTPUT_EXISTS', 'package', `${final} is not empty`, { hint: 'move it away, or choose another directory with --output', exit: EXIT.failed });
  }
}

function publish(final: string, partial: string, run: string): void {
  try {
    flushDirectory(partial);
    rmSync(run, { recursive: true });
    if (existsSync(final)) rmdirSync(final);
    renameSync(partial, final);
    flushDirectory(dirname(final));
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
