/**
 * Locks that keep the tables as they are while a snapshot is read: a TRUNCATE, DROP or ALTER TABLE of another session takes
 * effect in a snapshot too. pg_dump takes the same locks.
 *
 * Every session of a run must hold them from its beginning. Somebody who waits to change a table waits for the sessions that
 * hold its lock, and makes those wait that come for it later: they would wait for each other, for ever, and the server could
 * not see it.
 */
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import { connect } from './connect.js';
import { lockWaitText, watchingLocks, type LockWait } from './lock-watch.js';
import type { ConnectionSettings } from './connection-settings.js';
import { difference, factsOf, factsWithChildren, keptItsRows, tableChanged, type TableFact } from './table-facts.js';

export interface LockPatience {
  /** Milliseconds to wait for a lock; undefined without end. */
  readonly timeout: number | undefined;
  /** Told of waits longer than a second. */
  readonly onWait: (wait: LockWait) => void;
}

/** The session of a snapshot, and the tables that it holds. */
export interface Holder {
  readonly client: pg.Client;
  readonly settings: ConnectionSettings;
  readonly joined: boolean;
  readonly held: string[];
}

/**
 * Milliseconds that the sessions after the first may wait. Whoever holds a lock, the first session had it already: so somebody else
 * waits for it in between.
 */
export const LATER_PATIENCE = 5000;

/** Tables named in one statement. */
const AT_ONCE = 1000;

/**
 * Holds tables, with their partitions, for the session of the snapshot; further sessions do the same by holdAgain.
 *
 * @param roots their OIDs in the snapshot, and those of views through which they are read
 * @param keep takes over the session that looked at them from outside of the snapshot; else it is ended
 * @returns bytes of their rows, without indexes and what is stored beside them
 * @throws RealmliftError TABLE_CHANGED when one is not the same any more as in the snapshot, by what was done to it before we had the lock;
 *   LOCK_TIMEOUT; TABLES_LOCKED when the server ended a deadlock by ending our wait
 */
export async function holdTables(snapshot: Holder, roots: readonly number[], patience: LockPatience, keep?: (outside: pg.Client) => void): Promise<number> {
  const { client, settings, joined } = snapshot;
  const opening = connect(settings, keep === undefined ? 'watch' : 'plan');
  opening.catch(() => undefined);
  let known: readonly TableFact[];
  let bytes: Promise<number>;
  let now: Map<number, TableFact>;
  try {
    known = await factsWithChildren(client, roots);
    const names = await reachable(client, known);
    await patiently(settings, client, patience, async () => { await client.query(lockText(names)); }).catch((error: unknown) => { throw gone(error, joined); });
    snapshot.held.push(...names);
    bytes = sizeOf(client, known);
    bytes.catch(() => undefined);
    now = new Map((await factsOf(await opening, known.map(({ oid }) => oid))).map((fact) => [fact.oid, fact]));
    for (const fact of known) {
      const found = difference(fact, now.get(fact.oid));
      if (found === undefined || (found.fileAlone && await keptItsRows(client, fact))) continue;
      throw tableChanged(fact.name, found.what, joined);
    }
  } catch (error) {
    endOf(opening);
    throw error;
  }
  (keep ?? ((outside) => endOf(Promise.resolve(outside))))(await opening);
  return bytes;
}

function endOf(opening: Promise<pg.Client>): void {
  void opening.then((outside) => outside.end()).catch(() => undefined);
}

/** Of tables that the session holds: it would wait for who changes another. */
async function sizeOf(client: pg.Client, facts: readonly TableFact[]): Promise<number> {
  const { rows: [row] } = await client.query<{ bytes: number }>('SELECT coalesce(sum(pg_relation_size(oid)), 0)::float8 AS bytes FROM unnest($1::oid[]) AS oid', [facts.map(({ oid }) => oid)]);
  return row?.bytes ?? NaN;
}

