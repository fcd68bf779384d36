/**
 * How far a load has come, kept in the new server's database in a schema of the realm's (copy/copy-in-journal.ts). While the schema is there
 * the realm is unfinished and deactivated.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { beginJournal, CopyInJournal, findJournal, leadRun } from '../../copy/copy-in-journal.js';
import { EXIT, RealmliftError } from '../../errors.js';
import { LOAD_SCHEMA, TO_MAKE_AGAIN } from '../../remap/target-server.js';

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

/** What is known of a load that is finished, beside what its journal had. */
export interface LoadedIdentity extends LoadIdentity {
  /** Another version of realmlift may record other things. */
  readonly format: number;
  /** Of the export. */
  readonly directory: string;
  readonly realmId: number;
  /** The last transaction that wrote to the realm, as txid_current() numbers it; all others of the load are older. */
  readonly transaction: string;
  /** Of the cluster in which that number holds; null where the role may not ask. */
  readonly system: string | null;
}

export class LoadJournal extends CopyInJournal<LoadIdentity> {
  static async create(client: pg.Client, identity: LoadIdentity): Promise<LoadJournal> {
    return new LoadJournal(await beginJournal(client, schemaOf(identity.subdomain), 'realmlift is loading a realm, which is not complete: load it again with --resume, or remove it with --undo.', identity, (schema) => `
      CREATE TABLE ${schema}.ids (n int GENERATED ALWAYS AS IDENTITY, "table" text NOT NULL, first bigint NOT NULL, count bigint NOT NULL);
      CREATE TABLE ${schema}.client (id bigint PRIMARY KEY);
      CREATE TABLE ${schema}.note (kind text NOT NULL, id bigint NOT NULL, PRIMARY KEY (kind, id));`));
  }

  /** The journal of an unfinished load; undefined when there is none. */
  static async find(client: pg.Client, subdomain: string): Promise<LoadJournal | undefined> {
    const begun = await findJournal<LoadIdentity>(client, schemaOf(subdomain));
    return begun === undefined ? undefined : new LoadJournal(begun);
  }

  /**
   * Leaves the journal as the record of a finished load, which `load --update` needs, under a name of its own. In the transaction of the
   * caller. Whoever owns Zulip's tables may read it, for it is in that role's backups.
   */
  async keep(client: pg.Client, loaded: LoadedIdentity): Promise<string> {
    const record = client.escapeIdentifier(recordOf(this.identity.subdomain));
    await client.query(`
      DROP SCHEMA IF EXISTS ${record} CASCADE;
      ALTER SCHEMA ${this.schema} RENAME TO ${record};
      COMMENT ON SCHEMA ${record} IS 'What realmlift load --update must know of the realm that was loaded. Nothing else needs it: when no update is to come, DROP SCHEMA … CASCADE.';
      DROP TABLE ${record}.done, ${record}.client;
      UPDATE ${record}.run SET identity = ${client.escapeLiteral(JSON.stringify(loaded))};
      CREATE TABLE ${record}.written ("table" text PRIMARY KEY, rows bigint NOT NULL, digest text);
      CREATE TABLE ${record}.file (kind text NOT NULL, area text NOT NULL, key text NOT NULL, PRIMARY KEY (kind, area, key))`);
    const { rows: [owner] } = await client.query<{ name: string }>("SELECT pg_get_userbyid(relowner) AS name FROM pg_class WHERE oid = 'zerver_realm'::regclass");
    const role = client.escapeIdentifier(owner?.name ?? '');
    await client.query(`GRANT USAGE ON SCHEMA ${record} TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA ${record} TO ${role}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA ${record} TO ${role}`);
    return record;
  }

  /**
   * Does `work` in a transaction of a server that nobody has migrated since the load began.
   *
   * @throws RealmliftError TARGET_MIGRATED, what `work` throws
   */
  override async transaction(client: pg.Client, work: () => Promise<void>): Promise<void> {
    await super.transaction(client, async () => {
      if (await migrationsDigest(client) !== this.identity.migrations) {
        throw new RealmliftError('TARGET_MIGRATED', 'load', 'the new server was migrated since the load began', { hint: 'remove what was loaded with --undo, and export again from a server of its version' });
      }
      await work();
    });
  }

  /** The last step, which leaves no journal: its commit is waited for, and with it all before it are safe on the server's disk. */
  async finishLoad(client: pg.Client, last: () => Promise<void>): Promise<void> {
    await this.transaction(client, async () => {
      await client.query('SET LOCAL synchronous_commit = on');
      await last();
    });
  }

  /** In the order in which they were taken. */
  async ids(client: pg.Client): Promise<IdRange[]> {
    return (await client.query<IdRange>(`SELECT "table", first::float8, count::float8 FROM ${this.schema}.ids ORDER BY n`)).rows;
  }

