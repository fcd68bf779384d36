/**
 * Flushing to the disk, which nobody waits for before an export is published: what lies there until then is read again before it is believed.
 *
 * Many exports are flushed at once: a dozen files of each of a thousand, flushed one by one, would wait for the disk ten times as long as all the rest takes.
 */
import { execFile } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { diskError } from './part-file.js';
import { isMessagesPath } from './export-files.js';

/** @param root a directory of the file system that holds them @throws RealmliftError as diskError */
export async function flushTogether(root: string, directories: readonly string[]): Promise<void> {
  // syncfs(2), which Node has no call for; coreutils have it since 8.24.
  const done = await promisify(execFile)('sync', ['-f', root]).then(() => true, () => false);
  if (done) return;
  for (const directory of directories) flushBelow(directory);
}

/** Files under way to the disk at a time: Node has four threads for all that waits. */
const LANES = 2;

/** Flushes files while others are still written. */
export class FlushBeside {
  readonly #lanes: Promise<void>[] = Array.from({ length: LANES }, () => Promise.resolve());
  #added = 0;

  add(path: string): void {
    const lane = this.#added++ % LANES;
    const flushed = (this.#lanes[lane] as Promise<void>).then(() => flushFile(path));
    // Whoever waits for all hears of it.
    flushed.catch(() => undefined);
    this.#lanes[lane] = flushed;
  }

  /** Waits until they are on the disk. @throws RealmliftError as diskError */
  async all(): Promise<void> {
    await Promise.all(this.#lanes);
  }
}

/** What an export has at its top, but for messages files, which are flushed beside the rows: the disk writes its own journal once for all of them. @param more paths of files below @throws RealmliftError as diskError */
export async function flushTop(directory: string, more: readonly string[]): Promise<void> {
  const top = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isFile() && !isMessagesPath(entry.name)).map(({ name }) => name);
  await Promise.all([...top, ...more].map((name) => flushFile(join(directory, name))));
}

async function flushFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'r');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(error, path);
  }
}

function flushBelow(directory: string): void {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) flushBelow(join(directory, entry.name));
      else if (entry.isFile()) flushOne(join(directory, entry.name));
    }
    flushOne(directory);
  } catch (error) {
    throw diskError(error, directory);
  }
}

function flushOne(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
