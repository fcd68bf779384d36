/**
 * The one snapshot of a run.
 *
 * A holder session opens REPEATABLE READ READ ONLY before anything is read and exports its snapshot; every other session
 * joins it with SET TRANSACTION SNAPSHOT. The exported snapshot lives as long as the holder's transaction, so the holder
 * is kept busy with a trivial query (proxies drop connections without traffic), and its loss fails the run by name.
 * https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import { connect, settingsOf } from './connect.js';
import type { ConnectionSettings } from './connection-settings.js';

/** Milliseconds between two signs of life of the holder. */
const HEARTBEAT = 15_000;

/** Milliseconds that work gets to let go of its files and sessions after the snapshot was lost. */
const GRACE = 2_000;

/** Milliseconds within which the connection of a terminated backend closes. */
const CLOSING = 500;

export interface Snapshot {
  /** As pg_export_snapshot names it, for SET TRANSACTION SNAPSHOT. */
  readonly id: string;
  /** The server's clock when the snapshot was taken, ISO 8601 in UTC. */
  readonly takenAt: string;
  /** PostgreSQL's server_version_num, e.g. 150018. */
  readonly serverVersion: number;
  /** Of the server that holds the snapshot, the only one on which it can be joined. */
  readonly settings: ConnectionSettings;
  /** The holder's own session, for the plan's small queries. */
  readonly client: pg.Client;
  /** Aborts when the holder is lost, with the error as its reason. */
  readonly lost: AbortSignal;
}

/**
 * Runs `work` inside one snapshot and releases it afterwards.
 *
 * @param work is to stop when `lost` aborts; it gets a few seconds for that before the error goes on to the caller
 * @throws RealmliftError SNAPSHOT_LOST when the holder's connection ends before `work` does, SNAPSHOT_REFUSED when the server
 *   gives none
 */
export async function withSnapshot<T>(settings: ConnectionSettings, work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  const client = await connect(settings, 'snapshot');
  const lost = new AbortController();
  let finished = false;
  const fail = (cause: unknown): void => {
    if (finished || lost.signal.aborted) return;
    lost.abort(new RealmliftError('SNAPSHOT_LOST', 'snapshot', 'the session that holds the snapshot ended', {
      hint: 'was the server restarted, or the backend terminated? Nothing was published; run again', cause,
    }));
  };
  client.on('end', () => fail(undefined));
  client.on('error', fail);
  const heartbeat = startHeartbeat(client, fail);
  try {
    const snapshot = { ...(await take(client, lost.signal)), settings: settingsOf(client, settings), client, lost: lost.signal };
    const working = work(snapshot);
    try {
      return await Promise.race([working, rejectWhenAborted(lost.signal)]);
    } catch (error) {
      // A backend that is terminated at work says so to its query, and closes the connection a moment later.
      if (isFatal(error)) await Promise.race([rejectWhenAborted(lost.signal).catch(() => undefined), sleep(CLOSING)]);
      if (!lost.signal.aborted) throw error;
      await settled(working);
      // Whatever work made of it, the reason is the lost snapshot.
      throw lost.signal.reason;
    }
  } finally {
    finished = true;
    clearInterval(heartbeat);
    await client.end().catch(() => undefined);
  }
}

/** Waits until `work` has ended in one way or the other, but not for ever: it may hang on the server that is gone. */
async function settled(work: Promise<unknown>): Promise<void> {
  const waiting = new AbortController();
  const grace = sleep(GRACE, undefined, { signal: waiting.signal }).catch(() => undefined);
  await Promise.race([work.catch(() => undefined), grace]);
  waiting.abort();
}

async function take(client: pg.Client, lost: AbortSignal): Promise<Pick<Snapshot, 'id' | 'takenAt' | 'serverVersion'>> {
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { rows } = await client.query<{ id: string; taken_at: string; version: string }>(`
      SELECT pg_export_snapshot() AS id, current_setting('server_version_num') AS version,
             to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS taken_at`);
    const [row] = rows as [{ id: string; taken_at: string; version: string }];
    return { id: row.id, takenAt: row.taken_at, serverVersion: Number(row.version) };
  } catch (cause) {
    lost.throwIfAborted();
    throw new RealmliftError('SNAPSHOT_REFUSED', 'snapshot', `the server gives no snapshot: ${(cause as Error).message}`, {
      hint: 'connect to the server itself and not through a pooler that shares sessions', cause,
    });
  }
}

/** One sign of life at a time: behind a long query of the plan they would else queue up. */
function startHeartbeat(client: pg.Client, fail: (cause: unknown) => void): NodeJS.Timeout {
  let waiting = false;
  const beat = async (): Promise<void> => {
    if (waiting) return;
    waiting = true;
    await client.query('SELECT 1').catch(fail);
    waiting = false;
  };
  return setInterval(() => void beat(), HEARTBEAT).unref();
}

/** Opens a session of its own in the given snapshot, read only. The caller ends it. */
export async function joinSnapshot(settings: ConnectionSettings, snapshotId: string, role: string): Promise<pg.Client> {
  const client = await connect(settings, role);
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await client.query(`SET TRANSACTION SNAPSHOT ${client.escapeLiteral(snapshotId)}`);
    return client;
  } catch (cause) {
    await client.end().catch(() => undefined);
    throw new RealmliftError('SNAPSHOT_LOST', 'snapshot', `cannot join the snapshot ${snapshotId}`, { hint: 'its holder is gone; run again', cause });
  }
}

/** True when the error ended some session, perhaps the holder's. */
function isFatal(error: unknown): boolean {
  const { severity, cause } = (error ?? {}) as { severity?: string; cause?: unknown };
  return severity === 'FATAL' || severity === 'PANIC' || (cause !== undefined && isFatal(cause));
}

function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
