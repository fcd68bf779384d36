/**
 * Jobs that a worker holds: what is said of them counts only while they are its own, which the queue knows by how often a job was tried before. pg-boss
 * would not look whose a job is, and of those under way it knows only when they began.
 */
import type PgBoss from 'pg-boss';
import { Batches } from './batches.js';
import type { JobFailed } from './job-failed.js';
import { DONE_CHANNEL, JOBS } from './queue-schema.js';
import type { QueueSession } from './queue-session.js';
import { queuesOf } from './runs.js';

export type HeldJob = PgBoss.JobWithMetadata<object>;

/** Of jobs by their run's queues, and arrays of their ids and tries. */
const MINE = "job.name = ANY ($1) AND job.id = mine.id AND job.retry_count = mine.tried AND job.state = 'active'";

/** A job that is done, of which the run is not told yet. */
interface Done {
  readonly job: HeldJob;
  readonly output: string;
  readonly resolve: (counts: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class HeldJobs {
  readonly #session: QueueSession;
  readonly #boss: PgBoss;
  readonly #queues: readonly string[];
  readonly #done = new Batches<Done>((all) => this.#tell(all));

  constructor(session: QueueSession, boss: PgBoss, run: string) {
    this.#session = session;
    this.#boss = boss;
    this.#queues = queuesOf(run);
  }

  /** Says that a job is done. @returns whether it was still held */
  complete(job: HeldJob, done: object): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#done.add({ job, output: JSON.stringify(done), resolve, reject });
    });
  }

  /** Gives a job back that failed, if it is still held. */
  async fail(job: HeldJob, failed: JobFailed): Promise<void> {
    await this.#session.transaction(async (statements) => {
      const { rows } = await statements.executeSql(`SELECT FROM ${JOBS}.job, unnest($2::uuid[], $3::int[]) AS mine (id, tried) WHERE ${MINE} FOR UPDATE OF job`, this.#parameters([job]));
      if (rows.length === 0) return;
      await this.#boss.fail(job.name, job.id, failed, { db: statements });
      await statements.executeSql(`NOTIFY ${DONE_CHANNEL}`);
    });
  }

  /** Says that jobs are under way. @returns the ids of those that are still held */
  async keep(jobs: readonly HeldJob[]): Promise<ReadonlySet<string>> {
    const { rows } = await this.#session.executeSql<{ id: string }>(`
      UPDATE ${JOBS}.job SET started_on = now() FROM unnest($2::uuid[], $3::int[]) AS mine (id, tried) WHERE ${MINE} RETURNING job.id`, this.#parameters(jobs));
    return new Set(rows.map(({ id }) => id));
  }

  async #tell(all: readonly Done[]): Promise<void> {
    try {
      const { rows } = await this.#session.executeSql<{ id: string }>(`
        WITH done AS (
          UPDATE ${JOBS}.job SET state = 'completed', completed_on = now(), output = mine.output
          FROM unnest($2::uuid[], $3::int[], $4::jsonb[]) AS mine (id, tried, output) WHERE ${MINE} RETURNING job.id
        )
        SELECT id, pg_notify('${DONE_CHANNEL}', '') FROM done`, [...this.#parameters(all.map(({ job }) => job)), all.map(({ output }) => output)]);
      const counts = new Set(rows.map(({ id }) => id));
      for (const { job, resolve } of all) resolve(counts.has(job.id));
    } catch (error) {
      for (const { reject } of all) reject(error);
    }
  }

  #parameters(jobs: readonly HeldJob[]): unknown[] {
    return [this.#queues, jobs.map(({ id }) => id), jobs.map(({ retryCount }) => retryCount)];
  }
}
