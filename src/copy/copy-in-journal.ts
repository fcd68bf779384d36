/**
 * How far a COPY-in has come - a restore, a load, a split -, kept in a schema of the database that it fills: each step is written down in
 * the transaction that does it. While the schema is there, what is filled is unfinished; the last step drops it.
 */
import type pg from 'pg';

/** What a database knows of an unfinished COPY-in. */
export interface BegunJournal<Identity> {
  /** Quoted. */
  readonly schema: string;
  /** What a run must be the same in that goes on with it. */
  readonly identity: Identity;
  readonly done: ReadonlySet<string>;
}

/**
 * Begins a journal: all of it, or nothing.
 *
 * @param comment what the schema is there for, for whoever finds it
 * @param tables statements that make what the journal has beside its steps
 */
export async function beginJournal<Identity>(client: pg.Client, name: string, comment: string, identity: Identity, tables: (schema: string) => string = () => ''): Promise<BegunJournal<Identity>> {
  const schema = client.escapeIdentifier(name);
  await inTransaction(client, async () => {
    await client.query(`
      CREATE SCHEMA ${schema};
      COMMENT ON SCHEMA ${schema} IS ${client.escapeLiteral(comment)};
      CREATE TABLE ${schema}.run (identity jsonb NOT NULL);
      CREATE TABLE ${schema}.done (step text PRIMARY KEY);
      ${tables(schema)}
      INSERT INTO ${schema}.run VALUES (${client.escapeLiteral(JSON.stringify(identity))})`);
  });
  return { schema, identity, done: new Set() };
}

/** The journal of an unfinished run; undefined when there is none. */
export async function findJournal<Identity>(client: pg.Client, name: string): Promise<BegunJournal<Identity> | undefined> {
  const schema = client.escapeIdentifier(name);
  const { rows: [known] } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [`${schema}.run`]);
  if (known?.there !== true) return undefined;
  const { rows: [run] } = await client.query<{ identity: Identity }>(`SELECT identity FROM ${schema}.run`);
  const { rows } = await client.query<{ step: string }>(`SELECT step FROM ${schema}.done`);
  return { schema, identity: run?.identity as Identity, done: new Set(rows.map(({ step }) => step)) };
}

export class CopyInJournal<Identity> {
  readonly identity: Identity;
  /** Steps that an earlier run has done. */
  readonly steps: number;
  protected readonly schema: string;
  readonly #done: Set<string>;

  constructor({ schema, identity, done }: BegunJournal<Identity>) {
    [this.schema, this.identity, this.steps, this.#done] = [schema, identity, done.size, new Set(done)];
  }

  isDone(step: string): boolean {
    return this.#done.has(step);
  }

  /**
   * Does a step in a transaction: all of it and its entry, or nothing.
   *
   * @param client any session of this run
   */
  async step(client: pg.Client, step: string, work: () => Promise<void>): Promise<void> {
    if (this.isDone(step)) return;
    await this.transaction(client, async () => {
      await work();
      await client.query(`INSERT INTO ${this.schema}.done VALUES (${client.escapeLiteral(step)})`);
    });
    this.#done.add(step);
  }

  /** All of `work`, or nothing. */
  async transaction(client: pg.Client, work: () => Promise<void>): Promise<void> {
    await inTransaction(client, work);
  }

  /** What was filled is complete, or gone. In the transaction of the caller. */
  async drop(client: pg.Client): Promise<void> {
    await client.query(`DROP SCHEMA ${this.schema} CASCADE`);
  }

  /**
   * The last step. This commit is waited for, and with it all before it are safe on the server's disk.
   *
   * @param last,afterwards work in the same transaction, before and after the journal is removed: what is done afterwards may forbid it
   */
  async finish(client: pg.Client, last: () => Promise<void>, afterwards: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    await this.transaction(client, async () => {
      await client.query('SET LOCAL synchronous_commit = on');
      await last();
      await this.drop(client);
      await afterwards();
    });
  }
}

/** All of `work`, or nothing. */
export async function inTransaction<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** What a session holds to its end: the run's own excludes another run, the others' tell it that their last step may not be over. */
const [RUN, SESSIONS] = [0, 1];

/** A server may take so long to notice that a session's client was killed (client_connection_check_interval, and what it does meanwhile). */
const LOCK_WAIT = 15_000;

/**
 * For the session that leads a run: two runs that fill the same would do each other's steps.
 *
 * @param name what is filled
 * @param patience milliseconds for another run to end
 * @returns whether it leads; else another run does
 */
export async function leadRun(client: pg.Client, name: string, patience = LOCK_WAIT): Promise<boolean> {
  try {
    await client.query(`SET lock_timeout = ${patience}`);
    await client.query('SELECT pg_advisory_lock($1, hashtext($2))', [RUN, name]);
    // Of a run that was killed, a session may still be about to commit.
    await client.query('SELECT pg_advisory_lock($1, hashtext($2)), pg_advisory_unlock($1, hashtext($2))', [SESSIONS, name]);
    await client.query('SET lock_timeout = 0');
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== '55P03') throw error;
    return false;
  }
}

/** For the other sessions of a run. */
export async function joinRun(client: pg.Client, name: string): Promise<void> {
  await client.query('SELECT pg_advisory_lock_shared($1, hashtext($2))', [SESSIONS, name]);
}