/** Holds the same tables for a further session of the snapshot. @throws RealmliftError TABLES_LOCKED */
export async function holdAgain(client: pg.Client, held: readonly string[]): Promise<void> {
  try {
    await client.query(`SET LOCAL lock_timeout = ${LATER_PATIENCE}; ${lockText(held)}; SET LOCAL lock_timeout = 0`);
  } catch (cause) {
    throw [TIMEOUT, DEADLOCK].includes((cause as { code?: string }).code ?? '') ? tablesLocked(cause) : cause;
  }
}

/** Another session wants to change a table just when one of ours begins. */
export function tablesLocked(cause?: unknown): RealmliftError {
  return new RealmliftError('TABLES_LOCKED', 'snapshot', 'another session waits to change a table (ALTER TABLE, TRUNCATE, DROP)', { hint: 'let it finish', again: true, cause });
}

/** SQLSTATEs: lock_not_available, deadlock_detected, undefined_table and invalid_schema_name. */
const TIMEOUT = '55P03';
const DEADLOCK = '40P01';
const GONE = ['42P01', '3F000'];

/**
 * A statement locks the tables that it names when it is parsed, and this one goes no further: so it needs no right but to
 * find them. LOCK TABLE would ask for SELECT on the whole table, which a role that may not read the secret columns lacks.
 */
function lockText(names: readonly string[]): string {
  const batches = Array.from({ length: Math.ceil(names.length / AT_ONCE) }, (_, batch) => names.slice(batch * AT_ONCE, (batch + 1) * AT_ONCE));
  return [
    // What a policy hides is refused where it is read, and by its name.
    'SET LOCAL row_security = on',
    ...batches.flatMap((batch) => [`PREPARE realmlift_tables AS SELECT FROM ${batch.map((name) => `ONLY ${name}`).join(', ')}`, 'DEALLOCATE realmlift_tables']),
    'SET LOCAL row_security = off',
  ].join('; ');
}

/**
 * Runs `work` in a transaction of the session, which may have to wait for locks: that is told, and limited.
 *
 * @throws RealmliftError LOCK_TIMEOUT; TABLES_LOCKED when the server ended a deadlock by ending our wait
 */
export async function patiently<T>(settings: ConnectionSettings, client: pg.Client, { timeout, onWait }: LockPatience, work: () => Promise<T>): Promise<T> {
  const { rows: [session] } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid, set_config($1, $2, true)', ['lock_timeout', String(timeout ?? 0)]);
  const { result, last } = await watchingLocks(settings, session?.pid as number, onWait, work, timeout);
  if (result.status === 'rejected') throw notGiven(result.reason, last, timeout);
  await client.query('SET LOCAL lock_timeout = 0');
  return result.value;
}

function notGiven(cause: unknown, last: LockWait | undefined, timeout: number | undefined): unknown {
  const { code } = cause as { code?: string };
  if (code === DEADLOCK) return tablesLocked(cause);
  if (code !== TIMEOUT || timeout === undefined) return cause;
  return new RealmliftError('LOCK_TIMEOUT', 'snapshot', `no lock within ${timeout / 1000} s${last === undefined ? '' : ` on ${lockWaitText(last)}`}`, {
    table: last?.table?.replace(/^.*\./, ''), cause, hint: 'nothing was read; let that transaction end, or allow more with --lock-timeout',
  });
}

/** A table that has not its name any more. */
function gone(error: unknown, joined: boolean): unknown {
  const { code = '', message } = error as { code?: string; message: string };
  return GONE.includes(code) ? tableChanged(/"([^"]+)"/.exec(message)?.[1] ?? 'a table', 'was dropped or renamed', joined) : error;
}

/** Those that the role can find by name: the tables under views that it may read in their place it need not. */
async function reachable(client: pg.Client, facts: readonly TableFact[]): Promise<string[]> {
  const { rows } = await client.query<{ oid: number }>(`
    SELECT oid::int8::float8 AS oid FROM pg_class WHERE oid = ANY ($1::oid[]) AND has_schema_privilege(relnamespace, 'USAGE')`, [facts.map(({ oid }) => oid)]);
  const found = new Set(rows.map(({ oid }) => oid));
  return facts.filter(({ oid }) => found.has(oid)).map(({ name }) => name);
}
