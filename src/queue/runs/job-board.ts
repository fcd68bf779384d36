/** The jobs of a run as its coordinator sees them: sent, and heard of again when they are done or have failed everywhere. */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type PgBoss from 'pg-boss';
import { RealmliftError } from '../../errors.js';
import { received } from '../../export/segments/sent-error.js';
import { Batches } from './batches.js';
import { isJobFailed, type JobFailed } from './job-failed.js';
import { JOBS, WORK_CHANNEL } from './queue-schema.js';
import type { QueueSession } from './queue-session.js';
import { queueName, queuesOf, type JobKind } from './runs.js';
import { queueDamaged, type Shape } from './shape.js';

/** Expected bytes below which a piece of rows is small. */
export const LIGHT = 256 << 10;

interface Pending {
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** It is in the queue. */
  sent: boolean;
}

interface Job {
  readonly id: string;
  readonly name: string;
  readonly data: object;
  readonly priority: number;
}

type Ended = { readonly id: string; readonly state: 'completed' | 'failed'; readonly output: unknown };

export class JobBoard {
  readonly #session: QueueSession;
  readonly #boss: PgBoss;
  readonly #run: string;
  readonly #silence: number;
  readonly #pending = new Map<string, Pending>();
  /** A run begins with a hundred small jobs, and one after the other they would keep the session busy while the first are done. */
  readonly #unsent = new Batches<Job>((jobs) => this.#sendAll(jobs));
  #gathering = false;
  #again = false;

  /** @param silence seconds, for what is told of workers that vanished */
  constructor(session: QueueSession, boss: PgBoss, run: string, silence: number) {
    this.#session = session;
    this.#boss = boss;
    this.#run = run;
    this.#silence = silence;
  }

  /**
   * @param weight expected bytes: the largest goes first
   * @param signal drops the job
   * @param shape of a T
   * @returns what the worker says that did it
   * @throws RealmliftError what the last try failed with; WORKERS_VANISHED, QUEUE_DAMAGED
   */
  async send<T>(kind: Exclude<JobKind, 'light'>, job: object, weight: number, signal: AbortSignal, shape: Shape): Promise<T> {
    signal.throwIfAborted();
    // Each job that waits or is under way listens.
    setMaxListeners(0, signal);
    const [id, queue] = [randomUUID(), queueName(kind === 'rows' && weight < LIGHT ? 'light' : kind, this.#run)];
    const done = new Promise<unknown>((resolve, reject) => this.#pending.set(id, { resolve, reject, sent: false }));
    const drop = (): void => {
      this.#take(id)?.reject(signal.reason);
      this.#unsent.remove((each) => each.id === id);
      this.#boss.deleteJob(queue, id).catch(() => undefined);
    };
    signal.addEventListener('abort', drop, { once: true });
    try {
      this.#unsent.add({ id, name: queue, data: job, priority: Math.min(2 ** 31 - 1, Math.round(weight / 1024)) });
      const output = await done;
      if (!shape(output)) throw queueDamaged('worker');
      return output as T;
    } finally {
      signal.removeEventListener('abort', drop);
    }
  }

  /** Looks for jobs that have come to their end. */
  async gather(): Promise<void> {
    if (this.#gathering) {
      this.#again = true;
      return;
    }
    this.#gathering = true;
    try {
      do {
        this.#again = false;
        const { rows } = await this.#session.executeSql<Ended>(`
          DELETE FROM ${JOBS}.job WHERE name = ANY ($1) AND state IN ('completed', 'failed') RETURNING id, state, output`, [queuesOf(this.#run)]);
        for (const each of rows) this.#ended(each);
      } while (this.#again as boolean);
    } finally {
      this.#gathering = false;
    }
  }

  /** Gives jobs back that nobody has been heard of for too long. */
  async expire(): Promise<void> {
    await this.#boss.expire();
  }

  /** Whether a job that was sent is in the queue no more, without a word of its end: nobody would ever do it. */
  async misses(): Promise<boolean> {
    const sent = [...this.#pending].flatMap(([id, job]) => (job.sent ? [id] : []));
    if (sent.length === 0) return false;
    const { rows } = await this.#session.executeSql<{ id: string }>(`
      SELECT mine.id FROM unnest($2::uuid[]) AS mine (id) WHERE NOT EXISTS (SELECT FROM ${JOBS}.job WHERE job.name = ANY ($1) AND job.id = mine.id)`, [queuesOf(this.#run), sent]);
    // Those whose end was heard of meanwhile are pending no more.
    return rows.some(({ id }) => this.#pending.has(id));
  }

  #ended({ id, state, output }: Ended): void {
    const job = this.#take(id);
    if (state === 'completed') job?.resolve(output);
    else job?.reject(this.#failure(output));
  }

  #failure(output: unknown): RealmliftError {
    if (isJobFailed(output)) return received((output as JobFailed).error, '');
    if ((output as Partial<JobFailed> | null)?.error !== undefined) return queueDamaged('worker');
    return new RealmliftError('WORKERS_VANISHED', 'queue', `none of the workers that had this piece of work was heard from for ${this.#silence} s`, {
      hint: 'do they run out of memory? Look at their own output', again: true,
    });
  }

  #take(id: string): Pending | undefined {
    const job = this.#pending.get(id);
    this.#pending.delete(id);
    return job;
  }

  /** Together they go by one statement, and are called out once. */
  async #sendAll(jobs: readonly Job[]): Promise<void> {
    try {
      await this.#boss.insert([...jobs]);
      for (const { id } of jobs) {
        const job = this.#pending.get(id);
        if (job !== undefined) job.sent = true;
      }
      await this.#session.executeSql(`SELECT pg_notify('${WORK_CHANNEL}', name) FROM unnest($1::text[]) AS name`, [[...new Set(jobs.map(({ name }) => name))]]);
    } catch (error) {
      for (const { id } of jobs) this.#take(id)?.reject(error);
    }
  }
}
