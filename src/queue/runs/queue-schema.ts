/**
 * What lies in the queue's database: the jobs, which are pg-boss's, and beside them the runs and who takes part in each. It names tables, ranges of ids,
 * keys and digests; no row of the source, and nothing that opens the source.
 */
import type PgBoss from 'pg-boss';
import { RealmliftError } from '../../errors.js';
import type { QueueSession } from './queue-session.js';

export const JOBS = 'realmlift_jobs';

/** Workers are told of new jobs by the names of their queues, and of runs that come and go by nothing; coordinators that some work is done. */
export const WORK_CHANNEL = 'realmlift_work';
export const DONE_CHANNEL = 'realmlift_done';

/** pg-boss has ids made by gen_random_uuid, which came with it. */
const OLDEST_SERVER = 13;

/** Layout of pg-boss 10, the last one for Node 20. */
const JOBS_LAYOUT = 24;

const TABLES = `
  CREATE SCHEMA IF NOT EXISTS realmlift_queue;
  CREATE TABLE IF NOT EXISTS realmlift_queue.run (
    id text PRIMARY KEY,
    number integer GENERATED ALWAYS AS IDENTITY,
    expected jsonb NOT NULL,
    let_go boolean NOT NULL DEFAULT false
  );
  CREATE TABLE IF NOT EXISTS realmlift_queue.worker (
    run text NOT NULL REFERENCES realmlift_queue.run ON DELETE CASCADE,
    name text NOT NULL,
    threads integer NOT NULL,
    refused text,
    seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, name)
  )`;

/** Of the lock under which the tables are made, and of those with which coordinators show that they live; any number that nobody else uses. */
export const RUN_LOCK = 1_869_768_045;

/**
 * The queue, made where it is not there yet.
 * @param onNew refuses by throwing, before anything is made
 * @throws RealmliftError SERVER_TOO_OLD, QUEUE_VERSION, QUEUE_FORBIDDEN
 */
export async function openQueue(session: QueueSession, onNew?: () => Promise<void>): Promise<PgBoss> {
  const { default: Boss } = await import('pg-boss');
  const boss = new Boss({ db: session, schema: JOBS, supervise: false, schedule: false, migrate: true });
  // Two that make the same at the same moment would meet in the catalog.
  await session.executeSql(`SELECT pg_advisory_lock(${RUN_LOCK}, 0)`);
  try {
    const { rows: [found] } = await session.executeSql<{ version: number; there: boolean }>(
      "SELECT current_setting('server_version_num')::int / 10000 AS version, to_regclass('realmlift_queue.worker') IS NOT NULL AS there");
    if (found !== undefined && found.version < OLDEST_SERVER) {
      throw new RealmliftError('SERVER_TOO_OLD', 'queue', `the queue's server is PostgreSQL ${found.version}`, { hint: 'a queue needs PostgreSQL 13 or later; the source may be older' });
    }
    if (found?.there !== true) {
      await onNew?.();
      await session.executeSql(TABLES);
    }
    if (await boss.isInstalled()) {
      const layout = await boss.schemaVersion();
      if (layout !== JOBS_LAYOUT) {
        throw new RealmliftError('QUEUE_VERSION', 'queue', `the queue in this database has layout ${String(layout)}, and this version needs ${JOBS_LAYOUT}`, {
          hint: `use the same version of realmlift everywhere; when no run is under way: DROP SCHEMA ${JOBS}, realmlift_queue CASCADE`,
        });
      }
    }
    await boss.start();
  } finally {
    await session.executeSql(`SELECT pg_advisory_unlock(${RUN_LOCK}, 0)`).catch(() => undefined);
  }
  return boss;
}
