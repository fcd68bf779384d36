/** A worker's part in one run: threads of its own in the run's snapshot, and jobs under way, which it keeps alive. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type PgBoss from 'pg-boss';
import { RealmliftError } from '../errors.js';
import { PARTS_DIRECTORY } from '../package/part-paths.js';
import type { Progress } from '../export/segments/row-query.js';
import type { SegmentWorkers } from '../export/segments/segment-workers.js';
import type { FileStore } from '../files/file-store.js';
import { fetchBatch } from './fetch-batch.js';
import { jobFailed, type Attempt, type FilesDone, type FilesJob, type MadePart, type RowsDone, type RowsJob } from './jobs.js';
import { DONE_CHANNEL, JOBS } from './queue-schema.js';
import type { QueueSession } from './queue-session.js';
import { JOB_KINDS, queueName, tellWorker, type AnnouncedRun, type JobKind } from './runs.js';
import type { Workplace } from './workplace.js';

/** Batches of files under way at once: while one waits for its last file, another's come. */
const BATCHES = 2;

/** Segments that wait here for a thread: while what one did is told, it does the next. */
const AHEAD = 1;

/** Milliseconds for which a worker takes no job after one failed: others, with which nothing may be wrong, come first. */
const PAUSE = 2000;

export interface PartOptions {
  readonly name: string;
  readonly workplace: Workplace;
  readonly store: FileStore;
  /** Files of this worker under way at once. */
  readonly fileJobs: number;
  readonly onFailed: (error: RealmliftError) => void;
}

interface Work {
  readonly job: PgBoss.JobWithMetadata;
  readonly stop: AbortController;
}

export class RunPart {
  readonly run: AnnouncedRun;
  readonly #session: QueueSession;
  readonly #boss: PgBoss;
  readonly #options: PartOptions;
  /** Undefined where the snapshot was let go before. */
  readonly #threads: SegmentWorkers | undefined;
  readonly #work: Record<JobKind, Map<string, Work>> = { rows: new Map(), files: new Map() };
  readonly #fetching = new Set<JobKind>();
  readonly #beat: NodeJS.Timeout;
  #pausedUntil = 0;
  #left = false;

  constructor(run: AnnouncedRun, session: QueueSession, boss: PgBoss, threads: SegmentWorkers | undefined, options: PartOptions) {
    this.run = run;
    this.#session = session;
    this.#boss = boss;
    this.#threads = threads;
    this.#options = options;
    this.#beat = setInterval(() => void this.#live().catch(() => undefined), run.expected.silence * 1000 / 3);
  }

  /** Tells the run that this worker is there, and takes jobs. */
  async begin(): Promise<void> {
    await this.#live();
    await this.#session.executeSql(`NOTIFY ${DONE_CHANNEL}`);
    this.take();
  }

  /** Takes as many jobs as can be done at once. */
  take(): void {
    for (const kind of JOB_KINDS) this.#take(kind).catch(() => undefined);
  }

  /** The snapshot is needed no more. */
  letGo(): void {
    this.#threads?.letGo();
  }

