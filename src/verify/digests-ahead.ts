/** Digests of files that an export has already, taken while the rest of it is made: the disk and a core have nothing else to do. */
import { join } from 'node:path';
import type { FinishedFile } from '../package/part-file.js';
import { inodeOf } from '../package/take-over.js';
import { AT_ONCE, isIntact, newBuffer } from './digests.js';

/** Files that are taken note of; more are read when all is there. */
const MOST = 10_000;

interface Listed extends FinishedFile {
  readonly path: string;
}

export class DigestsAhead {
  readonly #directory: string;
  /** By path and digest: the inode that was read, if it is intact. */
  readonly #found = new Map<string, Promise<string | undefined>>();
  readonly #buffers: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #stopped = false;

  /** @param directory of the export */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** A file is there now. */
  add(file: Listed): void {
    if (this.#found.size >= MOST) return;
    const read = this.#read(file);
    // Whoever asks for it reads it again, and learns why it cannot be read.
    this.#found.set(keyOf(file), read.catch(() => undefined));
  }

  /** What inodeOf said of the file that was read and found intact; undefined where none was. */
  async intact(file: Listed): Promise<string | undefined> {
    return this.#found.get(keyOf(file));
  }

  /** No more are read. */
  stop(): void {
    this.#stopped = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  async #read(file: Listed): Promise<string | undefined> {
    if (this.#running === AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    const buffer = this.#buffers.pop() ?? newBuffer();
    try {
      if (this.#stopped) return undefined;
      const path = join(this.#directory, file.path);
      const inode = inodeOf(path);
      return await isIntact(path, file, buffer) ? inode : undefined;
    } finally {
      this.#buffers.push(buffer);
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

function keyOf({ path, sha256 }: Listed): string {
  return `${sha256} ${path}`;
}
