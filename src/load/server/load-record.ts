/**
 * What a finished load leaves in the new server's database for `load --update`: its journal under another name (ids, clients, what the
 * files told), which transaction was its last, and what it had written, table by table.
 */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../../errors.js';
import { recordOf, type IdRange, type LoadedIdentity, type LoadJournal, type Note } from './load-journal.js';
import { realmCensus } from './realm-census.js';
import type { TargetTables } from './target-tables.js';

/** Of what is recorded, and how it is counted. */
const FORMAT = 1;
const TABLES = ['run', 'ids', 'note', 'written', 'file'];

/** `coming`: put before the rows that need it; `going`: of rows that are gone; `replaced`: a file of the export whose like, under the same name, is to be overwritten. */
export type FileState = 'coming' | 'going' | 'replaced';

export interface RecordedFile {
  readonly area: string;
  readonly key: string;
}

/** Of a table, see {@link realmCensus}. */
export interface Written {
  readonly rows: number;
  readonly digest: string | null;
}

/** In the last transaction of a load, which thereby has its record and no journal. */
export async function recordLoad(client: pg.Client, journal: LoadJournal, { directory, realmId, tables }: { readonly directory: string; readonly realmId: number; readonly tables: TargetTables }): Promise<void> {
  const schema = await journal.keep(client, { ...journal.identity, format: FORMAT, directory, realmId, ...await lastTransaction(client) });
  await writeCensus(client, schema, tables, realmId);
}

/** Of the transaction that is under way. */
export async function lastTransaction(client: pg.Client): Promise<Pick<LoadedIdentity, 'transaction' | 'system'>> {
  const { rows: [row] } = await client.query<{ transaction: string; permitted: boolean }>("SELECT txid_current()::text AS transaction, has_function_privilege('pg_control_system()', 'EXECUTE') AS permitted");
  return { transaction: row?.transaction ?? '', system: row?.permitted === true ? await systemOf(client) : null };
}

async function systemOf(client: pg.Client): Promise<string | null> {
  return (await client.query<{ system: string }>('SELECT system_identifier::text AS system FROM pg_control_system()')).rows[0]?.system ?? null;
}

async function writeCensus(client: pg.Client, schema: string, tables: TargetTables, realmId: number): Promise<void> {
  const census = await realmCensus(client, tables, realmId, undefined, 'all');
  await client.query(`INSERT INTO ${schema}.written ("table", rows, digest) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])`, [census.map(({ table }) => table), census.map(({ rows }) => rows), census.map(({ digest }) => digest ?? null)]);
}

export class LoadRecord {
  readonly schema: string;
  readonly identity: LoadedIdentity;

  private constructor(schema: string, identity: LoadedIdentity) {
    [this.schema, this.identity] = [schema, identity];
  }

