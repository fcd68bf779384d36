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
import { RealmliftError, recoveryConflict } from '../errors.js';
import { isLoss } from '../lost-connection.js';
import { atOnce } from './at-once.js';
import { connect, settingsOf } from './connect.js';
import type { ConnectionSettings } from './connection-settings.js';
import { cutConnection } from './cut-connection.js';
import { lossOf } from './driver-client.js';
import { holdAgain } from './table-locks.js';
import { ageOf, BEGIN, notJoined, takeSnapshot, type SnapshotChoice, type TakenSnapshot } from './take-snapshot.js';

/** Milliseconds between two signs of life of the holder. */
const HEARTBEAT = 15_000;

/** Milliseconds that work gets to let go of its files and sessions after the snapshot was lost. */
const GRACE = 2_000;

/** Milliseconds within which the connection of a terminated backend closes. */
const CLOSING = 500;

/** The longest delay of a timer in milliseconds: some 24 days. */
const LONGEST_DELAY = 2 ** 31 - 1;

export interface Snapshot extends TakenSnapshot {
  /** Of the server that holds the snapshot, the only one on which it can be joined. */
  readonly settings: ConnectionSettings;
  /** The holder's own session, for the plan's small queries. */
  readonly client: pg.Client;
  /** Tables that are held for as long as the snapshot is, see holdTables: schema and name, quoted. */
  readonly held: string[];
  /** Sessions that wait for their next work, see withSession. */
  readonly idle: pg.Client[];
  /** Aborts when the run must end: the holder is lost, the snapshot too old, the caller's signal. Its reason is the error. */
  readonly lost: AbortSignal;
  /** Lets the snapshot go, with all idle sessions, before the work has ended: what is left of it needs no database. */
  readonly letGo: () => Promise<void>;
}

