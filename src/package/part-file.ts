/**
 * A file of the export while it is being written: buffered, hashed as it goes, flushed to disk before anybody relies on it.
 * Writes are synchronous: they happen in worker threads, where they cost least and keep memory at one buffer.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, fdatasync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { asRealmliftError, RealmliftError } from '../errors.js';
import { ioReason } from '../io-reason.js';
import { cannotDirectly, PAGE, pageAligned, writableDirectly } from '../direct-io.js';

const flush = promisify(fdatasync);

/** Bytes held back before a write: large enough that system calls do not show in a profile. */
const BUFFER = 256 * 1024;

/** The same of a file that is written past the page cache, where a write waits for the disk. */
const DIRECT_BUFFER = 1 << 20;

/** Buffers of files that are closed, for the next ones: made anew for each of a hundred thousand small files they would have the collector run all the time. */
const spare: Buffer[] = [];
const spareDirect: Buffer[] = [];
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
  readonly #spare: Buffer[];
  readonly #buffer: Buffer;
  /** The same file, past the page cache. */
  #direct: number | undefined;
  #held = 0;
  #size = 0;
  #open = true;

  /**
   * Creates the file, readable by its owner alone, in place of one that may be there.
   *
   * @param direct past the page cache, where that works: of many large files that nobody is about to read
   * @throws RealmliftError as {@link diskError}
   */
  constructor(path: string, direct = false) {
    this.#path = path;
    this.#spare = direct ? spareDirect : spare;
    this.#buffer = this.#spare.pop() ?? (direct ? pageAligned(DIRECT_BUFFER) : Buffer.allocUnsafeSlow(BUFFER));
    try {
      this.#handle = openAnew(path);
      this.#direct = direct ? writableDirectly(this.#handle) : undefined;
    } catch (error) {
      throw diskError(error, path);
    }
  }

  write(bytes: Uint8Array): void {
    if (bytes.length <= this.#buffer.length - this.#held) this.#hold(bytes);
    else if (this.#direct === undefined) {
      this.#drain();
      if (bytes.length > this.#buffer.length) this.#put(bytes);
      else this.#hold(bytes);
    } else this.#fill(bytes);
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
    if (this.#spare.length < SPARE) this.#spare.push(this.#buffer);
    this.#closeDirect();
    closeSync(this.#handle);
  }

  #hold(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#held);
    this.#held += bytes.length;
  }

  /** Whole buffers alone leave: what is behind them begins where a page does. */
  #fill(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const until = at + this.#buffer.length - this.#held;
      this.#hold(bytes.subarray(at, until));
      if (until <= bytes.length) this.#drain();
      at = until;
    }
  }

  #drain(): void {
    if (this.#held > 0) this.#put(this.#buffer.subarray(0, this.#held));
    this.#held = 0;
  }

  #put(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    try {
      const from = this.#direct === undefined ? 0 : this.#putDirectly(this.#direct, bytes);
      for (let at = from; at < bytes.length;) at += writeSync(this.#handle, bytes, at, bytes.length - at, this.#size + at);
    } catch (error) {
      throw diskError(error, this.#path);
    }
    this.#size += bytes.length;
  }

  /** @returns how many bytes of whole pages were written; the rest, and all where the disk does not take it so, goes the usual way */
  #putDirectly(handle: number, bytes: Uint8Array): number {
    const pages = bytes.length - bytes.length % PAGE;
    try {
      return pages === 0 ? 0 : writeSync(handle, bytes, 0, pages, this.#size);
    } catch (error) {
      if (!cannotDirectly(error)) throw error;
      this.#closeDirect();
      return 0;
    }
  }

  #closeDirect(): void {
    if (this.#direct !== undefined) closeSync(this.#direct);
    this.#direct = undefined;
  }
}

/** Never into what has the name already: another export may have the same file (a hard link, see take-over.ts). */
function openAnew(path: string): number {
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
    return new RealmliftError('DISK_FULL', 'package', `no space left for ${path}`, { hint: 'free some space and run again with --resume', cause: error });
  }
  if (code === 'EFBIG') {
    return new RealmliftError('DISK_FULL', 'package', `${path} is larger than this process or file system allows`, { hint: 'raise the limit (ulimit -f) and run again with --resume', cause: error });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || ((error as NodeJS.ErrnoException).syscall === 'mkdir' && code === 'ENOENT')) {
    return new RealmliftError('OUTPUT_UNWRITABLE', 'package', `${path} cannot be written: ${ioReason(error)}`, { hint: 'choose another directory with --output', cause: error });
  }
  if (code === 'EMFILE' || code === 'ENFILE') return asRealmliftError(error, 'package');
  return new RealmliftError('DISK_FAILED', 'package', `${path}: ${ioReason(error)}`, { cause: error });
}
