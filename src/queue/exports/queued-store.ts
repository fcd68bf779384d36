/** Files that workers fetch, in batches. What the coordinator sees of it is a store like any other. */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Candidate, Fetched, FetchedOnce, FileStore, StoredFile, Taken } from '../../files/file-store.js';
import type { FileRecord } from '../../files/records.js';
import type { WantedFiles } from '../../files/wanted-files.js';
import type { Area } from '../../package/export-files.js';
import type { JobBoard } from '../runs/job-board.js';
import { filesDone, requireInside, type FetchedFile, type FilesDone, type FilesJob } from './export-jobs.js';
import type { RunOutput } from './run-output.js';

/** Files under way at once: some batches for each of many workers. */
export const FILES_AT_ONCE = 2048;

/** What a batch holds at most: few enough to share out, many enough that the queue costs little. */
const MOST_FILES = 32;
const MOST_BYTES = 4 << 20;

/** Bytes of a file of which no row says how large it is: an avatar, a custom emoji, an icon. */
const USUAL_SIZE = 1 << 17;

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
  readonly #output: RunOutput;
  /** Those that are being filled, by the directory of their export. */
  readonly #batches = new Map<string, Batch>();

  /** @param own the coordinator's, for what it decides itself @param output where all that is fetched comes together */
  constructor(own: FileStore, board: JobBoard, output: RunOutput) {
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
      // DIRECTORY/.realmlift/files/NAME
      const directory = dirname(dirname(dirname(partial)));
      const batch = this.#batches.get(directory) ?? this.#open(directory, signal);
      batch.entries.push({ candidate, partial, resolve, reject });
      batch.bytes += candidate.upload?.size ?? USUAL_SIZE;
      if (batch.entries.length >= MOST_FILES || batch.bytes >= MOST_BYTES) this.#send(directory, batch);
    });
  }

  #open(directory: string, signal: AbortSignal): Batch {
    const batch: Batch = { entries: [], signal, bytes: 0 };
    this.#batches.set(directory, batch);
    setTimeout(() => this.#send(directory, batch), WAIT);
    return batch;
  }

  #send(directory: string, batch: Batch): void {
    if (this.#batches.get(directory) !== batch) return;
    this.#batches.delete(directory);
    this.#fetchAll(directory, batch).catch((error: unknown) => {
      for (const { reject } of batch.entries) reject(error);
    });
  }

  async #fetchAll(directory: string, { entries, signal, bytes }: Batch): Promise<void> {
    const places = await this.#output.places(directory);
    const job: FilesJob = { places, files: entries.map(({ candidate: { area, key, path } }) => ({ area, key, path })) };
    const { attempt, files } = await this.#board.send<FilesDone>('files', job, bytes, signal, filesDone(entries.length));
    requireInside(attempt);
    await Promise.all(entries.map(async ({ partial, resolve, reject }, index) => {
      const file = files[index] ?? null;
      try {
        if (file !== null) await this.#output.takeFile(file, index, attempt, places.attempts, partial);
        resolve(file);
      } catch (error) {
        reject(error);
      }
    }));
    await this.#output.forget(attempt, places.attempts);
  }
}
