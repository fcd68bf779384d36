/**
 * The journal of an unfinished export, stored beside its objects as it grows, each object the lines that are new: a coordinator on any machine
 * can go on with it. What is lost with the last lines is only done again.
 */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { Mutex } from '../../mutex.js';
import { PARTS_DIRECTORY } from '../../package/part-paths.js';
import type { ExportBucket } from '../../files/upload/export-bucket.js';
import { parseLine } from '../../package/journal-lines.js';
import { journalPath } from '../../package/journal.js';
import { RUN_DIRECTORY } from '../../package/output-directory.js';

/** Bytes in one object at most. */
const MOST = 8 << 20;

export class StoredJournal {
  readonly #bucket: ExportBucket;
  readonly #name: string;
  readonly #run: string;
  /** Bytes of it that are stored, in so many objects. */
  #saved = 0;
  #count = 0;
  readonly #saving = new Mutex();

  /** @param name of the export @param run the directory of the run's own files */
  constructor(bucket: ExportBucket, name: string, run: string) {
    this.#bucket = bucket;
    this.#name = name;
    this.#run = run;
  }

  /**
   * Fetches what an earlier coordinator stored, but for the parts that it had itself, which are gone with it.
   * @returns false where there is nothing
   */
  async restore(signal: AbortSignal): Promise<boolean> {
    const kept: string[] = [];
    for (;;) {
      const piece = await this.#bucket.read(this.#object(this.#count + 1), signal);
      if (piece === undefined) break;
      this.#count += 1;
      kept.push(...piece.toString().split('\n').filter((line) => line !== '' && parseLine<{ path?: string }>(line)?.path?.startsWith(PARTS_DIRECTORY) !== true));
    }
    if (this.#count === 0) return false;
    mkdirSync(this.#run, { recursive: true, mode: 0o700 });
    const text = Buffer.from(kept.map((line) => `${line}\n`).join(''));
    writeFileSync(journalPath(this.#run), text, { mode: 0o600 });
    this.#saved = text.length;
    return true;
  }

  /** Stores the lines that are new. @throws RealmliftError UPLOAD_FAILED */
  save(signal: AbortSignal): Promise<void> {
    return this.#saving.run(async () => {
      for (let lines = this.#news(); lines.length > 0; lines = this.#news()) {
        await this.#bucket.write(this.#object(this.#count + 1), lines, signal);
        this.#count += 1;
        this.#saved += lines.length;
      }
    });
  }

  /** Whole lines behind what is stored. */
  #news(): Buffer {
    const path = journalPath(this.#run);
    if (!existsSync(path)) return Buffer.alloc(0);
    const file = openSync(path, 'r');
    try {
      const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(MOST, fstatSync(file).size - this.#saved)));
      const read = bytes.subarray(0, readSync(file, bytes, 0, bytes.length, this.#saved));
      return read.subarray(0, read.lastIndexOf(0x0a) + 1);
    } finally {
      closeSync(file);
    }
  }

  #object(number: number): string {
    return `${this.#name}/${RUN_DIRECTORY}/journal-${String(number).padStart(6, '0')}`;
  }
}
