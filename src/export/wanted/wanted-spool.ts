/**
 * The lists of wanted files, taken out of the snapshot at once: files may take hours, and the snapshot would hold back vacuum
 * for as long. They lie on disk, for there may be millions of them.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Lost } from '../../files/file-store.js';
import type { WantedEmoji, WantedFiles } from '../../files/wanted-files.js';

/** @param directory of the run @param claims whether anybody will look for orphans @param onCounted how many files are wanted, and their bytes by their rows */
export async function spoolWanted(wanted: WantedFiles, directory: string, claims: boolean, onCounted: (files: number, bytes: number) => void): Promise<WantedFiles> {
  const list = <T>(name: string, entries: () => AsyncIterable<T>): Promise<() => AsyncIterable<T>> => spool(join(directory, `wanted-${name}`), entries());
  let files = 0;
  let bytes = 0;
  const counting = async function* <T extends { readonly size?: number | null }>(entries: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const entry of entries) {
      files += 1;
      bytes += entry.size ?? 0;
      yield entry;
    }
  };
  // One after another: they are cursors of one session.
  const uploads = await list('uploads', () => counting(wanted.uploads()));
  const emoji = await list('emoji', () => counting(wanted.emoji() as AsyncIterable<WantedEmoji & { readonly size?: number }>));
  onCounted(files, bytes);
  const claimedUploads = wanted.claimedUploads === undefined || !claims ? undefined : await list('claims', wanted.claimedUploads);
  return { ...wanted, uploads, emoji, claimedUploads };
}

/** A list that cannot be had is told where it is read. */
async function spool<T>(path: string, entries: AsyncIterable<T>): Promise<() => AsyncIterable<T>> {
  try {
    await pipeline(Readable.from(lines(entries)), createWriteStream(path, { mode: 0o600 }));
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    // eslint-disable-next-line @typescript-eslint/require-await
    return async function* () { throw error; };
  }
  return () => read<T>(path);
}

async function* lines(entries: AsyncIterable<unknown>): AsyncGenerator<string> {
  // Later versions of node:readline end lines at these two, which JSON may hold as they are.
  for await (const entry of entries) yield `${JSON.stringify(entry).replace(/[\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16)}`)}\n`;
}

async function* read<T>(path: string): AsyncGenerator<T> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) yield JSON.parse(line) as T;
}
