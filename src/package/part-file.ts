/**
 * A file of the export while it is being written: buffered, hashed as it goes, flushed to disk before anybody relies on it.
 * Writes are synchronous: they happen in worker threads, where they cost least and keep memory at one buffer.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, fdatasync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { asRealmliftError, RealmliftError } from '../errors.js';
import { isLoss } from '../lost-connection.js';
import { ioReason } from '../io-reason.js';
import { writeDirectly } from '../direct-io.js';

const flush = promisify(fdatasync);

/** Bytes held back before a write: large enough that system calls do not show in a profile. */
const BUFFER = 256 * 1024;

/** Buffers of files that are closed, for the next ones: made anew for each of a hundred thousand small files they would have the collector run all the time. */
const spare: Buffer[] = [];
const SPARE = 8;

export interface FinishedFile {
  /** Bytes. */
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export class PartFile {
  readonly #path: string;
  readonly #handle: number;
  readonly #hash = createHash('sha256');
  readonly #buffer = spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER);
  #held = 0;
  #size = 0;
  #open = true;

  /**
   * Creates the file, readable by its owner alone, in place of one that may be there.
   *
   * @throws RealmliftError as {@link diskError}
   */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#handle = openAnew(path);
    } catch (error) {
      throw diskError(error, path);
    }
  }

  write(bytes: Uint8Array): void {
    if (bytes.length > this.#buffer.length - this.#held) this.#drain();
    if (bytes.length > this.#buffer.length) this.#put(bytes);
    else {
      this.#buffer.set(bytes, this.#held);
      this.#held += bytes.length;
    }
  }

  writeText(text: string): void {
    this.write(Buffer.from(text));
  }

  /** Copies another file's bytes behind what was written, or the first `length` of them. */
  async append(path: string, length = statSync(path).size): Promise<void> {
    if (length <= BUFFER) {
      this.write(readFileSync(path).subarray(0, length));
      return;
    }
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, end: length - 1 })) this.write(chunk as Buffer);
  }

  /**
   * Writes what is held, flushes it to the disk and closes.
   * @param flushed false where the caller has many files flushed at once, before anybody relies on them
   */
  async finish(flushed = true): Promise<FinishedFile> {
    this.#drain();
    try {
      if (flushed) await flush(this.#handle);
    } catch (error) {
      throw diskError(error, this.#path);
    } finally {
      this.abandon();
    }
    return { size: this.#size, sha256: this.#hash.digest('hex') };
  }

  /** Closes the file as it is; what it holds is worthless. */
  abandon(): void {
    if (!this.#open) return;
    this.#open = false;
    if (spare.length < SPARE) spare.push(this.#buffer);
    closeSync(this.#handle);
  }

  #drain(): void {
    if (this.#held > 0) this.#put(this.#buffer.subarray(0, this.#held));
    this.#held = 0;
  }

  #put(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#handle, bytes, at);
    } catch (error) {
      throw diskError(error, this.#path);
    }
    this.#size += bytes.length;
  }
}

/**
 * Writes a file that is whole in memory, as {@link PartFile} does, and does not flush it. The disk works while the caller goes on: the bytes must stay
 * as they are until then.
 *
 * @param bytes of a buffer of whole pages they go past the page cache, see direct-io.ts
 * @throws RealmliftError as {@link diskError}
 */
export async function writeWhole(path: string, bytes: Buffer): Promise<FinishedFile> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  try {
    const handle = openAnew(path);
    try {
      await writeDirectly(handle, bytes);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    throw diskError(error, path);
  }
  return { size: bytes.length, sha256 };
}

/** Opens a file for writing, and never what has the name already: another export may have the same file (a hard link, see take-over.ts). @throws the file system's own error */
export function openAnew(path: string): number {
  try {
    return openSync(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    unlinkSync(path);
    return openSync(path, 'wx', 0o600);
  }
}

/** Size and SHA-256 of a file on disk, of a small one without a turn of the event loop; `check` is shown its bytes on the way. @throws the file system's own error */
export async function digestOf(path: string, check?: { update(chunk: Uint8Array): void }): Promise<FinishedFile> {
  if (statSync(path).size <= BUFFER) {
    const bytes = readFileSync(path);
    check?.update(bytes);
    return { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  }
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: BUFFER }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    check?.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest('hex') };
}

/** Whether a file still is what it was when it was finished; one that cannot be read is not. */
export async function isIntact(path: string, finished: FinishedFile): Promise<boolean> {
  try {
    return (await stat(path)).size === finished.size && (await digestOf(path)).sha256 === finished.sha256;
  } catch {
    return false;
  }
}

/** An error of the file system as ours: DISK_FULL, OUTPUT_UNWRITABLE, or DISK_FAILED with the system's own code. */
export function diskError(error: unknown, path: string): RealmliftError {
  if (error instanceof RealmliftError) return error;
  const { code = 'unknown error' } = error as { code?: string };
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new RealmliftError('DISK_FULL', 'package', `no space left for ${path}`, { hint: 'free some space', again: true, cause: error });
  }
  if (code === 'EFBIG') {
    return new RealmliftError('DISK_FULL', 'package', `${path} is larger than this process or file system allows`, { hint: 'raise the limit (ulimit -f)', again: true, cause: error });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || ((error as NodeJS.ErrnoException).syscall === 'mkdir' && code === 'ENOENT')) {
    return new RealmliftError('OUTPUT_UNWRITABLE', 'package', `${path} cannot be written: ${ioReason(error)}`, { hint: 'choose another directory with --output', cause: error });
  }
  if (code === 'EMFILE' || code === 'ENFILE') return asRealmliftError(error, 'package');
  return new RealmliftError('DISK_FAILED', 'package', `${path}: ${ioReason(error)}`, { cause: error });
}

/** The same of work that does more than write files: what came of the rest, such as a connection that was cut, is left as it is. */
export function diskErrorOf(error: unknown, path: string): unknown {
  return isLoss(error) || (error as NodeJS.ErrnoException).syscall === undefined ? error : diskError(error, path);
}
