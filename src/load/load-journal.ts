/**
 * How far a load has come, kept in the new server's database in a schema of the realm's: each step is written down in the transaction that
 * does it. While the schema is there the realm is unfinished and deactivated; the last step drops it.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';

/** What a load must be the same in when it is gone on with. */
export interface LoadIdentity {
  readonly subdomain: string;
  readonly realmName: string;
  /** SHA-256 of the list of the export's files. */
  readonly exportDigest: string;
  /** Where the files go. */
  readonly files: string;
  /** SHA-256 of the new server's applied migrations. */
  readonly migrations: string;
}

/** Ids that were taken from a sequence: `count` of them from `first` on. */
export interface IdRange {
  readonly table: string;
  readonly first: number;
  readonly count: number;
}

export class LoadJournal {
  readonly identity: LoadIdentity;
  readonly #schema: string;
  readonly #done: Set<string>;

  private constructor(schema: string, identity: LoadIdentity, done: Set<string>) {
    [this.#schema, this.identity, this.#done] = [schema, identity, done];
  }

  static async create(client: pg.Client, identity: LoadIdentity): Promise<LoadJournal> {
    const schema = schemaOf(client, identity.subdomain);
    try {
      await client.query(`
        BEGIN;
        CREATE SCHEMA ${schema};
        COMMENT ON SCHEMA ${schema} IS 'realmlift is loading a realm, which is not complete: load it again with --resume, or remove it with --undo.';
        CREATE TABLE ${schema}.load (identity jsonb NOT NULL);
        CREATE TABLE ${schema}.done (step text PRIMARY KEY);
        CREATE TABLE ${schema}.ids (n int GENERATED ALWAYS AS IDENTITY, "table" text NOT NULL, first bigint NOT NULL, count bigint NOT NULL);
        CREATE TABLE ${schema}.client (id bigint PRIMARY KEY);
        CREATE TABLE ${schema}.note (kind text NOT NULL, id bigint NOT NULL, PRIMARY KEY (kind, id));
        CREATE TABLE ${schema}.later (n int GENERATED ALWAYS AS IDENTITY, name text PRIMARY KEY, sql text NOT NULL, made boolean NOT NULL DEFAULT false);
        INSERT INTO ${schema}.load VALUES (${client.escapeLiteral(JSON.stringify(identity))});
        COMMIT`);
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
    return new LoadJournal(schema, identity, new Set());
  }

  /** The journal of an unfinished load; undefined when there is none. */
  static async find(client: pg.Client, subdomain: string): Promise<LoadJournal | undefined> {
    const schema = schemaOf(client, subdomain);
    const { rows: [known] } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [`${schema}.load`]);
    if (known?.there !== true) return undefined;
    const { rows: [load] } = await client.query<{ identity: LoadIdentity }>(`SELECT identity FROM ${schema}.load`);
    const { rows } = await client.query<{ step: string }>(`SELECT step FROM ${schema}.done`);
    return new LoadJournal(schema, load?.identity as LoadIdentity, new Set(rows.map(({ step }) => step)));
  }

  isDone(step: string): boolean {
    return this.#done.has(step);
  }

  /** Steps that an earlier run has done. */
  get steps(): number {
    return this.#done.size;
  }

  /**
   * Does a step in a transaction: all of it and its entry, or nothing.
   *
   * @throws RealmliftError TARGET_MIGRATED, what `work` throws
   */
  async step(client: pg.Client, step: string, work: () => Promise<void>): Promise<void> {
    if (this.isDone(step)) return;
    await this.transaction(client, async () => {
      await work();
      await client.query(`INSERT INTO ${this.#schema}.done VALUES ($1)`, [step]);
    });
    this.#done.add(step);
  }

  /** Does `work` in a transaction of a server that nobody has migrated since the load began. */
  async transaction(client: pg.Client, work: () => Promise<void>): Promise<void> {
    await inTransaction(client, async () => {
      if (await appliedMigrations(client) !== this.identity.migrations) {
        throw new RealmliftError('TARGET_MIGRATED', 'load', 'the new server was migrated since the load began', { hint: 'remove what was loaded with --undo, and export again from a server of its version' });
      }
      await work();
    });
  }

  /** In the order in which they were taken. */
  async ids(client: pg.Client): Promise<IdRange[]> {
    return (await client.query<IdRange>(`SELECT "table", first::float8, count::float8 FROM ${this.#schema}.ids ORDER BY n`)).rows;
  }

  async addIds(client: pg.Client, { table, first, count }: IdRange): Promise<void> {
    await client.query(`INSERT INTO ${this.#schema}.ids ("table", first, count) VALUES ($1, $2, $3)`, [table, first, count]);
  }

  /** Clients that the new server did not have. */
  async clients(client: pg.Client): Promise<number[]> {
    return (await client.query<{ id: number }>(`SELECT id::float8 FROM ${this.#schema}.client ORDER BY id`)).rows.map(({ id }) => id);
  }

  async addClient(client: pg.Client, id: number): Promise<void> {
    await client.query(`INSERT INTO ${this.#schema}.client VALUES ($1)`, [id]);
  }

  /** What the files told of a row, which the last step needs. */
  async note(client: pg.Client, kind: Note, ids: readonly number[]): Promise<void> {
    await client.query(`INSERT INTO ${this.#schema}.note SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`, [kind, ids]);
  }

  async notes(client: pg.Client, kind: Note): Promise<number[]> {
    return (await client.query<{ id: number }>(`SELECT id::float8 FROM ${this.#schema}.note WHERE kind = $1 ORDER BY id`, [kind])).rows.map(({ id }) => id);
  }

  /** Notes what was taken away and has to be made again, see bare-tables.ts. */
  async later(client: pg.Client, name: string, sql: string): Promise<void> {
    await client.query(`INSERT INTO ${this.#schema}.later (name, sql) VALUES ($1, $2)`, [name, sql]);
  }

  async toMake(client: pg.Client): Promise<{ readonly name: string; readonly sql: string }[]> {
    return (await client.query<{ name: string; sql: string }>(`SELECT name, sql FROM ${this.#schema}.later WHERE NOT made ORDER BY n`)).rows;
  }

  async made(client: pg.Client, name: string): Promise<void> {
    await client.query(`UPDATE ${this.#schema}.later SET made = true WHERE name = $1`, [name]);
  }

  /** The realm is complete, or gone. In the transaction of the caller. */
  async drop(client: pg.Client): Promise<void> {
    await client.query(`DROP SCHEMA ${this.#schema} CASCADE`);
  }
}

/** All of `work`, or nothing. */
export async function inTransaction(client: pg.Client, work: () => Promise<void>): Promise<void> {
  await client.query('BEGIN');
  try {
    await work();
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** `animated`: an emoji of several frames; `broken avatar`: a user whose avatar is no image. */
export type Note = 'animated' | 'broken avatar';

/** What a session holds to its end: the run's own excludes another run, the others' tell it that their last step may not be over. */
const [RUN, SESSIONS] = [0, 1];

/** A server may take so long to notice that a session's client was killed (client_connection_check_interval, and what it does meanwhile). */
const LOCK_WAIT = '15s';

/**
 * For the session that leads a run: two runs that load the same realm would do each other's steps.
 *
 * @throws RealmliftError LOAD_RUNNING
 */
export async function lockLoad(client: pg.Client, subdomain: string): Promise<void> {
  try {
    await client.query(`SET lock_timeout = '${LOCK_WAIT}'`);
    await client.query('SELECT pg_advisory_lock($1, hashtext($2))', [RUN, subdomain]);
    // Of a run that was killed, a session may still be about to commit.
    await client.query('SELECT pg_advisory_lock($1, hashtext($2)), pg_advisory_unlock($1, hashtext($2))', [SESSIONS, subdomain]);
    await client.query('SET lock_timeout = 0');
  } catch (error) {
    if ((error as { code?: string }).code !== '55P03') throw error;
    throw new RealmliftError('LOAD_RUNNING', 'load', `another load of ${subdomain} is under way`, { hint: 'wait for it, or end it', exit: EXIT.nothingExported, cause: error });
  }
}

/** For the other sessions of a run. */
export async function joinLoad(client: pg.Client, subdomain: string): Promise<void> {
  await client.query('SELECT pg_advisory_lock_shared($1, hashtext($2))', [SESSIONS, subdomain]);
}

/** SHA-256 of the server's list of migrations. */
export async function appliedMigrations(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ app: string; name: string }>('SELECT app, name FROM django_migrations ORDER BY app, name');
  return createHash('sha256').update(JSON.stringify(rows.map(({ app, name }) => [app, name]))).digest('hex');
}

function schemaOf(client: pg.Client, subdomain: string): string {
  return client.escapeIdentifier(`realmlift_load_${subdomain}`);
}
