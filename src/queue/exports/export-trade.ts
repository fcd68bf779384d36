/** A worker's part in an export: segments by threads of its own, and files out of its store. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PARTS_DIRECTORY } from '../../package/part-paths.js';
import { RowFault } from '../../export/segments/dealer.js';
import type { Progress } from '../../export/segments/row-query.js';
import type { SegmentWorkers } from '../../export/segments/segment-workers.js';
import { sendable } from '../../export/segments/sent-error.js';
import type { DealtRows } from '../../export/segments/set-segments.js';
import type { WorkerPool } from '../../export/segments/worker-pool.js';
import type { FileStore } from '../../files/file-store.js';
import type { S3Connection } from '../../files/s3/s3-client.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import type { Expected } from '../runs/expected.js';
import { fetchBatch } from './fetch-batch.js';
import type { Attempt } from './attempt.js';
import { FILES_JOB, ROWS_JOB, type FilesDone, type FilesJob, type MadePart, type RowsDone, type RowsJob } from './export-jobs.js';
import type { JobKind } from '../runs/runs.js';
import { queueDamaged } from '../runs/shape.js';
import { isOfSet, receivedSegment, sentRows } from './set-jobs.js';
import type { Made, Trade } from '../runs/trade.js';
import { InBucket, InSharedDirectory, type Workplace } from './workplace.js';

export interface ExportTradeOptions {
  /** Files under way at once. */
  readonly fileJobs: number;
  readonly openStore: () => Promise<FileStore>;
  /** Its path of the directory that all share; undefined where that is the coordinator's. */
  readonly output: string | undefined;
  /** How it reaches a bucket into which a run stores. */
  readonly s3: S3Connection;
  /** A directory for what is on its way there. */
  readonly temporary: string;
  /** Threads that have loaded their code. */
  readonly takeThreads: () => WorkerPool;
}

export class ExportTrade implements Trade {
  /** While one waits for its last file, another's come. */
  readonly batches = 2;
  /** While a few are told, the next are done: each takes a few milliseconds. */
  readonly ahead = 6;
  readonly files: string;
  readonly #store: FileStore;
  readonly #workplace: Workplace;
  readonly #options: ExportTradeOptions;
  #threads: SegmentWorkers | undefined;

  private constructor(store: FileStore, workplace: Workplace, options: ExportTradeOptions) {
    this.files = store.name;
    this.#store = store;
    this.#workplace = workplace;
    this.#options = options;
  }

  static async open(expected: Expected, options: ExportTradeOptions): Promise<ExportTrade> {
    const store = await options.openStore();
    try {
      return new ExportTrade(store, await workplaceOf(expected, options), options);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  get threads(): number {
    return this.#threads?.threads ?? 0;
  }

  elsewhere(run: string, expected: Expected): Promise<string | undefined> {
    return this.#workplace.elsewhere(run, expected);
  }

  async join(settings: ConnectionSettings, { id, held }: Expected['snapshot']): Promise<void> {
    const threads = this.#options.takeThreads();
    this.#threads = threads;
    threads.join({ settings, id, held: [...held] });
    await threads.opened;
  }

  async do(kind: JobKind, data: object, signal: AbortSignal): Promise<Made> {
    if (!(kind === 'files' ? FILES_JOB : ROWS_JOB)(data)) throw queueDamaged('run');
    const workplace = this.#workplace;
    const attempt = workplace.attempt((data as RowsJob | FilesJob).places);
    try {
      const done = kind === 'files' ? await this.#fetch(data as FilesJob, attempt, signal) : await this.#rows(data as RowsJob, attempt, signal);
      return { done, leave: () => workplace.leave(attempt), giveUp: () => workplace.giveUp(attempt, 'parts' in done ? done.parts : done.files) };
    } catch (error) {
      await workplace.giveUp(attempt, []);
      throw error;
    }
  }

  letGo(): void {
    this.#threads?.letGo();
  }

  async close(): Promise<void> {
    await this.#threads?.close();
    this.#store.close();
    await this.#workplace.close();
  }

  async #rows({ segment: sent, schema, places }: RowsJob, attempt: Attempt, signal: AbortSignal): Promise<RowsDone> {
    const parts: MadePart[] = [];
    const damaged: string[] = [];
    const progress = new Map<string, Progress>();
    if (sent.kind !== 'messages') mkdirSync(join(attempt.directory, PARTS_DIRECTORY), { recursive: true, mode: 0o700 });
    const finished = this.#workplace.finished(places);
    const segment = isOfSet(sent) ? receivedSegment(sent, finished ?? '', attempt.directory) : sent;
    let dealt: DealtRows | undefined;
    const work = this.#threads?.run({ segment, schema, directory: attempt.directory, finished: finished ?? null }, 0, signal, (message) => {
      switch (message.kind) {
        case 'part': return void parts.push({ part: message.part, kept: message.kept });
        case 'damaged': return void damaged.push(message.path);
        case 'progress': {
          const { table, rows, bytes } = message;
          const before = progress.get(table);
          return void progress.set(table, { table, rows: rows + (before?.rows ?? 0), bytes: bytes + (before?.bytes ?? 0) });
        }
        case 'dealt': return void (dealt = sentRows(message.dealt, attempt.directory));
      }
    });
    const fault = await work?.then(() => undefined, (error: unknown) => {
      if (error instanceof RowFault) return { ...sendable(error), stack: undefined };
      throw error;
    });
    return { attempt: attempt.name, parts: await this.#workplace.handOver(parts, attempt, places, signal), damaged, progress: [...progress.values()], dealt, fault };
  }

  async #fetch({ files, places }: FilesJob, attempt: Attempt, signal: AbortSignal): Promise<FilesDone> {
    const { fileJobs } = this.#options;
    return { attempt: attempt.name, files: await fetchBatch(this.#workplace.fetcher(this.#store, places), files, attempt.directory, Math.ceil(fileJobs / this.batches), signal) };
  }
}

async function workplaceOf({ output, bucket }: Expected, options: ExportTradeOptions): Promise<Workplace> {
  if (bucket === null) return new InSharedDirectory(options.output ?? output);
  const { ExportBucket } = await import('../../files/upload/export-bucket.js');
  return InBucket.open(new ExportBucket({ ...bucket, encryption: bucket.encryption ?? undefined, connection: options.s3 }), options.temporary);
}
