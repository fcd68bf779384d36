/** Taking a snapshot, or joining one that another session holds, and what is to be known of it. */
import type pg from 'pg';
import { EXIT, RealmliftError, serverReason } from '../errors.js';
import { isLoss } from '../lost-connection.js';
import { atOnce } from './at-once.js';

/** A snapshot in which the session's transaction now is. */
export interface TakenSnapshot {
  /** As pg_export_snapshot names it, for SET TRANSACTION SNAPSHOT. */
  readonly id: string;
  /** Tells it from other snapshots of the same id, which servers give out again after a restart. */
  readonly key: string;
  /** The server's clock when the snapshot was taken, ISO 8601 in UTC; of another role's snapshot, when it was joined. */
  readonly takenAt: string;
  /** The same in milliseconds of this process's `performance.now()`. */
  readonly takenAtClock: number;
  /** True when another session holds it. */
  readonly joined: boolean;
  /** PostgreSQL's server_version_num, e.g. 150018. */
  readonly serverVersion: number;
}

/** A snapshot that another session may hold. */
export interface HeldSnapshot {
  readonly id: string;
  /** Undefined when a person named it. */
  readonly key: string | undefined;
}

export interface SnapshotChoice {
  /** A snapshot that must be joined. */
  readonly join?: string | undefined;
  /** Asked for snapshots that are to be joined rather than a new one taken: the first that can be is. */
  readonly held?: ((client: pg.Client) => Promise<readonly HeldSnapshot[]>) | undefined;
  /** Milliseconds after which a snapshot is given up. */
  readonly maxAge?: number | undefined;
}

export const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/** @throws RealmliftError SNAPSHOT_UNKNOWN when the one that must be joined is not there; the driver's errors */
export async function takeSnapshot(client: pg.Client, { join, held, maxAge = Infinity }: SnapshotChoice): Promise<TakenSnapshot> {
  if (join !== undefined) {
    const refusal = await enter(client, join);
    if (refusal !== undefined) throw noSuchSnapshot(join, refusal);
    return describeJoined(client, join);
  }
  for (const each of (await held?.(client)) ?? []) {
    const joined = await tryJoin(client, each);
    if (joined !== undefined && ageOf(joined) < maxAge) return joined;
    await client.query('ROLLBACK');
  }
  const [, described] = await atOnce(client, () => [client.query(BEGIN), describe(client, 'pg_export_snapshot()', 'now()')]);
  return { ...described, joined: false };
}

/** Age of a snapshot in milliseconds. */
export function ageOf({ takenAtClock }: Pick<TakenSnapshot, 'takenAtClock'>): number {
  return performance.now() - takenAtClock;
}

/** @param cause why not; a session that ended has a reason of its own */
export function notJoined(id: string, cause: unknown): unknown {
  return isLoss(cause) ? cause : new RealmliftError('SNAPSHOT_LOST', 'snapshot', `cannot join the snapshot ${id}`, { hint: 'its holder is gone', again: true, cause });
}

function noSuchSnapshot(id: string, cause: { readonly code?: string } & Error): RealmliftError {
  return new RealmliftError('SNAPSHOT_UNKNOWN', 'snapshot', `there is no snapshot ${id} of this database (${serverReason(cause.code ?? '', cause.message)})`, {
    hint: 'realmlift snapshot takes one, tells its id and holds it for as long as it runs; or leave out --snapshot', exit: EXIT.nothingExported, cause,
  });
}

/** @returns why the snapshot cannot be joined; the transaction is then to be rolled back */
async function enter(client: pg.Client, id: string): Promise<Error | undefined> {
  await client.query(BEGIN);
  try {
    await client.query(`SET TRANSACTION SNAPSHOT ${client.escapeLiteral(id)}`);
    return undefined;
  } catch (error) {
    if (isLoss(error)) throw error;
    return error as Error;
  }
}

async function describeJoined(client: pg.Client, id: string): Promise<TakenSnapshot> {
  return { ...await describe(client, client.escapeLiteral(id), beganAt(id)), joined: true };
}

/** Undefined when the snapshot is gone, or when its id names another one by now; the transaction is then to be rolled back. */
async function tryJoin(client: pg.Client, { id, key }: HeldSnapshot): Promise<TakenSnapshot | undefined> {
  if (await enter(client, id) !== undefined) return undefined;
  const joined = await describeJoined(client, id);
  return key === undefined || key === joined.key ? joined : undefined;
}

/**
 * When the transaction began that exported the snapshot. The id is made of it (`%08X-%08X-%d` of ExportSnapshot in PostgreSQL's
 * snapmgr.c), so pg_locks tells its session, and pg_stat_activity, to the same role, when that was.
 */
function beganAt(id: string): string {
  const [backend, local] = id.split('-').map((part) => parseInt(part, 16));
  return `coalesce((SELECT a.xact_start FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                    WHERE l.locktype = 'virtualxid' AND l.virtualtransaction = '${backend}/${local}' LIMIT 1), now())`;
}

/**
 * Two snapshots of one start of the server that see the same transactions as finished see the same rows.
 * @param id expression of its id @param began expression of when it was taken
 */
async function describe(client: pg.Client, id: string, began: string): Promise<Omit<TakenSnapshot, 'joined'>> {
  const { rows } = await client.query<{ id: string; version: string; key: string; taken_at: string; age: number }>(`
    SELECT ${id} AS id, current_setting('server_version_num') AS version, pg_postmaster_start_time() || ' ' || txid_current_snapshot() AS key,
           to_char(began.at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS taken_at, extract(epoch FROM clock_timestamp() - began.at)::float8 AS age
    FROM (SELECT ${began} AS at) AS began`);
  const [row] = rows as [{ id: string; version: string; key: string; taken_at: string; age: number }];
  return { id: row.id, key: row.key, takenAt: row.taken_at, takenAtClock: performance.now() - row.age * 1000, serverVersion: Number(row.version) };
}
