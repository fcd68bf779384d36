/** A worker's part in one run: jobs under way, which it keeps alive. */
import { setTimeout as sleep } from 'node:timers/promises';
import type PgBoss from 'pg-boss';
import { asRealmliftError, RealmliftError } from '../errors.js';
import { received } from '../export/segments/sent-error.js';
import { HeldJobs, type HeldJob } from './runs/held-jobs.js';
import { jobFailed } from './runs/job-failed.js';
import { DONE_CHANNEL } from './runs/queue-schema.js';
import type { QueueSession } from './runs/queue-session.js';
import { JOB_KINDS, queueName, tellWorker, type AnnouncedRun, type JobKind } from './runs/runs.js';
import type { Trade } from './runs/trade.js';

/** Large pieces of rows that wait here for a session: while what one did is told, it does the next. */
const AHEAD = 1;

/** Milliseconds for which a worker takes no job after one failed: others, with which nothing may be wrong, come first. Longer than it takes until one is tried again and all have looked for it. */
const PAUSE = 5000;

/** Milliseconds within which what was under way is given up when the worker leaves: what it was storing is to be removed while it can still reach the store. */
const GRACE = 5000;

/** SQLSTATE. */
const UNIQUE_VIOLATION = '23505';

export interface PartOptions {
  readonly name: string;
  readonly onFailed: (error: RealmliftError) => void;
  /** The queue gives it no work, told once for each reason. */
  readonly onHindered: (error: RealmliftError) => void;
}

interface Work {
  readonly job: HeldJob;
  readonly stop: AbortController;
}

export class RunPart {
  readonly run: AnnouncedRun;
  readonly #session: QueueSession;
  readonly #boss: PgBoss;
  readonly #options: PartOptions;
  readonly #trade: Trade;
  readonly #held: HeldJobs;
  readonly #work: Record<JobKind, Map<string, Work>> = { rows: new Map(), light: new Map(), files: new Map() };
  /** Kinds of which there may be room and work. */
  readonly #wanted = new Set<JobKind>();
  /** Kinds for which there was no room. */
  readonly #full = new Set<JobKind>();
  readonly #doing = new Set<Promise<void>>();
  #fetching = false;
  readonly #beat: NodeJS.Timeout;
  #pausedUntil = 0;
  /** Why the queue gives it no work. */
  #hindrance: string | null = null;
  #left = false;

  constructor(run: AnnouncedRun, session: QueueSession, boss: PgBoss, trade: Trade, options: PartOptions) {
    this.run = run;
    this.#session = session;
    this.#boss = boss;
    this.#trade = trade;
    this.#held = new HeldJobs(session, boss, run.id);
    this.#options = options;
    this.#beat = setInterval(() => void this.#live().catch((error: unknown) => this.#hindered(error)), run.expected.silence * 1000 / 3);
  }

  /** Tells the run that this worker is there, and takes jobs. */
  async begin(): Promise<void> {
    await this.#live();
    await this.#session.executeSql(`NOTIFY ${DONE_CHANNEL}`);
    this.take();
  }

  /** Takes as many jobs as can be done at once. */
  take(...kinds: readonly JobKind[]): void {
    for (const kind of kinds.length === 0 ? JOB_KINDS : kinds) this.#wanted.add(kind);
    this.#fetch().catch((error: unknown) => this.#hindered(error));
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
    await Promise.race([Promise.all(this.#doing), sleep(GRACE, undefined, { ref: false })]);
    await this.#trade.close();
  }

  #room(kind: JobKind): number {
    if (this.#left || performance.now() < this.#pausedUntil) return 0;
    const { threads, batches, ahead } = this.#trade;
    const { rows, light, files } = this.#work;
    if (kind === 'files') return batches - files.size;
    if (threads === 0) return 0;
    const room = threads + ahead - rows.size - light.size;
    // Some at a time, before the last has begun.
    if (kind === 'light') return 2 * room < ahead ? 0 : room;
    return Math.min(room, threads + AHEAD - rows.size);
  }

  async #fetch(): Promise<void> {
    if (this.#fetching) return;
    this.#fetching = true;
    try {
      for (let kind = this.#nextWanted(); kind !== undefined; kind = this.#nextWanted()) {
        const batchSize = this.#room(kind);
        if (batchSize <= 0) {
          this.#full.add(kind);
          continue;
        }
        this.#full.delete(kind);
        for (const job of await this.#jobs(kind, batchSize)) {
          const doing = this.#do(kind, job).finally(() => this.#doing.delete(doing));
          this.#doing.add(doing);
        }
      }
    } finally {
      this.#fetching = false;
    }
  }

  /** @throws what the queue answers, of which pg-boss says nothing: only that two took the same job is no fault */
  async #jobs(kind: JobKind, batchSize: number): Promise<HeldJob[]> {
    let failure: Error | undefined;
    const noting: Pick<QueueSession, 'executeSql'> = {
      executeSql: (text, values) => this.#session.executeSql<never>(text, values).catch((error: unknown) => {
        failure = error as Error;
        throw error;
      }),
    };
    const jobs = await this.#boss.fetch<object>(queueName(kind, this.run.id), { batchSize, includeMetadata: true, db: noting });
    if (failure !== undefined && (failure as { code?: string }).code !== UNIQUE_VIOLATION) throw failure;
    this.#hindrance = null;
    return jobs;
  }

  /** Else it would be held to be at work, and wait for ever without a word. */
  #hindered(error: unknown): void {
    if (this.#left || this.#session.lost.aborted) return;
    const known = asRealmliftError(error, 'queue');
    if (this.#hindrance === known.message) return;
    this.#hindrance = known.message;
    this.#options.onHindered(known);
    this.#tell().catch(() => undefined);
  }

  #tell(): Promise<void> {
    return tellWorker(this.#session, this.run.id, { name: this.#options.name, threads: this.#trade.threads, refused: this.#hindrance });
  }

  #nextWanted(): JobKind | undefined {
    const kind = JOB_KINDS.find((each) => this.#wanted.has(each));
    if (kind !== undefined) this.#wanted.delete(kind);
    return kind;
  }

  async #do(kind: JobKind, job: HeldJob): Promise<void> {
    const work: Work = { job, stop: new AbortController() };
    this.#work[kind].set(job.id, work);
    try {
      const made = await this.#trade.do(kind, job.data, work.stop.signal);
      if (await this.#held.complete(job, made.done)) made.leave();
      else await made.giveUp();
    } catch (error) {
      await this.#failed(work, error).catch(() => undefined);
    } finally {
      this.#work[kind].delete(job.id);
      this.take(kind, ...this.#full);
    }
  }

  /** What was taken from it, or given up by a worker that leaves, is no failure of the job. */
  async #failed({ job, stop }: Work, error: unknown): Promise<void> {
    const failed = jobFailed(error);
    if (!stop.signal.aborted) {
      this.#pausedUntil = performance.now() + PAUSE;
      this.#options.onFailed(received(failed.error, ''));
    }
    await this.#held.fail(job, failed);
  }

  /** Keeps the jobs under way; those that another has by now are given up. */
  async #live(): Promise<void> {
    await this.#tell();
    const all = JOB_KINDS.flatMap((kind) => [...this.#work[kind].values()]);
    if (all.length > 0) {
      const mine = await this.#held.keep(all.map(({ job }) => job));
      for (const { job, stop } of all) if (!mine.has(job.id)) stop.abort(new RealmliftError('JOB_TAKEN', 'queue', 'the job was given to another worker'));
    }
    this.take();
  }
}
