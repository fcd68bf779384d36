/**
 * What a run has finished, line by line, safe on disk before anybody relies on it: `.realmlift/journal`, one JSON object a line.
 * A line cut by a crash is no line: its part is done again.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { diskError } from './part-file.js';

/** Milliseconds that lines may wait for the next flush: a flush costs the disk, and what is lost is only done again. */
const FLUSH_INTERVAL = 100;

/** A finished file of the run. */
export interface JournalPart {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly rows?: Readonly<Record<string, number>> | undefined;
  /** Of a pulled file: its entry in records.json. */
  readonly record?: unknown;
}

export class Journal {
  readonly #handle: FileHandle;
  readonly #path: string;
  #waiting: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  static async open(path: string): Promise<Journal> {
    try {
      return new Journal(await open(path, 'a', 0o600), path);
    } catch (error) {
      throw diskError(error, path);
    }
  }

  /** Remembers a finished part; {@link close} makes sure that all lines are on disk. */
  append(entry: object): void {
    this.#waiting.push(`${JSON.stringify(entry)}\n`);
    this.#timer ??= setTimeout(() => void this.#flush().catch(() => undefined), FLUSH_INTERVAL).unref();
  }

  async close(): Promise<void> {
    try {
      await this.#flush();
    } finally {
      await this.#handle.close();
    }
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(async () => {
      const lines = this.#waiting.splice(0);
      if (lines.length === 0) return;
      try {
        await this.#handle.writeFile(lines.join(''));
        await this.#handle.datasync();
      } catch (error) {
        throw diskError(error, this.#path);
      }
    });
    return this.#writing;
  }
}

/** The whole lines of a journal; nothing when there is none. */
export async function* readJournal(path: string): AsyncGenerator<Record<string, unknown>> {
  if (!existsSync(path)) return;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    try {
      yield JSON.parse(line) as Record<string, unknown>;
    } catch {
      return;
    }
  }
}
