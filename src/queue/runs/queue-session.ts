/** A session in the queue's database, which does one thing after the other and hears what others notify. */
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';
import { isLoss } from '../../lost-connection.js';
import { Mutex } from '../../mutex.js';
import { connect } from '../../snapshot/connect.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import { lossOf } from '../../snapshot/driver-client.js';
import { sourceMarks, type SourceMarks } from './expected.js';

/** SQLSTATE. */
const DEADLOCK_DETECTED = '40P01';
const DEADLOCK_TRIES = 5;

/** SQLSTATE of tables and schemas that are not there: undefined_table, invalid_schema_name. */
const NOT_THERE = new Set(['42P01', '3F000']);

/** How long a transaction may wait for its own machine: one that is frozen in the midst would hold its job's row, and with it all who look after jobs. */
const IDLE_TIMEOUT = '10s';

/** What runs statements: a session, or a transaction of it. In pg-boss's words, which runs its own on it. */
export interface Statements {
  executeSql<T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<{ rows: T[] }>;
}

export class QueueSession implements Statements {
  /** Aborts when the session ends by itself; its reason is the error. */
  readonly lost: AbortSignal;
  readonly #client: pg.Client;
  /** Names of prepared statements by their texts, which are few: each is planned once, not for every job. */
  readonly #prepared = new Map<string, string>();
  readonly #turns = new Mutex();

  private constructor(client: pg.Client, lost: AbortSignal) {
    this.#client = client;
    this.lost = lost;
  }

  /**
   * @param channel whose notifications `onNotice` is given
   * @param stop ends the login alone: the session is needed to tidy up
   * @throws RealmliftError QUEUE_UNREACHABLE
   */
  static async open(settings: ConnectionSettings, channel: string, onNotice: (payload: string) => void, stop?: AbortSignal): Promise<QueueSession> {
    const login = new AbortController();
    const cut = (): void => login.abort(stop?.reason);
    stop?.addEventListener('abort', cut);
    if (stop?.aborted === true) cut();
    const client = await connect(settings, 'queue', login.signal).finally(() => stop?.removeEventListener('abort', cut)).catch((cause: unknown) => {
      stop?.throwIfAborted();
      throw new RealmliftError('QUEUE_UNREACHABLE', 'queue', (cause as Error).message, { hint: 'check the URL of --queue: a database of its own, in which the queue is kept', cause });
    });
    const lost = new AbortController();
    client.on('end', () => lost.abort(queueLost(lossOf(client))));
    client.on('notification', ({ payload = '' }) => onNotice(payload));
    // What a crash of the queue's server loses is lost with the run's sessions, and the journal, which is not here, goes on without it.
    // A plan for the values at hand would be made each time, since it reads one partition and a general one may read any: it looks which when it is run.
    await client.query(`SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan; SET idle_in_transaction_session_timeout = '${IDLE_TIMEOUT}'; LISTEN ${channel}`);
    return new QueueSession(client, lost.signal);
  }

  executeSql<T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<{ rows: T[] }> {
    return this.#turns.run(() => this.#undone(() => this.#run<T>(text, values)));
  }

  /** Runs `work` in one transaction, with nothing else of this session in between. */
  transaction<T>(work: (statements: Statements) => Promise<T>): Promise<T> {
    return this.#turns.run(() => this.#undone(async () => {
      await this.#run('BEGIN');
      const result = await work({ executeSql: (text, values) => this.#run(text, values) });
      await this.#run('COMMIT');
      return result;
    }));
  }

  /** Which database it is in, to be compared with another. @param run see keyed */
  marks(settings: ConnectionSettings, run: string): Promise<SourceMarks> {
    return this.#turns.run(() => sourceMarks(this.#client, settings, run));
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }

  /**
   * Undoes what failed, pg-boss's own transactions too. After a deadlock, which ends one of its transactions, it is done once more:
   * queues of runs come and go beside those of others.
   */
  async #undone<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        await this.#client.query('ROLLBACK').catch(() => undefined);
        if ((error as { code?: string }).code !== DEADLOCK_DETECTED || tries === DEADLOCK_TRIES) throw error;
      }
    }
  }

  #nameOf(text: string): string {
    const name = this.#prepared.get(text) ?? `queue_${this.#prepared.size}`;
    this.#prepared.set(text, name);
    return name;
  }

  async #run<T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<{ rows: T[] }> {
    try {
      return await this.#client.query<T>(values === undefined ? { text } : { text, values, name: this.#nameOf(text) });
    } catch (error) {
      this.lost.throwIfAborted();
      throw queueError(error);
    }
  }
}

function queueLost(cause: unknown): RealmliftError {
  return new RealmliftError('QUEUE_LOST', 'queue', `the session in the queue's database ended${cause === undefined ? '' : `: ${(cause as Error).message}`}`, {
    hint: 'was that server restarted? Nothing was published', again: true, cause,
  });
}

/** Somebody has removed the queue's tables, or what a run has in them. */
export function queueCleared(cause?: unknown): RealmliftError {
  return new RealmliftError('QUEUE_LOST', 'queue', "what the run had in the queue's database is there no more", { hint: 'did somebody clear it while a run was under way? Nothing was published', again: true, cause });
}

/** An error of the server names objects of the queue, never what is in it. */
function queueError(cause: unknown): unknown {
  if (isLoss(cause)) return queueLost(cause);
  const { code = '' } = cause as { code?: string };
  if (NOT_THERE.has(code)) return queueCleared(cause);
  if (code !== '42501') return cause;
  return new RealmliftError('QUEUE_FORBIDDEN', 'queue', `the role may not use the queue's database (${(cause as Error).message})`, { hint: 'give it a database that it owns', cause });
}
