/** A directory beside the exports of a run for what all of them come from, gone when the run ends however it ends but by a kill; then the next run removes it. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { makeDirectories, RUN_DIRECTORY } from './output-directory.js';
import { diskError } from './part-file.js';
import { LOCKS, lockRun } from './run-lock.js';

/** Runs that can write below one output directory at the same time. */
const MOST = 100;

/** Runs `work` with an empty directory of its own below `output`. @throws RealmliftError as diskError, OUTPUT_BUSY */
export async function withWorkspace<T>(output: string, work: (directory: string) => Promise<T>): Promise<T> {
  const { directory, unlock } = take(output);
  try {
    return await work(directory);
  } finally {
    // With the lock, so that it is no other run's.
    // A worker of another machine that was given up may be adding to it at this moment.
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    unlock();
  }
}

function take(output: string): { directory: string; unlock: () => void } {
  for (let number = 1; ; number++) {
    // No realm's directory begins with a point.
    const directory = join(output, number === 1 ? RUN_DIRECTORY : `${RUN_DIRECTORY}-${number}`);
    try {
      makeDirectories(directory);
      const unlock = lockRun(directory, output);
      for (const name of readdirSync(directory)) if (!LOCKS.test(name)) rmSync(join(directory, name), { recursive: true, force: true });
      return { directory, unlock };
    } catch (error) {
      if (!(error instanceof RealmliftError) || error.code !== 'OUTPUT_BUSY' || number === MOST) throw diskError(error, directory);
    }
  }
}