  async addIds(client: pg.Client, { table, first, count }: IdRange): Promise<void> {
    await client.query(`INSERT INTO ${this.schema}.ids ("table", first, count) VALUES ($1, $2, $3)`, [table, first, count]);
  }

  /** Clients that the new server did not have. */
  async clients(client: pg.Client): Promise<number[]> {
    return (await client.query<{ id: number }>(`SELECT id::float8 FROM ${this.schema}.client ORDER BY id`)).rows.map(({ id }) => id);
  }

  async addClient(client: pg.Client, id: number): Promise<void> {
    await client.query(`INSERT INTO ${this.schema}.client VALUES ($1)`, [id]);
  }

  /** Files are about to be removed: should that stop half-way, a run that goes on copies all of them again. */
  async forgetFiles(client: pg.Client): Promise<void> {
    await client.query(`DELETE FROM ${this.schema}.done WHERE starts_with(step, ${client.escapeLiteral(FILES_FROM)})`);
  }

  /** What the files told of a row, which the last step needs. */
  async note(client: pg.Client, kind: Note, ids: readonly number[]): Promise<void> {
    await client.query(`INSERT INTO ${this.schema}.note SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`, [kind, ids]);
  }

  async notes(client: pg.Client, kind: Note): Promise<number[]> {
    return (await client.query<{ id: number }>(`SELECT id::float8 FROM ${this.schema}.note WHERE kind = $1 ORDER BY id`, [kind])).rows.map(({ id }) => id);
  }

  /** Notes what is taken away and has to be made again, see bare-tables.ts. Until {@link allMade} other loads are refused. */
  async takeAway(client: pg.Client, all: readonly { readonly name: string; readonly make: string }[]): Promise<void> {
    await client.query(`CREATE TABLE ${this.#later} (n int GENERATED ALWAYS AS IDENTITY, name text PRIMARY KEY, sql text NOT NULL, made boolean NOT NULL DEFAULT false)`);
    for (const { name, make } of all) await client.query(`INSERT INTO ${this.#later} (name, sql) VALUES ($1, $2)`, [name, make]);
  }

  async toMake(client: pg.Client): Promise<{ readonly name: string; readonly sql: string }[]> {
    const { rows: [later] } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [this.#later]);
    if (later?.there !== true) return [];
    return (await client.query<{ name: string; sql: string }>(`SELECT name, sql FROM ${this.#later} WHERE NOT made ORDER BY n`)).rows;
  }

  async made(client: pg.Client, name: string): Promise<void> {
    await client.query(`UPDATE ${this.#later} SET made = true WHERE name = $1`, [name]);
  }

  async allMade(client: pg.Client): Promise<void> {
    await client.query(`DROP TABLE IF EXISTS ${this.#later}`);
  }

  get #later(): string {
    return `${this.schema}.${TO_MAKE_AGAIN}`;
  }
}

/** Begins the names of the steps that copy files. */
export const FILES_FROM = 'files from ';

/** `animated`: an emoji of several frames; `broken avatar`: a user whose avatar is no image. */
export type Note = 'animated' | 'broken avatar';

/** Held by all loads of a server together, or by one that is alone; the locks of copy-in-journal.ts are named after what is filled. */
const LOADS = '2, 0';

/**
 * For the session that leads a load, before it looks at the server.
 *
 * @throws RealmliftError LOAD_RUNNING
 */
export async function lockLoad(client: pg.Client, subdomain: string): Promise<void> {
  if (!(await leadRun(client, subdomain))) throw new RealmliftError('LOAD_RUNNING', 'load', `another load of ${subdomain} is under way`, { hint: 'wait for it, or end it', exit: EXIT.nothingExported });
  await client.query(`SELECT pg_advisory_lock_shared(${LOADS})`);
}

/**
 * Does `work` if no other load has begun on this server; none begins meanwhile.
 *
 * @param client that of {@link lockLoad}
 * @returns what `work` does; false when it was not done
 */
export async function aloneOnServer(client: pg.Client, work: () => Promise<boolean>): Promise<boolean> {
  const { rows: [lock] } = await client.query<{ held: boolean }>(`SELECT pg_try_advisory_lock(${LOADS}) AS held`);
  if (lock?.held !== true) return false;
  try {
    return await work();
  } finally {
    await client.query(`SELECT pg_advisory_unlock(${LOADS})`).catch(() => undefined);
  }
}

/** SHA-256 of the server's list of migrations. */
export async function migrationsDigest(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ app: string; name: string }>('SELECT app, name FROM django_migrations ORDER BY app, name');
  return createHash('sha256').update(JSON.stringify(rows.map(({ app, name }) => [app, name]))).digest('hex');
}

function schemaOf(subdomain: string): string {
  return `${LOAD_SCHEMA}${subdomain}`;
}

/** The schema in which a finished load is recorded. */
export function recordOf(subdomain: string): string {
  return `realmlift_loaded_${subdomain}`;
}