  /** Gives up what is under way. */
  async leave(): Promise<void> {
    this.#left = true;
    clearInterval(this.#beat);
    const reason = new RealmliftError('WORKER_LEFT', 'queue', 'the worker has left the run');
    for (const kind of JOB_KINDS) for (const { stop } of this.#work[kind].values()) stop.abort(reason);
    await this.#threads?.close();
    this.#options.store.close();
    await this.#options.workplace.close();
  }

  #room(kind: JobKind): number {
    if (this.#left || performance.now() < this.#pausedUntil) return 0;
    const threads = this.#threads?.threads ?? 0;
    return (kind === 'files' ? BATCHES : threads === 0 ? 0 : threads + AHEAD) - this.#work[kind].size;
  }

  async #take(kind: JobKind): Promise<void> {
    if (this.#fetching.has(kind)) return;
    this.#fetching.add(kind);
    try {
      for (let room = this.#room(kind); room > 0; room = this.#room(kind)) {
        const jobs = await this.#boss.fetch<object>(queueName(kind, this.run.id), { batchSize: room, includeMetadata: true });
        for (const job of jobs) void this.#do(kind, job);
        if (jobs.length === 0) break;
      }
    } finally {
      this.#fetching.delete(kind);
    }
  }

  async #do(kind: JobKind, job: PgBoss.JobWithMetadata): Promise<void> {
    const work: Work = { job, stop: new AbortController() };
    this.#work[kind].set(job.id, work);
    const { workplace } = this.#options;
    const { places } = job.data as RowsJob | FilesJob;
    let attempt: Attempt | undefined;
    try {
      attempt = workplace.attempt(places);
      const done = kind === 'rows' ? await this.#rows(job.data as RowsJob, attempt, work.stop.signal) : await this.#files(job.data as FilesJob, attempt, work.stop.signal);
      if (await this.#tell(job, (db) => this.#boss.complete(job.name, job.id, done, { db }))) workplace.leave(attempt);
      else await workplace.giveUp(attempt, 'parts' in done ? done.parts : done.files);
    } catch (error) {
      if (attempt !== undefined) await workplace.giveUp(attempt, []);
      await this.#failed(work, error).catch(() => undefined);
    } finally {
      this.#work[kind].delete(job.id);
      this.take();
    }
  }

  /** What was taken from it, or given up by a worker that leaves, is no failure of the job. */
  async #failed({ job, stop }: Work, error: unknown): Promise<void> {
    const failed = jobFailed(error);
    if (!stop.signal.aborted) {
      this.#pausedUntil = performance.now() + PAUSE;
      this.#options.onFailed(new RealmliftError(failed.error.code, failed.error.stage, failed.error.message, { table: failed.error.table, hint: failed.error.hint }));
    }
    await this.#tell(job, (db) => this.#boss.fail(job.name, job.id, failed, { db }));
  }

  /** Says what became of a job, if it is still this worker's. */
  async #tell({ name, id, retryCount }: PgBoss.JobWithMetadata, say: (db: PgBoss.Db) => Promise<unknown>): Promise<boolean> {
    return this.#session.transaction(async (statements) => {
      const { rows } = await statements.executeSql(`SELECT FROM ${JOBS}.job WHERE name = $1 AND id = $2 AND state = 'active' AND retry_count = $3 FOR UPDATE`, [name, id, retryCount]);
      if (rows.length === 0) return false;
      await say(statements);
      await statements.executeSql(`NOTIFY ${DONE_CHANNEL}`);
      return true;
    });
  }

  /** Keeps the jobs under way, of which pg-boss 10 knows only when they began; those that another has by now are given up. */
  async #live(): Promise<void> {
    await tellWorker(this.#session, this.run.id, { name: this.#options.name, threads: this.#threads?.threads ?? 0, refused: null });
    const all = JOB_KINDS.flatMap((kind) => [...this.#work[kind].values()]);
    if (all.length > 0) {
      const { rows } = await this.#session.executeSql<{ id: string }>(`
        UPDATE ${JOBS}.job SET started_on = now() FROM unnest($2::uuid[], $3::int[]) AS mine (id, tried)
        WHERE job.name = ANY ($1) AND job.id = mine.id AND job.retry_count = mine.tried AND job.state = 'active' RETURNING job.id`,
      [JOB_KINDS.map((kind) => queueName(kind, this.run.id)), all.map(({ job }) => job.id), all.map(({ job }) => job.retryCount)]);
      const mine = new Set(rows.map(({ id }) => id));
      for (const { job, stop } of all) if (!mine.has(job.id)) stop.abort(new RealmliftError('JOB_TAKEN', 'queue', 'the job was given to another worker'));
    }
    this.take();
  }

  async #rows({ segment, schema, places }: RowsJob, attempt: Attempt, signal: AbortSignal): Promise<RowsDone> {
    const { workplace } = this.#options;
    const parts: MadePart[] = [];
    const damaged: string[] = [];
    const progress = new Map<string, Progress>();
    mkdirSync(join(attempt.directory, PARTS_DIRECTORY), { recursive: true, mode: 0o700 });
    const assignment = { segment, schema, directory: attempt.directory, finished: workplace.finished(places) ?? null };
    await this.#threads?.run(assignment, 0, signal, (message) => {
      switch (message.kind) {
        case 'part': return void parts.push({ part: message.part, kept: message.kept });
        case 'damaged': return void damaged.push(message.path);
        case 'progress': {
          const { table, rows, bytes } = message;
          const before = progress.get(table);
          return void progress.set(table, { table, rows: rows + (before?.rows ?? 0), bytes: bytes + (before?.bytes ?? 0) });
        }
        case 'dealt': return undefined;
      }
    });
    return { attempt: attempt.name, parts: await workplace.handOver(parts, attempt, places, signal), damaged, progress: [...progress.values()] };
  }

  async #files({ files, places }: FilesJob, attempt: Attempt, signal: AbortSignal): Promise<FilesDone> {
    const { workplace, store, fileJobs } = this.#options;
    return { attempt: attempt.name, files: await fetchBatch(workplace.fetcher(store, places), files, attempt.directory, Math.ceil(fileJobs / BATCHES), signal) };
  }
}