  /** Was a realm loaded under this subdomain? */
  static async isThere(client: pg.Client, subdomain: string): Promise<boolean> {
    return (await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [recordOf(subdomain)])).rows.length > 0;
  }

  /** @returns undefined when there is none @throws RealmliftError RIGHT_MISSING, UPDATE_UNKNOWN when it is damaged or of another version */
  static async find(client: pg.Client, subdomain: string): Promise<LoadRecord | undefined> {
    const schema = client.escapeIdentifier(recordOf(subdomain));
    const { rows: [known] } = await client.query<{ there: boolean; own: boolean }>('SELECT true AS there, pg_has_role(nspowner, \'USAGE\') AS own FROM pg_namespace WHERE nspname = $1', [recordOf(subdomain)]);
    if (known === undefined) return undefined;
    if (!known.own) throw new RealmliftError('RIGHT_MISSING', 'load', `the record of the load, the schema ${recordOf(subdomain)}, belongs to another role`, { hint: 'update as the role that loaded the realm' });
    const { rows: lacking } = await client.query<{ name: string }>('SELECT name FROM unnest($2::text[]) AS name WHERE to_regclass(format(\'%I.%I\', $1::text, name)) IS NULL', [recordOf(subdomain), TABLES]);
    if (lacking.length > 0) throw unreadable(subdomain, `lacks its tables ${lacking.map(({ name }) => name).join(', ')}`);
    const { rows: runs } = await client.query<{ identity: LoadedIdentity }>(`SELECT identity FROM ${schema}.run`);
    const [run] = runs;
    if (run === undefined || runs.length > 1) throw unreadable(subdomain, `has ${runs.length} rows in its table run, and not one`);
    if (run.identity.format !== FORMAT) throw unreadable(subdomain, 'was left by another version of realmlift');
    return new LoadRecord(schema, run.identity);
  }

  /** In the order of the rows of the export that was loaded. */
  async ids(client: pg.Client): Promise<IdRange[]> {
    return (await client.query<IdRange>(`SELECT "table", first::float8, count::float8 FROM ${this.schema}.ids ORDER BY n`)).rows;
  }

  /** What the load or the last update had written, by table. @throws RealmliftError UPDATE_UNKNOWN */
  async written(client: pg.Client): Promise<Map<string, Written>> {
    const { rows } = await client.query<{ table: string; rows: number; digest: string | null }>(`SELECT "table", rows::float8, digest FROM ${this.schema}.written`);
    if (rows.length === 0) throw unreadable(this.identity.subdomain, 'does not say any more what was loaded');
    return new Map(rows.map(({ table, ...counted }) => [table, counted]));
  }

  async notes(client: pg.Client, kind: Note): Promise<number[]> {
    return (await client.query<{ id: number }>(`SELECT id::float8 FROM ${this.schema}.note WHERE kind = $1 ORDER BY id`, [kind])).rows.map(({ id }) => id);
  }

  async note(client: pg.Client, kind: Note, ids: readonly number[]): Promise<void> {
    await client.query(`INSERT INTO ${this.schema}.note SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`, [kind, ids]);
  }

  async forget(client: pg.Client, kind: Note, ids: readonly number[]): Promise<void> {
    await client.query(`DELETE FROM ${this.schema}.note WHERE kind = $1 AND id = ANY ($2)`, [kind, ids]);
  }

  async addFiles(client: pg.Client, state: FileState, files: readonly RecordedFile[]): Promise<void> {
    await client.query(`INSERT INTO ${this.schema}.file SELECT $1, * FROM unnest($2::text[], $3::text[]) ON CONFLICT DO NOTHING`, [state, files.map(({ area }) => area), files.map(({ key }) => key)]);
  }

  /** @param lock waits for a transaction that is about to take them off the list */
  async files(client: pg.Client, state: FileState, lock = false): Promise<RecordedFile[]> {
    return (await client.query<RecordedFile>(`SELECT area, key FROM ${this.schema}.file WHERE kind = $1 ORDER BY area, key${lock ? ' FOR UPDATE' : ''}`, [state])).rows;
  }

  async forgetFiles(client: pg.Client, state: FileState): Promise<void> {
    await client.query(`DELETE FROM ${this.schema}.file WHERE kind = $1`, [state]);
  }

  /** The realm is that of another export now, with the same rows. */
  async rename(client: pg.Client, loaded: Pick<LoadedIdentity, 'directory' | 'exportDigest'>): Promise<void> {
    await client.query(`UPDATE ${this.schema}.run SET identity = identity || $1::jsonb`, [JSON.stringify(loaded)]);
  }

  /** In the transaction of an update, as its last statement. */
  async renew(client: pg.Client, loaded: Omit<LoadedIdentity, 'transaction' | 'system'>, tables: TargetTables, ids: readonly IdRange[]): Promise<void> {
    await client.query(`UPDATE ${this.schema}.run SET identity = $1`, [JSON.stringify({ ...loaded, ...await lastTransaction(client) })]);
    await client.query(`TRUNCATE ${this.schema}.ids, ${this.schema}.written`);
    // As many as there are rows among others, at worst.
    const AT_ONCE = 50_000;
    for (let from = 0; from < ids.length; from += AT_ONCE) {
      const some = ids.slice(from, from + AT_ONCE);
      await client.query(`INSERT INTO ${this.schema}.ids ("table", first, count) SELECT t, f, c FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS range(t, f, c, n) ORDER BY n`, [some.map(({ table }) => table), some.map(({ first }) => first), some.map(({ count }) => count)]);
    }
    await writeCensus(client, this.schema, tables, loaded.realmId);
  }
}

function unreadable(subdomain: string, what: string): RealmliftError {
  return new RealmliftError('UPDATE_UNKNOWN', 'load', `the record of the load, the schema ${recordOf(subdomain)}, ${what}`, { hint: 'remove the realm there (manage.py delete_realm) and load the export afresh', exit: EXIT.nothingExported });
}
