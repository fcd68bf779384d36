/** An export as a stream of tar, and as NAME.tar.gz with its SHA-256 beside it, as Zulip's own export leaves it. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, lstatSync } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack, type Pack } from 'tar-stream';
import { Mutex } from '../mutex.js';
import { shellWord } from '../shell-word.js';
import { walk } from './directory-walk.js';
import { inTheWay } from './output-directory.js';
import { createOwn, requireOwn, writeOwn } from './own-path.js';
import { diskError } from './part-file.js';

/** Level of gzip: on the JSON of messages 6 takes twice the time of 4 for 3 % less. */
const LEVEL = 4;

/** A tar that grows file by file while it is read at its other end. */
export class TarArchive {
  readonly #pack: Pack = pack();
  readonly #read: Promise<unknown>;
  readonly #order = new Mutex();

  /** @param read takes the bytes; its promise settles when they have arrived, or with why they did not */
  constructor(read: (archive: Pack) => Promise<unknown>) {
    this.#read = read(this.#pack);
    this.#read.catch((error: unknown) => this.#pack.destroy(error as Error));
  }

  /**
   * Adds a file after those that were asked for before.
   * @throws the error of the reader, such as OUTPUT_CLOSED when it went away
   */
  add(name: string, file: string, onBytes: (bytes: number) => void = () => undefined): Promise<void> {
    return this.#order.run(() => this.#entry(name, file, onBytes));
  }

  /** Marks the end, without which a reader takes the archive for cut. @throws as {@link add} */
  end(): Promise<void> {
    return this.#order.run(async () => {
      this.#pack.finalize();
      await this.#read;
    });
  }

  /** Leaves the archive cut. */
  abandon(): void {
    this.#pack.destroy();
  }

  async #entry(name: string, file: string, onBytes: (bytes: number) => void): Promise<void> {
    const { size, mtime } = await stat(file);
    try {
      const content = createReadStream(file);
      content.on('data', (chunk) => onBytes(chunk.length));
      await pipeline(content, this.#pack.entry({ name, size, mtime, mode: 0o600 }));
    } catch (error) {
      this.#pack.destroy(error as Error);
      // The reader's own error, where it is what broke the entry off.
      await this.#read;
      throw error;
    }
  }
}

/**
 * Refuses what somebody planted under one of the names that {@link writeTarball} uses.
 * @param replaces an earlier run's tarball; else that is refused too
 * @throws RealmliftError OUTPUT_UNSAFE, OUTPUT_EXISTS
 */
export function refuseTarball(directory: string, replaces: boolean): void {
  for (const name of ['.tar.gz', '.tar.gz.partial', '.tar.gz.sha256', '.tar.gz.sha256.partial']) {
    const path = `${directory}${name}`;
    if (requireOwn(path) !== undefined && !replaces && !name.endsWith('.partial')) throw inTheWay(path, 'there already');
  }
}

/** Bytes of all files of a directory. */
export function bytesBelow(directory: string): number {
  let bytes = 0;
  for (const { path } of walk(directory)) bytes += lstatSync(join(directory, path)).size;
  return bytes;
}

/**
 * Writes DIRECTORY.tar.gz and DIRECTORY.tar.gz.sha256 (as sha256sum reads it) beside the directory; under partial names
 * until they are whole.
 *
 * @param onBytes told of what has been read
 * @returns path and SHA-256 of the archive
 */
export async function writeTarball(directory: string, onBytes?: (bytes: number) => void): Promise<{ path: string; sha256: string }> {
  const path = `${directory}.tar.gz`;
  const partial = `${path}.partial`;
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  let fd: number;
  try {
    refuseTarball(directory, true);
    fd = createOwn(partial);
  } catch (error) {
    throw diskError(error, path);
  }
  const archive = new TarArchive((bytes) => pipeline(bytes, createGzip({ level: LEVEL }), hashing, createWriteStream(partial, { fd, flush: true })));
  try {
    for (const { path: file } of walk(directory)) await archive.add(`${basename(directory)}/${file}`, join(directory, file), onBytes);
    await archive.end();
    const sha256 = hash.digest('hex');
    writeOwn(`${path}.sha256`, `${sha256}  ${basename(path)}\n`);
    await rename(partial, path);
    return { path, sha256 };
  } catch (error) {
    await rm(partial, { force: true });
    throw diskError(error, path).advising(`the export itself is whole; make room and pack it by tar -czf ${shellWord(path)} -C ${shellWord(dirname(directory))} ${shellWord(basename(directory))}`);
  }
}
