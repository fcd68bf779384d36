/** Files that workers fetch, in batches. What the coordinator sees of it is a store like any other. */
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { RealmliftError } from '../errors.js';
import type { Candidate, Fetched, FetchedOnce, FileStore, StoredFile, Taken } from '../files/file-store.js';
import type { FileRecord } from '../files/records.js';
import type { Area, WantedFiles } from '../files/wanted-files.js';
import { diskError } from '../package/part-file.js';
import type { JobBoard } from './job-board.js';
import { ATTEMPTS_DIRECTORY, type FetchedFile, type FilesDone, type FilesJob } from './jobs.js';

/** Files under way at once: some batches for each of many workers. */
export const FILES_AT_ONCE = 2048;

/** What a batch holds at most: few enough to share out, many enough that the queue costs little. */
const MOST_FILES = 32;
const MOST_BYTES = 4 << 20;

/** Bytes of a file of which no row says how large it is. */
const USUAL_SIZE = 1 << 20;

/** Milliseconds for which a batch that is not full waits for more. */
const WAIT = 10;

interface Entry {
  readonly candidate: Candidate;
  readonly partial: string;
  readonly resolve: (file: FetchedFile | null) => void;
  readonly reject: (error: unknown) => void;
}

interface Batch {
  readonly entries: Entry[];
  readonly signal: AbortSignal;
  bytes: number;
}

export class QueuedStore implements FileStore {
  readonly kind;
  readonly description;
  readonly name;
  readonly #own: FileStore;
  readonly #board: JobBoard;
  readonly #output: string;
  /** Those that are being filled, by the directory of their attempts. */
  readonly #batches = new Map<string, Batch>();

  /** @param own the coordinator's, for what it decides itself @param output the directory that all share */
  constructor(own: FileStore, board: JobBoard, output: string) {
    this.kind = own.kind;
    this.description = own.description;
    this.name = own.name;
    this.#own = own;
    this.#board = board;
    this.#output = output;
  }

  candidates(area: Area, wanted: WantedFiles, signal: AbortSignal, listed?: boolean): AsyncIterable<Candidate> {
    return this.#own.candidates(area, wanted, signal, listed);
  }

  stillThere(candidate: Candidate, earlier: FetchedOnce): Promise<Taken | undefined> {
    return this.#own.stillThere(candidate, earlier);
  }

  unchanged(candidate: Candidate, record: FileRecord): Promise<boolean> {
    return this.#own.unchanged(candidate, record);
  }

  list(area: Area, realmId: number, signal: AbortSignal): AsyncIterable<StoredFile> {
    return this.#own.list(area, realmId, signal);
  }

  close(): void {
    this.#own.close();
  }

  /** What a worker could not have is asked for once more from here, before it is said to be lost; so is what may not travel before it was looked at. */
  async fetch(candidate: Candidate, partial: string, signal: AbortSignal): Promise<Fetched> {
    const fetched = candidate.travels === true ? await this.#queued(candidate, partial, signal) : null;
    if (fetched === null) return this.#own.fetch(candidate, partial, signal);
    const verdict = candidate.judge(fetched.info);
    if (verdict.take) return { taken: true, verdict, size: fetched.size, sha256: fetched.sha256, identity: fetched.identity };
    await rm(partial, { force: true });
    return { taken: false };
  }

  #queued(candidate: Candidate, partial: string, signal: AbortSignal): Promise<FetchedFile | null> {
    return new Promise((resolve, reject) => {
      const attempts = join(dirname(dirname(partial)), ATTEMPTS_DIRECTORY);
      const batch = this.#batches.get(attempts) ?? this.#open(attempts, signal);
      batch.entries.push({ candidate, partial, resolve, reject });
      batch.bytes += candidate.rowSize ?? USUAL_SIZE;
      if (batch.entries.length >= MOST_FILES || batch.bytes >= MOST_BYTES) this.#send(attempts, batch);
    });
  }

  #open(attempts: string, signal: AbortSignal): Batch {
    const batch: Batch = { entries: [], signal, bytes: 0 };
    this.#batches.set(attempts, batch);
    setTimeout(() => this.#send(attempts, batch), WAIT);
    return batch;
  }

  #send(attempts: string, batch: Batch): void {
    if (this.#batches.get(attempts) !== batch) return;
    this.#batches.delete(attempts);
    this.#fetchAll(attempts, batch).catch((error: unknown) => {
      for (const { reject } of batch.entries) reject(error);
    });
  }

  async #fetchAll(attempts: string, { entries, signal, bytes }: Batch): Promise<void> {
    await mkdir(attempts, { recursive: true, mode: 0o700 }).catch((error: unknown) => { throw diskError(error, attempts); });
    const job: FilesJob = { attempts: relative(this.#output, attempts), files: entries.map(({ candidate: { area, key, path } }) => ({ area, key, path })) };
    const { attempt, files } = await this.#board.send<FilesDone>('files', job, bytes, signal);
    const directory = join(attempts, attempt);
    await Promise.all(entries.map(async ({ partial, resolve, reject }, index) => {
      const file = files[index] ?? null;
      try {
        if (file !== null) await accept(join(directory, String(index)), partial, file.size);
        resolve(file);
      } catch (error) {
        reject(error);
      }
    }));
    await rm(directory, { recursive: true, force: true });
  }
}

/** Gives a file that an attempt made the name that it is to have. @throws RealmliftError PART_NOT_THERE, as diskError */
export async function accept(made: string, name: string, size: number): Promise<void> {
  const found = await stat(made).catch(() => undefined);
  if (found?.size !== size) {
    throw new RealmliftError('PART_NOT_THERE', 'queue', `a worker says that it wrote ${size} bytes to ${made}, and here ${found === undefined ? 'there is no such file' : `it has ${found.size}`}`, {
      hint: 'the output directory must be one that all machines share, and see alike',
    });
  }
  await rename(made, name).catch((error: unknown) => { throw diskError(error, name); });
}
