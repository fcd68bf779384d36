/**
 * Where an export is written. A run is a directory: OUT/NAME.partial while it grows, renamed to OUT/NAME when it is whole, so
 * that nothing half-written ever stands at the final path. What the run itself needs (lock, journal, parts of tables) lies in
 * `.realmlift` inside and is gone after the rename.
 */
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync, writeFileSync, openSync, fsyncSync, closeSync, existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import { diskError } from './part-file.js';

/** Directory of the run's own files, inside the partial directory. */
export const RUN_DIRECTORY = '.realmlift';

export interface OutputDirectory {
  /** Final path. */
  readonly final: string;
  /** Path while the export is being written. */
  readonly partial: string;
  /** True when an earlier run's partial directory is being continued. */
  readonly resumed: boolean;
  /** Moves the finished export to its final path. */
  publish(): void;
  /** Removes the partial directory, unless the run is to be resumed later. */
  discard(): void;
  /** Gives the directory free for another run. */
  release(): void;
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
  const run = join(partial, RUN_DIRECTORY);
  try {
    if (existsSync(final) && readdirSync(final).length > 0) {
      throw new RealmliftError('OUTPUT_EXISTS', 'package', `${final} is not empty`, { hint: 'move it away, or choose another directory with --output', exit: EXIT.failed });
    }
    const left = existsSync(run);
    mkdirSync(run, { recursive: true, mode: 0o700 });
    const unlock = lock(join(run, 'lock'), final);
    if (left && !resume && existsSync(join(run, 'journal'))) {
      unlock();
      throw new RealmliftError('OUTPUT_RESUMABLE', 'package', `an earlier run stopped half-way in ${partial}`, { hint: 'go on with --resume, or remove that directory' });
    }
    return {
      final, partial, resumed: left && resume,
      publish() {
        rmSync(run, { recursive: true });
        if (existsSync(final)) rmdirSync(final);
        renameSync(partial, final);
        flushDirectory(dirname(final));
      },
      discard: () => rmSync(partial, { recursive: true, force: true }),
      release: unlock,
    };
  } catch (error) {
    throw diskError(error, final);
  }
}

/** A lock of a run whose process no longer lives on this host is taken over. */
function lock(path: string, name: string): () => void {
  const mine = JSON.stringify({ pid: process.pid, host: hostname() });
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(path, mine, { flag: 'wx', mode: 0o600 });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 0) throw error;
      const { pid, host } = owner(path);
      if (host !== hostname() || alive(pid)) {
        throw new RealmliftError('OUTPUT_BUSY', 'package', `another run (process ${pid} on ${host}) writes ${name}`, { hint: `wait for it, or remove ${path} if it is gone` });
      }
      rmSync(path, { force: true });
    }
  }
}

function owner(path: string): { pid: number; host: string } {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { pid: number; host: string };
  } catch {
    return { pid: 0, host: hostname() };
  }
}

function alive(pid: number): boolean {
  if (pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A rename is safe from a power cut only when its directory is flushed. */
function flushDirectory(directory: string): void {
  const handle = openSync(directory, 'r');
  fsyncSync(handle);
  closeSync(handle);
}
