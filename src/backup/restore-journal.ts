/**
 * How far a restore has come, kept in the database that is restored: each step is written down in the transaction that does it. While
 * the schema realmlift_restore is there, the database is unfinished; it is dropped by the last step.
 */
import type pg from 'pg';
import { RealmliftError } from '../errors.js';

const SCHEMA = 'realmlift_restore';

/**
 * Objects of a user, save an extension's: those a template database may bring along. OIDs below 16384 are the system's own.
 * src/include/access/transam.h
 */
const SOMETHING_THERE = `
  WITH object AS (
    SELECT 'pg_class'::regclass AS class, oid, 'relation ' || relname AS what FROM pg_class WHERE relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace
    UNION ALL SELECT 'pg_proc'::regclass, oid, 'function ' || proname FROM pg_proc
    UNION ALL SELECT 'pg_type'::regclass, oid, 'type ' || typname FROM pg_type WHERE typelem = 0 AND typrelid = 0
    UNION ALL SELECT 'pg_namespace'::regclass, oid, 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT 'pg_largeobject_metadata'::regclass, oid, 'large object ' || oid FROM pg_largeobject_metadata
  )
  SELECT what FROM object o
  WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e') LIMIT 1`;

export class RestoreJournal {
  readonly #done: Set<string>;

  private constructor(done: Set<string>) {
    this.#done = done;
  }

  /**
   * Begins a restore in an empty database, or goes on with one of the same backup.
   *
   * @throws RealmliftError DATABASE_NOT_EMPTY, RESTORE_OF_ANOTHER, RESTORE_RUNNING
   */
  static async open(client: pg.Client, backupId: string): Promise<RestoreJournal> {
    // Held to the end of the session.
    const { rows: [lock] } = await client.query<{ mine: boolean }>(`SELECT pg_try_advisory_lock(hashtext('${SCHEMA}'), 0) AS mine`);
    if (lock?.mine !== true) throw new RealmliftError('RESTORE_RUNNING', 'restore', 'another restore into this database is under way');

    const { rowCount: known } = await client.query(`SELECT FROM pg_namespace WHERE nspname = '${SCHEMA}'`);
    if (known === 0) {
      const { rows: [found] } = await client.query<{ what: string }>(SOMETHING_THERE);
      if (found !== undefined) {
        throw new RealmliftError('DATABASE_NOT_EMPTY', 'restore', `the database is not empty: it has the ${found.what}`, { hint: 'create a new one (createdb --template=template0 NAME) and restore into it' });
      }
      await client.query(`
        BEGIN;
        CREATE SCHEMA ${SCHEMA};
        COMMENT ON SCHEMA ${SCHEMA} IS 'This database is being restored by realmlift and is not complete. Run the restore again to finish it.';
        CREATE TABLE ${SCHEMA}.backup (id text NOT NULL);
        CREATE TABLE ${SCHEMA}.done (step text PRIMARY KEY);
        INSERT INTO ${SCHEMA}.backup VALUES (${client.escapeLiteral(backupId)});
        COMMIT`).catch((cause: unknown) => { throw notAllowed(cause, client); });
      return new RestoreJournal(new Set());
    }
    const { rows: [backup] } = await client.query<{ id: string }>(`SELECT id FROM ${SCHEMA}.backup`);
    if (backup?.id !== backupId) {
      throw new RealmliftError('RESTORE_OF_ANOTHER', 'restore', 'the database holds an unfinished restore of another backup', { hint: 'finish that one, or drop the database and create it anew' });
    }
    const { rows } = await client.query<{ step: string }>(`SELECT step FROM ${SCHEMA}.done`);
    return new RestoreJournal(new Set(rows.map(({ step }) => step)));
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
   * @param work may be called in a transaction of any session of this restore
   */
  async step(client: pg.Client, step: string, work: () => Promise<void>): Promise<void> {
    if (this.isDone(step)) return;
    await client.query('BEGIN');
    try {
      await work();
      await client.query(`INSERT INTO ${SCHEMA}.done VALUES (${client.escapeLiteral(step)})`);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  /**
   * The database is complete. This commit is waited for, and with it all before it are safe on the server's disk.
   *
   * @param last,afterwards work in the same transaction, before and after the journal is removed: what is done afterwards may forbid it
   */
  async finish(client: pg.Client, last: () => Promise<void>, afterwards: () => Promise<void>): Promise<void> {
    await client.query('BEGIN; SET LOCAL synchronous_commit = on');
    try {
      await last();
      // The settings that were just given to the database hold for later sessions, not for this one.
      await client.query(`DROP SCHEMA ${SCHEMA} CASCADE`);
      await afterwards();
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }
}

function notAllowed(cause: unknown, client: pg.Client): unknown {
  const { code, message } = cause as { code?: string; message: string };
  if (code !== '42501') return cause;
  const role = client.escapeIdentifier(client.user ?? '');
  return new RealmliftError('RIGHT_MISSING', 'restore', `the role may create nothing in the database: ${message}`, { hint: `GRANT CREATE ON DATABASE ${client.escapeIdentifier(client.database ?? '')} TO ${role}, or make it the owner`, cause });
}