export interface SnapshotOptions extends SnapshotChoice {
  /** Ends the work when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `work` inside one snapshot and releases it afterwards.
 *
 * @param work is to stop when `lost` aborts; it gets a few seconds for that before the error goes on to the caller
 * @throws RealmliftError SNAPSHOT_LOST when the holder's connection ends before `work` does; SNAPSHOT_UNKNOWN when the snapshot
 *   that must be joined is not there; SNAPSHOT_REFUSED when the server gives none; SNAPSHOT_TOO_OLD; the reason of `signal`
 */
export async function withSnapshot<T>(settings: ConnectionSettings, work: (snapshot: Snapshot) => Promise<T>, options: SnapshotOptions = {}): Promise<T> {
  const client = await connect(settings, 'snapshot', options.signal);
  const lost = new AbortController();
  let finished = false;
  const end = (reason: unknown): void => {
    if (!finished && !lost.signal.aborted) lost.abort(reason);
  };
  let letGo = false;
  const fail = (cause: unknown): void => letGo ? undefined : end(named(cause) ?? recoveryConflict(lossOf(client) ?? cause, 'snapshot') ?? new RealmliftError('SNAPSHOT_LOST', 'snapshot', 'the session that holds the snapshot ended', {
    hint: 'was the server restarted, or the backend terminated?', again: true, cause,
  }));
  const obey = (): void => end(options.signal?.reason);
  client.on('end', () => fail(lossOf(client)));
  options.signal?.addEventListener('abort', obey, { once: true });
  if (options.signal?.aborted === true) obey();
  const heartbeat = startHeartbeat(client, fail);
  let ageing: NodeJS.Timeout | undefined;
  const idle: pg.Client[] = [];
  const release = async (): Promise<void> => {
    letGo = true;
    clearTimeout(ageing);
    clearInterval(heartbeat);
    await Promise.all([client, ...idle.splice(0)].map((session) => session.end().catch(() => undefined)));
  };
  let working: Promise<T> | undefined;
  try {
    const taken = await take(client, options);
    const snapshot: Snapshot = { ...taken, settings: settingsOf(client, settings), client, held: [], idle, lost: lost.signal, letGo: release };
    ageing = endAtAge(taken, options.maxAge, end);
    lost.signal.throwIfAborted();
    working = work(snapshot);
    return await Promise.race([working, rejectWhenAborted(lost.signal)]);
  } catch (error) {
    // A session may hear of its end, or that there is no snapshot any more, a moment before the holder's connection closes.
    if (isLoss(error) || named(error)?.code === 'SNAPSHOT_LOST') await Promise.race([rejectWhenAborted(lost.signal).catch(() => undefined), sleep(CLOSING)]);
    if (!lost.signal.aborted) throw error;
    if (working !== undefined) await settled(working);
    // Whatever work made of it, the reason is the lost snapshot.
    throw lost.signal.reason;
  } finally {
    finished = true;
    options.signal?.removeEventListener('abort', obey);
    await release();
  }
}

/** Waits until `work` has ended in one way or the other, but not for ever: it may hang on the server that is gone. */
async function settled(work: Promise<unknown>): Promise<void> {
  const waiting = new AbortController();
  const grace = sleep(GRACE, undefined, { signal: waiting.signal }).catch(() => undefined);
  await Promise.race([work.catch(() => undefined), grace]);
  waiting.abort();
}

async function take(client: pg.Client, choice: SnapshotChoice): Promise<TakenSnapshot> {
  try {
    return await takeSnapshot(client, choice);
  } catch (cause) {
    if (cause instanceof RealmliftError || isLoss(cause)) throw cause;
    throw new RealmliftError('SNAPSHOT_REFUSED', 'snapshot', `the server gives no snapshot: ${(cause as Error).message}`, {
      hint: 'connect to the server itself and not through a pooler that shares sessions', cause,
    });
  }
}

function endAtAge(taken: TakenSnapshot, maxAge: number | undefined, end: (reason: unknown) => void): NodeJS.Timeout | undefined {
  if (maxAge === undefined || maxAge - ageOf(taken) > LONGEST_DELAY) return undefined;
  return setTimeout(() => end(new RealmliftError('SNAPSHOT_TOO_OLD', 'snapshot', `the snapshot has reached the age of ${Math.round(maxAge / 1000)} s`, {
    hint: 'so --max-snapshot-age wants it', again: true,
  })), Math.max(0, maxAge - ageOf(taken))).unref();
}

/** One sign of life at a time: behind a long query of the plan they would else queue up. Behind several at once none is needed. */
function startHeartbeat(client: pg.Client, fail: (cause: unknown) => void): NodeJS.Timeout {
  let waiting = false;
  const beat = async (): Promise<void> => {
    if (waiting || client.pipeline) return;
    waiting = true;
    await client.query('SELECT 1').catch(fail);
    waiting = false;
  };
  return setInterval(() => void beat(), HEARTBEAT).unref();
}

/** A snapshot to join, in a form that can be sent to a thread. */
export type JoinedSnapshot = Pick<Snapshot, 'settings' | 'id' | 'held'>;

/**
 * Opens a session of its own in the given snapshot, read only, and holds the tables that are held for it. The caller ends it.
 * @throws RealmliftError SNAPSHOT_LOST, TABLES_LOCKED
 */
export async function joinSnapshot({ settings, id, held }: JoinedSnapshot, role: string): Promise<pg.Client> {
  const client = await connect(settings, role);
  try {
    await enterSnapshot(client, { id, held });
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

/** The same for a session that is open already. */
export async function enterSnapshot(client: pg.Client, { id, held }: Pick<Snapshot, 'id' | 'held'>): Promise<void> {
  await atOnce(client, () => [
    client.query(BEGIN),
    client.query(`SET TRANSACTION SNAPSHOT ${client.escapeLiteral(id)}`).catch((cause: unknown) => { throw notJoined(id, cause); }),
    holdAgain(client, held),
  ]);
}

/** Opens sessions that withSession will use: those that come later may find that somebody waits to change a table. */
export async function prepareSessions(snapshot: Snapshot, role: string, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, async () => snapshot.idle.push(await joinSnapshot(snapshot, role))));
}

/** Runs `work` with a session in the snapshot, which is cut when the run must end, whatever it is waiting for. */
export async function withSession<T>(snapshot: Snapshot, role: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  return withLoan(snapshot, role, () => undefined, async (client, giveBack) => {
    const result = await work(client);
    giveBack(true);
    return result;
  });
}

/** What sessions are lent by: the snapshot, here or on another machine. */
export type Lender = Pick<Snapshot, 'settings' | 'id' | 'held' | 'lost' | 'idle'>;

/**
 * The same for work that may give the session back before its end, with whether it is still good for who comes next.
 * @param onBack told when it has been given back
 */
export async function withLoan<T>(snapshot: Lender, role: string, onBack: () => void, work: (client: pg.Client, giveBack: (good: boolean) => void) => Promise<T>): Promise<T> {
  const { lost, idle } = snapshot;
  const client = idle.pop() ?? await joinSnapshot(snapshot, role);
  const cut = (): void => cutConnection(client);
  lost.addEventListener('abort', cut, { once: true });
  let back: Promise<void> | undefined;
  const end = async (good: boolean): Promise<void> => {
    lost.removeEventListener('abort', cut);
    if (good && !lost.aborted) idle.push(client);
    else await client.end().catch(() => undefined);
    onBack();
  };
  const giveBack = (good: boolean): void => { back ??= end(good); };
  try {
    lost.throwIfAborted();
    return await work(client, giveBack);
  } catch (error) {
    lost.throwIfAborted();
    throw error;
  } finally {
    giveBack(false);
    await back;
  }
}

/** What the connection itself knows of its end. */
function named(cause: unknown): RealmliftError | undefined {
  return cause instanceof RealmliftError ? cause : undefined;
}

function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
