/** A script in a file, which gets its name when it is whole and on the disk: what is there under that name can be loaded. */
import { once } from 'node:events';
import { constants, createWriteStream, type WriteStream } from 'node:fs';
import { link, lstat, open, rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { EXIT, RealmliftError } from '../errors.js';
import { ioReason } from '../io-reason.js';
import { diskError } from '../package/part-file.js';
import type { Write } from './into-script.js';

/**
 * @param restart remove what a run left that was killed
 * @param work calls `finish` behind the last byte: from then on the script has its name, whatever becomes of the work
 * @throws RealmliftError OUTPUT_UNUSABLE, DISK_FULL, DISK_FAILED, what `work` throws; nothing is left unless it was finished
 */
export async function withScriptFile<T>(path: string, restart: boolean, work: (write: Write, finish: () => Promise<void>) => Promise<T>): Promise<T> {
  const partial = `${path}.partial`;
  if (await isThere(path)) throw unusable(path, 'it is there already', 'choose another name, or remove it');
  if (restart) await rm(partial, { force: true });
  else if (await isThere(partial)) throw unusable(partial, 'it is there already', 'a run makes it, or one that was killed has left it: then --restart removes it');
  const file = await opened(partial);
  try {
    return await work(writerOf(file, (error) => diskError(error, path)), async () => {
      await closed(file);
      await published(partial, path);
    });
  } finally {
    file.destroy();
    await rm(partial, { force: true });
  }
}

/** @param told what the failure of a write means */
export function writerOf(stream: Writable, told: (error: Error) => Error): Write {
  return (bytes) => new Promise((resolve, reject) => { stream.write(bytes, (error) => (error === null || error === undefined ? resolve() : reject(told(error)))); });
}

async function opened(partial: string): Promise<WriteStream> {
  const file = createWriteStream(partial, { mode: 0o600, flags: constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY } as unknown as Parameters<typeof createWriteStream>[1]);
  // Each write tells of its own failure; Node would end the process at the event that nobody hears.
  await once(file, 'open').catch((cause: unknown) => { throw unusable(partial, ioReason(cause), 'choose another file with --output', cause); });
  file.on('error', () => undefined);
  return file;
}

async function closed(file: WriteStream): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    file.once('error', reject);
    file.end(() => resolve());
  });
}

/** Under its name, which nobody else has taken meanwhile. */
async function published(partial: string, path: string): Promise<void> {
  try {
    const file = await open(partial);
    await file.datasync().finally(() => file.close());
    await link(partial, path);
    await rm(partial);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? unusable(path, 'it is there already', 'choose another name, or remove it', error) : diskError(error, path);
  }
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(() => true, () => false);
}

function unusable(path: string, why: string, hint: string, cause?: unknown): RealmliftError {
  return new RealmliftError('OUTPUT_UNUSABLE', 'usage', `cannot write ${path}: ${why}`, { hint, exit: EXIT.usage, cause });
}
