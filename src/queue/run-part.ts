/** A worker's part in one run: jobs under way, which it keeps alive. */
import type PgBoss from 'pg-boss';
import { RealmliftError } from '../errors.js';
import { jobFailed } from './jobs.js';
import { DONE_CHANNEL, JOBS } from './queue-schema.js';
import type { QueueSession } from './queue-session.js';
import { JOB_KINDS, queueName, tellWorker, type AnnouncedRun, type JobKind } from './runs.js';
import type { Trade } from './trade.js';

/** Jobs with rows that wait here for a session: while what one did is told, it does the next. */
const AHEAD = 1;

/** Milliseconds for which a worker takes no job after one failed: others, with which nothing may be wrong, come first. Longer than it takes until one is tried again and all have looked for it. */
const PAUSE = 5000;

export interface PartOptions {
  readonly name: string;
  readonly onFailed: (error: RealmliftError) => void;
}

interface Work {
  readonly job: PgBoss.JobWithMetadata<object>;
  readonly stop: AbortController;
}

export class RunPart {
  readonly run: AnnouncedRun;
  readonly #session: QueueSession;
  readonly #boss: PgBoss;
  readonly #options: PartOptions;
  readonly #trade: Trade;
  readonly #work: Record<JobKind, Map<string, Work>> = { rows: new Map(), files: new Map() };
  readonly #fetching = new Set<JobKind>();
  readonly #beat: NodeJS.Timeout;
  #pausedUntil = 0;
  #left = false;

  constructor(run: AnnouncedRun, session: QueueSession, boss: PgBoss, trade: Trade, options: PartOptions) {
    this.run = run;
    this.#session = session;
    this.#boss = boss;
    this.#trade = trade;
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
    this.#trade.letGo();
  }

  /** Gives up what is under way. */
  async leave(): Promise<void> {
    this.#left = true;
    clearInterval(this.#beat);
    const reason = new RealmliftError('WORKER_LEFT', 'queue', 'the worker has left the run');
    for (const kind of JOB_KINDS) for (const { stop } of this.#work[kind].values()) stop.abort(reason);
    await this.#trade.close();
  }

  #room(kind: JobKind): number {
    if (this.#left || performance.now() < this.#pausedUntil) return 0;
    const { threads, batches } = this.#trade;
    return (kind === 'files' ? batches : threads === 0 ? 0 : threads + AHEAD) - this.#work[kind].size;
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

  async #do(kind: JobKind, job: PgBoss.JobWithMetadata<object>): Promise<void> {
    const work: Work = { job, stop: new AbortController() };
    this.#work[kind].set(job.id, work);
    try {
      const made = await this.#trade.do(kind, job.data, work.stop.signal);
      if (await this.#tell(job, (db) => this.#boss.complete(job.name, job.id, made.done, { db }))) made.leave();
      else await made.giveUp();
    } catch (error) {
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
    await tellWorker(this.#session, this.run.id, { name: this.#options.name, threads: this.#trade.threads, refused: null });
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
}
