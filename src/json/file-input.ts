/** Files read once for everything: their size, their SHA-256, whether they are UTF-8, and what a scanner makes of them. */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { cannotDirectly, openDirectly, PAGE, pageAligned } from '../direct-io.js';
import { RealmliftError } from '../errors.js';
import type { ByteSource } from './json-scanner.js';

export interface ReadFile<T> {
  size: number;
  sha256: string;
  /** What `use` returned; undefined when it refused the content. */
  value: T | undefined;
  /** Why the content was refused. */
  damage: string | undefined;
}

/** For reading, without following a link, nor waiting for a writer where the file has become a FIFO since it was looked at. */
export const ORDINARY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const drainBuffer = Buffer.alloc(256 * 1024);

/** Bytes behind the damage of a file from which on it is not read to its end: nobody needs the SHA-256 of ten gigabytes of nothing. */
const WORTH_READING = 256 * 1024 * 1024;

/** In place of the SHA-256 of a file that was not read to its end. */
export const UNREAD = '';

/**
 * Reads the file to its end, synchronously: workers do nothing else, and a read of 256 KiB costs less than a turn of the
 * event loop. `use` gets the bytes; a RealmliftError from it is the file's damage, and the rest is still hashed, unless it is long.
 *
 * @param direct past the page cache, for what was written so
 * @throws the system's error when the file cannot be opened or read.
 */
export function readFile<T>(path: string, use: (source: ByteSource) => T, direct = false): ReadFile<T> {
  const fd = openSync(path, ORDINARY);
  const past = direct ? openDirectly(path, ORDINARY) : undefined;
  try {
    const utf8 = new Utf8Check();
    const read = readOpened(fd, (source) => ({ result: use(source), valid: utf8.finish() }), (chunk) => utf8.update(chunk), past === undefined ? undefined : pastTheCache(past, fd));
    return { ...read, value: read.value?.result, damage: read.value?.valid === false ? 'not valid UTF-8' : read.damage };
  } finally {
    closeSync(fd);
    if (past !== undefined) closeSync(past);
  }
}

/** Of a read past the page cache, which waits for the disk. */
let directBuffer: Buffer | undefined;
const DIRECT_BUFFER = 1 << 20;

/** @param fd of the same file, for where the disk does not take it so */
function pastTheCache(past: number, fd: number): ByteSource {
  const buffer = (directBuffer ??= pageAligned(DIRECT_BUFFER));
  let from = past;
  let [start, end, position, ended] = [0, 0, 0, false];
  const refill = (): number => {
    try {
      return readSync(from, buffer, 0, buffer.length, position);
    } catch (error) {
      if (from === fd || !cannotDirectly(error)) throw error;
      from = fd;
      return readSync(from, buffer, 0, buffer.length, position);
    }
  };
  return (target, offset) => {
    if (start === end && !ended) {
      [start, end] = [0, refill()];
      position += end;
      // Only the end lies within a page: nothing can be asked for from there on.
      ended = end === 0 || end % PAGE !== 0;
    }
    const got = Math.min(end - start, target.length - offset);
    buffer.copy(target, offset, start, start += got);
    return got;
  };
}

/** The same of a file that is open, and stays so: read from where it stands. @param seen is shown all bytes; nobody else looks whether they are UTF-8 @param read its bytes */
export function readOpened<T>(fd: number, use: (source: ByteSource) => T, seen?: (chunk: Buffer) => void, read: ByteSource = (target, offset) => readSync(fd, target, offset, target.length - offset, null)): ReadFile<T> {
  const hash = createHash('sha256');
  let size = 0;
  const source: ByteSource = (target, offset) => {
    const got = read(target, offset);
    const chunk = target.subarray(offset, offset + got);
    hash.update(chunk);
    seen?.(chunk);
    size += got;
    return got;
  };
  let value: T | undefined;
  let damage: string | undefined;
  try {
    value = use(source);
  } catch (error) {
    if (!(error instanceof RealmliftError)) throw error;
    damage = error.message;
  }
  const whole = damage === undefined ? 0 : fstatSync(fd).size;
  if (whole - size > WORTH_READING) return { size: whole, sha256: UNREAD, value, damage };
  while (source(drainBuffer, 0) > 0);
  return { size, sha256: hash.digest('hex'), value, damage };
}

/** Size and SHA-256 of a file whose content is of no concern; of one that has not the `expected` size, its size alone. */
export function hashFile(path: string, expected: number): { size: number; sha256: string } {
  const fd = openSync(path, ORDINARY);
  try {
    const stat = fstatSync(fd);
    if (stat.size !== expected) return { size: stat.size, sha256: UNREAD };
    const hash = createHash('sha256');
    let size = 0;
    for (let got = 1; got > 0; size += got) {
      got = readSync(fd, drainBuffer, 0, drainBuffer.length, null);
      hash.update(drainBuffer.subarray(0, got));
    }
    return { size, sha256: hash.digest('hex') };
  } finally {
    closeSync(fd);
  }
}

/** UTF-8 over chunks cut anywhere. PostgreSQL hands out nothing else, and Python's JSON reader takes nothing else. */
export class Utf8Check {
  #rest: Buffer = Buffer.alloc(0);
  #valid = true;

  update(chunk: Buffer): void {
    let start = 0;
    if (this.#rest.length > 0) {
      // Complete the character that the last chunk began: the continuation bytes are 10xxxxxx.
      while (start < chunk.length && start < 3 && (chunk[start]! & 0xc0) === 0x80) start++;
      this.#rest = Buffer.concat([this.#rest, chunk.subarray(0, start)]);
      if (start === chunk.length && start < 3) return;
      this.#valid &&= isUtf8(this.#rest);
    }
    // A character that is not complete begins at most three bytes before the end.
    let end = chunk.length;
    for (let i = chunk.length - 1; i >= start && i >= chunk.length - 3; i--) {
      const byte = chunk[i]!;
      if (byte < 0x80) break;
      if (byte >= 0xc0) {
        const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
        if (chunk.length - i < length) end = i;
        break;
      }
    }
    this.#valid &&= isUtf8(chunk.subarray(start, end));
    this.#rest = Buffer.from(chunk.subarray(end));
  }

  finish(): boolean {
    return this.#valid && isUtf8(this.#rest);
  }
}
