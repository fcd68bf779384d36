/**
 * The runs of a queue. A coordinator shows that it lives by a lock of its session, which the server gives free when it is gone; a worker by
 * telling now and then that it is there. All times are the queue's server's: whose clock goes wrong makes no difference.
 */
import type PgBoss from 'pg-boss';
import type { Expected } from './expected.js';
import { JOBS, RUN_LOCK, WORK_CHANNEL } from './queue-schema.js';
import type { QueueSession } from './queue-session.js';

export interface AnnouncedRun {
  readonly id: string;
  readonly expected: Expected;
  /** The snapshot is needed no more: only files are left. */
  readonly letGo: boolean;
  /** Its coordinator lives; what is left of one that is not alive may be gone on with by another run. */
  readonly alive: boolean;
}

/** Kinds of jobs of a run, each in a queue of its own: large pieces of rows, of which nobody is to hold many, small ones, of which a worker takes several at once, and files. */
export const JOB_KINDS = ['rows', 'light', 'files'] as const;

export type JobKind = (typeof JOB_KINDS)[number];

export function queueName(kind: JobKind, run: string): string {
  return `${kind}-${run}`;
}

/** Which queue it is; undefined where it is none. */
export function queueOf(name: string): { readonly kind: JobKind; readonly run: string } | undefined {
  const kind = JOB_KINDS.find((each) => name.startsWith(`${each}-`));
  return kind && { kind, run: name.slice(kind.length + 1) };
}

export function queuesOf(run: string): string[] {
  return JOB_KINDS.map((kind) => queueName(kind, run));
}

const ALIVE = `EXISTS (
  SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = ${RUN_LOCK} AND l.objid = r.number AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))`;

/** Tells workers of the run, which nobody sees before its coordinator has the lock. */
export async function announceRun(session: QueueSession, id: string, expected: Expected): Promise<void> {
  await session.executeSql(`
    WITH run AS (INSERT INTO realmlift_queue.run (id, expected) VALUES ($1, $2) RETURNING number)
    SELECT pg_advisory_lock(${RUN_LOCK}, number), pg_notify('${WORK_CHANNEL}', '') FROM run`, [id, JSON.stringify(expected)]);
}

/** Before the run's first job. @param retry how often a job is tried again @param silence seconds after which a worker that is not heard of has lost its jobs */
export async function makeQueues(boss: PgBoss, run: string, retry: number, silence: number): Promise<void> {
  for (const name of queuesOf(run)) await boss.createQueue(name, { name, retryLimit: retry, retryDelay: 1, expireInSeconds: silence });
}

export async function announcedRuns(session: QueueSession): Promise<AnnouncedRun[]> {
  const { rows } = await session.executeSql<{ id: string; expected: Expected; let_go: boolean; alive: boolean }>(`
    SELECT r.id, r.expected, r.let_go, ${ALIVE} AS alive FROM realmlift_queue.run r ORDER BY r.number`);
  return rows.map(({ id, expected, let_go: letGo, alive }) => ({ id, expected, letGo, alive }));
}

/** Whether the run is still in the queue. */
export async function isAnnounced(session: QueueSession, id: string): Promise<boolean> {
  return (await session.executeSql('SELECT FROM realmlift_queue.run WHERE id = $1', [id])).rows.length > 0;
}

/** Removes runs whose coordinators are gone, with their jobs. @returns their ids */
export async function removeDeadRuns(session: QueueSession): Promise<string[]> {
  const { rows } = await session.executeSql<{ id: string }>(`DELETE FROM realmlift_queue.run r WHERE NOT ${ALIVE} RETURNING r.id`);
  for (const { id } of rows) await removeJobs(session, id);
  return rows.map(({ id }) => id);
}

/** @param finished else the run stays there without its coordinator, for workers to know that it is not over */
export async function endRun(session: QueueSession, id: string, finished: boolean): Promise<void> {
  await session.executeSql(finished ? 'DELETE FROM realmlift_queue.run WHERE id = $1' : `SELECT pg_advisory_unlock(${RUN_LOCK}, number) FROM realmlift_queue.run WHERE id = $1`, [id]);
  await removeJobs(session, id);
  await session.executeSql(`NOTIFY ${WORK_CHANNEL}`);
}

/** pg-boss deletes no queue that has jobs, and asks for each queue whether it is there. */
async function removeJobs(session: QueueSession, run: string): Promise<void> {
  await session.executeSql(`DELETE FROM ${JOBS}.job WHERE name = ANY ($1)`, [queuesOf(run)]);
  await session.executeSql(`SELECT ${JOBS}.delete_queue(name) FROM ${JOBS}.queue WHERE name = ANY ($1)`, [queuesOf(run)]);
}

export interface SeenWorker {
  readonly name: string;
  readonly threads: number;
  /** Why it takes no part. */
  readonly refused: string | null;
}

/** Who was heard of within so many seconds. */
export async function workersOf(session: QueueSession, run: string, silence: number): Promise<SeenWorker[]> {
  return (await session.executeSql<SeenWorker & { [column: string]: unknown }>(`
    SELECT name, threads, refused FROM realmlift_queue.worker WHERE run = $1 AND seen > now() - $2 * interval '1 second' ORDER BY name`, [run, silence])).rows;
}

/** Tells the run that this worker is there. Of a run that is gone, nothing. */
export async function tellWorker(session: QueueSession, run: string, { name, threads, refused }: SeenWorker): Promise<void> {
  await session.executeSql(`
    INSERT INTO realmlift_queue.worker (run, name, threads, refused) SELECT id, $2, $3, $4 FROM realmlift_queue.run WHERE id = $1
    ON CONFLICT (run, name) DO UPDATE SET threads = excluded.threads, refused = excluded.refused, seen = now()`, [run, name, threads, refused]);
}
