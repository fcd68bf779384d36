/** Looks, from a session of its own, at one that may have to wait for a lock, and tells what for, since when and whom. */
import type pg from 'pg';
import { connect } from './connect.js';
import type { ConnectionSettings } from './connection-settings.js';

/** Who holds a lock, or stands before us in its queue. */
export interface LockHolder {
  /** 0 of a prepared transaction, which has no process. */
  readonly pid: number;
  /** As it calls itself; empty where it does not. */
  readonly application: string;
  /** The kind of its query, e.g. `ALTER TABLE`; undefined where this role may not see it. */
  readonly query: string | undefined;
  /** Open transaction without a query: what `query` says came before. */
  readonly idle: boolean;
  /** The standby's recovery, which replays a lock of the primary. */
  readonly recovery: boolean;
  /** For which sessions it waits itself. */
  readonly behind: readonly number[];
}

export interface LockWait {
  /** Schema and name; undefined when it is no table that is waited for. */
  readonly table: string | undefined;
  /** ISO 8601. */
  readonly since: string;
  readonly seconds: number;
  readonly holders: readonly LockHolder[];
}

/** Milliseconds after which a session is looked at, and between two looks. */
const LOOK = 1000;

/** Milliseconds after which the same wait is told again. */
const REPEAT = 30_000;

/** The words that tell the kind of a query: what follows them may be content. Comments before them are passed over. */
const KIND = String.raw`upper(substring(regexp_replace(a.query, '^(\s|--[^\n]*(\n|$)|/\*([^*]|\*+[^*/])*\*+/)+', '') FROM '^(?:(?:[Aa][Ll][Tt][Ee][Rr]|[Cc][Rr][Ee][Aa][Tt][Ee]|[Dd][Rr][Oo][Pp]|[Rr][Ee][Ii][Nn][Dd][Ee][Xx]|[Rr][Ee][Ff][Rr][Ee][Ss][Hh])\s+)?[A-Za-z]{1,20}'))`;

const WAITS = `
  SELECT CASE WHEN l.locktype = 'relation' THEN (SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = l.relation) END AS table,
         coalesce((SELECT json_agg(json_build_object(
             'pid', b.pid, 'application', coalesce(a.application_name, ''), 'query', ${KIND}, 'idle', coalesce(a.state LIKE 'idle%', false),
             'recovery', coalesce(a.backend_type = 'startup', false), 'behind', pg_blocking_pids(b.pid)))
           FROM (SELECT DISTINCT unnest(pg_blocking_pids(l.pid)) AS pid) b LEFT JOIN pg_stat_activity a ON a.pid = b.pid), '[]') AS holders
  FROM pg_locks l WHERE l.pid = $1 AND NOT l.granted`;

/**
 * Runs `work`, which the session with the process `pid` does, and tells each wait for a lock that is longer than a second.
 *
 * @param settings of the very same server
 * @param limit milliseconds after which `work` gives up: what it then waits for has been looked at before
 * @returns the last wait that was seen, beside what `work` made of it
 */
export async function watchingLocks<T>(
  settings: ConnectionSettings, pid: number, onWait: (wait: LockWait) => void, work: () => Promise<T>, limit = Infinity,
): Promise<{ readonly result: PromiseSettledResult<T>; readonly last: LockWait | undefined }> {
  const watch = new LockWatch(settings, pid, onWait, Math.min(LOOK, limit / 2));
  try {
    const [result] = await Promise.allSettled([work()]);
    return { result, last: watch.last };
  } finally {
    watch.stop();
  }
}

class LockWatch {
  last: LockWait | undefined;
  readonly #settings: ConnectionSettings;
  readonly #pid: number;
  readonly #onWait: (wait: LockWait) => void;
  readonly #started = Date.now();
  #timer: NodeJS.Timeout;
  #client: pg.Client | undefined;
  #stopped = false;
  /** When the wait for this table was first seen, and last told. */
  #since = this.#started;
  #told = -Infinity;

  constructor(settings: ConnectionSettings, pid: number, onWait: (wait: LockWait) => void, first: number) {
    this.#settings = settings;
    this.#pid = pid;
    this.#onWait = onWait;
    this.#timer = setTimeout(() => void this.#look(), first);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    void this.#client?.end().catch(() => undefined);
  }

  /** What cannot be seen is not told: the wait goes on all the same. */
  async #look(): Promise<void> {
    try {
      this.#client ??= await connect(this.#settings, 'watch');
      const { rows: [row] } = await this.#client.query<{ table: string | null; holders: (Omit<LockHolder, 'query'> & { query: string | null })[] }>(WAITS, [this.#pid]);
      if (row !== undefined && !this.#stopped) this.#saw(row.table ?? undefined, row.holders.map((holder) => ({ ...holder, query: holder.query ?? undefined })));
    } catch {
      void this.#client?.end().catch(() => undefined);
      this.#client = undefined;
    }
    if (this.#stopped) this.stop();
    else this.#timer = setTimeout(() => void this.#look(), LOOK);
  }

  #saw(table: string | undefined, holders: readonly LockHolder[]): void {
    const now = Date.now();
    const another = this.last !== undefined && table !== this.last.table;
    if (another) this.#since = now;
    this.last = { table, since: new Date(this.#since).toISOString(), seconds: Math.round((now - this.#since) / 1000), holders };
    if (!another && now - this.#told < REPEAT) return;
    this.#told = now;
    this.#onWait(this.last);
  }
}

/** For people: `zulip.zerver_reaction since 16:02:11Z (31 s), held by pid 4711 (psql, ALTER TABLE)`. */
export function lockWaitText({ table, since, seconds, holders }: LockWait): string {
  const held = holders.length === 0 ? '' : `, held by ${holders.map(holderText).join(', ')}`;
  return `${table ?? 'a lock'} since ${since.slice(11, 19)}Z (${seconds} s)${held}`;
}

function holderText({ pid, application, query, idle, recovery, behind }: LockHolder): string {
  if (recovery) return `the standby's recovery (pid ${pid}), which replays a lock of the primary`;
  if (pid === 0) return 'a prepared transaction (see pg_prepared_xacts)';
  const what = query === undefined ? 'its query is hidden from this role' : idle ? `idle in its transaction, last ${query}` : query;
  const waits = behind.length === 0 ? '' : `, which waits itself for pid ${behind.join(', ')}`;
  return `pid ${pid} (${application === '' ? '' : `${application.replace(/[^\x20-\x7e]/g, '?').slice(0, 60)}, `}${what})${waits}`;
}
