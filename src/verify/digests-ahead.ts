/** Digests of files that an export has already, taken by a thread while the rest of it is made: the disk and a core have nothing else to do. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { FinishedFile } from '../package/part-file.js';
import { inodeOf, takeOver, type KeptFile } from '../package/take-over.js';
import { TaskThreads } from '../threads/task-threads.js';
import { THREAD_LIMITS } from '../threads/thread-limits.js';
import type { DigestTask } from './digest-worker.js';

/** Files that are taken note of; more are read when all is there. */
const MOST = 10_000;

/** Bytes from which on a thread is worth its start. */
const WORTH = 16 << 20;

interface Listed extends FinishedFile {
  readonly path: string;
}

export class DigestsAhead {
  readonly #directory: string;
  readonly #threads: TaskThreads<DigestTask, boolean>;
  /** By path and digest: what is to be read, in this order, where nobody needs it before. */
  readonly #waiting = new Map<string, DigestTask>();
  /** The inode that was read, or is being read, if it is intact. */
  readonly #read = new Map<string, Promise<string | undefined>>();
  #underWay = 0;
  #bytes = 0;

  private constructor(directory: string, threads: TaskThreads<DigestTask, boolean>) {
    this.#directory = directory;
    this.#threads = threads;
  }

  /** Runs `use` with them; no more are read when it has ended. @param directory of the export */
  static with<T>(directory: string, use: (ahead: DigestsAhead) => Promise<T>): Promise<T> {
    const begin = (): Worker => new Worker(new URL('./digest-worker.js', import.meta.url), { resourceLimits: THREAD_LIMITS });
    return TaskThreads.with<DigestTask, boolean, T>(1, 0, begin, (threads) => use(new DigestsAhead(directory, threads)));
  }

  /** A file is there now. */
  add(file: Listed): void {
    this.#add(this.#directory, file);
  }

  /**
   * Files of an earlier export are expected here as second names (hard links) of the same files: they can be read before they have these. Where
   * the file system clones them, or they have to be copied, what is read there says nothing of what comes here.
   *
   * @param scratch a directory of the run
   */
  async addLinked(earlier: string, files: Iterable<(Listed & KeptFile) | undefined>, scratch: string): Promise<void> {
    let linked: boolean | undefined;
    for (const file of files) {
      if (file === undefined) return;
      linked ??= await becomesLink(join(earlier, file.path), join(scratch, 'link'), file).catch(() => false);
      if (!linked || this.#isFull()) return;
      this.#add(earlier, file);
    }
  }

  /** Whether the file that the export has now was read and found intact; where not, whoever asks reads it. */
  async has(file: Listed): Promise<boolean> {
    const key = keyOf(file);
    if (this.#waiting.delete(key)) return false;
    const inode = await this.#read.get(key);
    return inode !== undefined && inode === inodeOf(join(this.#directory, file.path));
  }

  #add(directory: string, { path, size, sha256 }: Listed): void {
    const key = keyOf({ path, sha256 });
    if (this.#isFull() || this.#waiting.has(key) || this.#read.has(key)) return;
    this.#waiting.set(key, { path: join(directory, path), size, sha256 });
    this.#bytes += size;
    if (this.#bytes >= WORTH) this.#feed();
  }

  #isFull(): boolean {
    return this.#waiting.size + this.#read.size >= MOST;
  }

  #feed(): void {
    for (const [key, task] of this.#waiting) {
      if (this.#underWay === this.#threads.capacity) return;
      this.#waiting.delete(key);
      this.#underWay += 1;
      const inode = inodeOf(task.path);
      // Whoever asks for it reads it again, and learns why it cannot be read.
      this.#read.set(key, this.#threads.run(task).then((intact) => {
        this.#underWay -= 1;
        this.#feed();
        return intact ? inode : undefined;
      }, () => undefined));
    }
  }
}

async function becomesLink(from: string, to: string, file: KeptFile): Promise<boolean> {
  try {
    return await takeOver(from, to, file) && inodeOf(from) === inodeOf(to);
  } finally {
    await rm(to, { force: true });
  }
}

function keyOf({ path, sha256 }: Pick<Listed, 'path' | 'sha256'>): string {
  return `${sha256} ${path}`;
}
