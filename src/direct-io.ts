/**
 * Reading and writing past the page cache (O_DIRECT), for files of which many gigabytes may be read once and written once: each 4 KiB of a file in memory
 * costs a page that must be found, filled and copied, and drives out what the database on the same machine keeps there. Where the system or the
 * file system has no such thing, nobody notices but by the clock.
 */
import { closeSync, constants, openSync, write } from 'node:fs';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { newMemory } from './webassembly.js';

/** What memory, place in the file, and length must be multiples of: no disk has larger blocks. */
export const PAGE = 4096;

const writeAt = promisify(write);

/** What the system answers where it has the flag and the file system has not. */
const CANNOT = new Set(['EINVAL', 'EOPNOTSUPP', 'ENOTSUP', 'ENOENT', 'EACCES', 'ENOTDIR']);

/** O_DIRECT is not everywhere. */
const { O_DIRECT } = constants as { readonly O_DIRECT?: number };

/**
 * A buffer of whole pages; JavaScript's own begin anywhere. Large ones only, and few: the system sets an address space aside for each.
 *
 * @param bytes that it has room for
 */
export function pageAligned(bytes: number): Buffer {
  const memory = newMemory(bytes);
  // A limited address space: then the file system refuses, and the page cache serves.
  return memory === undefined ? Buffer.allocUnsafeSlow(Math.ceil(bytes / PAGE) * PAGE) : Buffer.from(memory.buffer);
}

/** Whether a read or write failed because the file system, or the disk, does not take it this way. */
export function cannotDirectly(error: unknown): boolean {
  return CANNOT.has((error as NodeJS.ErrnoException).code ?? '');
}

/**
 * Reads a file into the buffer, from its beginning.
 *
 * @param into see {@link pageAligned}; larger than the file
 * @returns its bytes; undefined where the buffer has no room for more
 * @throws the file system's own error
 */
export async function readDirectly(path: string, into: Buffer): Promise<Buffer | undefined> {
  if (O_DIRECT === undefined) return readThrough(path, 0, into);
  try {
    return await readThrough(path, O_DIRECT, into);
  } catch (error) {
    if (!cannotDirectly(error)) throw error;
    return readThrough(path, 0, into);
  }
}

/**
 * Writes the bytes from the beginning of a file that is open: whole pages past the page cache where that works, the rest the usual way.
 *
 * @param bytes see {@link pageAligned}; left alone until it is done
 * @throws the file system's own error
 */
export async function writeDirectly(handle: number, bytes: Buffer): Promise<void> {
  const pages = bytes.length - bytes.length % PAGE;
  let at = 0;
  // By its handle: the name may be another file's by now.
  const direct = pages === 0 ? undefined : openDirectly(`/proc/self/fd/${handle}`, constants.O_WRONLY);
  if (direct !== undefined) {
    try {
      at = (await writeAt(direct, bytes, 0, pages, 0)).bytesWritten;
    } catch (error) {
      if (!cannotDirectly(error)) throw error;
    } finally {
      closeSync(direct);
    }
  }
  while (at < bytes.length) at += (await writeAt(handle, bytes, at, bytes.length - at, at)).bytesWritten;
}

/** Opens a file to be read or written past the page cache; undefined where that does not work. @param flags of the system's open @throws the file system's own error */
export function openDirectly(path: string, flags: number): number | undefined {
  if (O_DIRECT === undefined) return undefined;
  try {
    return openSync(path, flags | O_DIRECT);
  } catch (error) {
    if (cannotDirectly(error)) return undefined;
    throw error;
  }
}

async function readThrough(path: string, flag: number, into: Buffer): Promise<Buffer | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | flag);
  try {
    let length = 0;
    while (length < into.length) {
      const { bytesRead } = await file.read(into, length, into.length - length, length);
      length += bytesRead;
      // Past the page cache only the end lies within a page: nothing can be asked for from there on.
      if (bytesRead === 0 || (flag !== 0 && length % PAGE !== 0)) return into.subarray(0, length);
    }
    return undefined;
  } finally {
    await file.close();
  }
}
