/** Where a worker's files go, of which there are two kinds: a directory that all share, or its own until they are stored in a bucket. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { ExportBucket } from '../../files/upload/export-bucket.js';
import type { FileStore } from '../../files/file-store.js';
import { keyed, type Expected } from '../runs/expected.js';
import { fetchFrom, type FetchOne } from './fetch-batch.js';
import { Attempt } from './attempt.js';
import type { JobPlaces, MadePart } from './export-jobs.js';
import { fetchInto } from './fetch-into-bucket.js';

export interface Workplace {
  /** Why what is written here is not where the run writes. */
  elsewhere(run: string, expected: Expected): Promise<string | undefined>;
  attempt(places: JobPlaces): Attempt;
  /** Where parts lie that an earlier run finished; undefined where the coordinator has looked at them. */
  finished(places: JobPlaces): string | undefined;
  /** Gives the coordinator what a segment made, or nobody. */
  handOver(parts: readonly MadePart[], attempt: Attempt, places: JobPlaces, signal: AbortSignal): Promise<readonly MadePart[]>;
  /** How each file of a batch is fetched. */
  fetcher(store: FileStore, places: JobPlaces): FetchOne;
  /** When nobody takes over what an attempt made. */
  giveUp(attempt: Attempt, made: readonly (Pick<MadePart, 'stored'> | null)[]): Promise<void>;
  /** When the coordinator has been told of what it made. */
  leave(attempt: Attempt): void;
  close(): Promise<void>;
}

export class InSharedDirectory implements Workplace {
  readonly #output: string;

  /** @param output this machine's path of it */
  constructor(output: string) {
    this.#output = output;
  }

  elsewhere(run: string, { probe }: Expected): Promise<string | undefined> {
    let seen = false;
    try {
      seen = isAbsolute(this.#output) && keyed(run, readFileSync(join(this.#output, probe.file), 'utf8')) === probe.digest;
    } catch {
      // It cannot be read, which is one of the two that are told.
    }
    return Promise.resolve(seen ? undefined : `${this.#output} is not the directory that the run writes to, or cannot be read`);
  }

  attempt({ attempts }: JobPlaces): Attempt {
    return new Attempt(join(this.#output, attempts));
  }

  finished({ finished }: JobPlaces): string {
    return join(this.#output, finished);
  }

  handOver(parts: readonly MadePart[]): Promise<readonly MadePart[]> {
    return Promise.resolve(parts);
  }

  fetcher(store: FileStore): FetchOne {
    return (named, partial, signal) => fetchFrom(store, named, partial, signal);
  }

  giveUp(attempt: Attempt): Promise<void> {
    attempt.remove();
    return Promise.resolve();
  }

  leave(): void {
    // What it made is the coordinator's.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export class InBucket implements Workplace {
  readonly #bucket: ExportBucket;
  readonly #directory: string;

  private constructor(bucket: ExportBucket, directory: string) {
    this.#bucket = bucket;
    this.#directory = directory;
  }

  /** @param temporary the worker's own directory */
  static async open(bucket: ExportBucket, temporary: string): Promise<InBucket> {
    return new InBucket(bucket, await mkdtemp(join(temporary, 'run-')));
  }

  async elsewhere(run: string, { probe }: Expected): Promise<string | undefined> {
    const { bucket, prefix } = this.#bucket.target;
    const found = await this.#bucket.read(probe.file, new AbortController().signal);
    return found !== undefined && keyed(run, found.toString()) === probe.digest ? undefined : `s3://${bucket}/${prefix} at its S3_ENDPOINT is not where the run writes`;
  }

  attempt(): Attempt {
    return new Attempt(this.#directory);
  }

  finished(): undefined {
    return undefined;
  }

  async handOver(parts: readonly MadePart[], attempt: Attempt, { finished }: JobPlaces, signal: AbortSignal): Promise<readonly MadePart[]> {
    const settled = await Promise.allSettled(parts.map(async (made): Promise<MadePart> => {
      const { part: { path }, kept } = made;
      return kept ? made : { ...made, stored: await this.#bucket.put(`${finished}/${path}`, join(attempt.directory, path), signal) };
    }));
    const handed = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const failure = settled.find((each) => each.status === 'rejected');
    if (failure === undefined) return handed;
    await this.giveUp(attempt, handed);
    throw failure.reason;
  }

  fetcher(store: FileStore, { finished }: JobPlaces): FetchOne {
    return fetchInto(this.#bucket, finished, store);
  }

  async giveUp(attempt: Attempt, made: readonly (Pick<MadePart, 'stored'> | null)[]): Promise<void> {
    attempt.remove();
    for (const each of made) if (each?.stored !== undefined) await this.#bucket.giveUp(each.stored);
  }

  leave(attempt: Attempt): void {
    attempt.remove();
  }

  async close(): Promise<void> {
    this.#bucket.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
