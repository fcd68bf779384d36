/**
 * Restores a backup into an empty database.
 *
 * 1. The parts that the sealed list names are all there and of the right size.
 * 2. The schema without indexes and constraints, in one transaction.
 * 3. The rows, part by part: a part's transaction ends when its checksum, its seal and its rows' digest are right.
 * 4. Sequences, then indexes and constraints, several at a time.
 *
 * Every step is noted in the database itself (restore-journal.ts), so that a restore that was killed goes on where it was.
 */
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { damaged, partNamed, totalRows } from './backup-contents.js';
import type { Contents, Part, SavedTable, TablePart } from './backup-contents.js';
import type { OpenBackup } from './find-backup.js';
import { loadLargeObjects } from './load-large-objects.js';
import { loadRows } from './load-rows.js';
import { listProblems } from './part-list.js';
import { RestoreJournal } from './restore-journal.js';
import { prepareRoles } from './restore-roles.js';
import { inOrder } from './schema-order.js';
import { parseSchemaScript, withoutUnknownSettings } from './schema-script.js';
import { readPart } from './sealing.js';
import { runTasks } from './session-pool.js';
import type { SessionTask } from './session-pool.js';
import { qualified } from './source-catalog.js';

export interface RestoreRequest {
  readonly backup: OpenBackup;
  readonly settings: ConnectionSettings;
  /** Sessions that load rows and build indexes at once. */
  readonly jobs: number;
  /** Create the roles that the schema names and the server lacks; without login. */
  readonly createRoles: boolean;
}

export interface RestoreResult {
  readonly tables: number;
  readonly rows: number;
  /** Steps that an earlier, unfinished run had done. */
  readonly resumed: number;
  /** What could not be restored, and does not belong to the data. */
  readonly warnings: readonly string[];
}

/**
 * Settings of each session beside those of the script. Durability is asked for once, at the end (restore-journal.ts): until then a
 * crash of the server costs a repeated restore at worst.
 */
const SESSION = `SET synchronous_commit = off; SET client_min_messages = warning`;

/** @throws RealmliftError DATABASE_NOT_EMPTY, BACKUP_DAMAGED, ROLE_MISSING, SCHEMA_REFUSED, ROWS_REFUSED, … */
export async function restoreDatabase(request: RestoreRequest, stop: AbortSignal): Promise<RestoreResult> {
  const { backup, jobs } = request;
  const { contents } = backup;
  const problems = await listProblems(backup.store, contents.parts);
  if (problems.length > 0) throw damaged(problems);

  const session = async (): Promise<pg.Client> => {
    const client = await connect(request.settings, 'restore');
    await client.query(SESSION);
    return client;
  };
  const holder = await session();
  try {
    await refuseOtherEncoding(holder, contents);
    await prepareRoles(holder, contents.source.roles, request.createRoles);
    const journal = await RestoreJournal.open(holder, contents.id);
    const resumed = journal.steps;
    const { preData, largeObjects } = contents.schema;
    await restoreBeforeRows(backup, 'pre-data', preData, session, journal, stop);
    if (largeObjects !== undefined) await restoreBeforeRows(backup, 'large objects', largeObjects, session, journal, stop);
    await runTasks(rowTasks(backup, journal), jobs, session, stop);
    await journal.step(holder, 'sequences', () => setSequences(holder, contents));
    await restorePostData(backup, jobs, holder, session, journal, stop);
    const warnings = await restoreSettings(holder, contents);
    await journal.finish(holder);
    return { tables: contents.tables.length, rows: totalRows(contents), resumed, warnings };
  } finally {
    await holder.end().catch(() => undefined);
  }
}

async function refuseOtherEncoding(client: pg.Client, { source }: Contents): Promise<void> {
  const { rows: [row] } = await client.query<{ encoding: string }>(`SELECT current_setting('server_encoding') AS encoding`);
  if (row?.encoding === source.encoding) return;
  throw new RealmliftError('ENCODING', 'restore', `the database is encoded in ${row?.encoding ?? 'an unknown way'}, the source was in ${source.encoding}`, {
    hint: `createdb --template=template0 --encoding=${source.encoding} NAME`,
  });
}

/** A part of the schema, as this server can execute it. */
async function schemaOf({ store, contents, open }: OpenBackup, name: string, client: pg.Client, stop: AbortSignal): Promise<string> {
  const script = (await readPart(store, partNamed(contents, name), open, stop)).toString('utf8');
  const { rows } = await client.query<{ name: string }>('SELECT name FROM pg_catalog.pg_settings');
  return withoutUnknownSettings(script, new Set(rows.map((row) => row.name)));
}

async function restoreBeforeRows(backup: OpenBackup, step: string, part: string, session: () => Promise<pg.Client>, journal: RestoreJournal, stop: AbortSignal): Promise<void> {
  if (journal.isDone(step)) return;
  // A session of its own: the script's settings stay behind in it.
  const client = await session();
  try {
    const script = await schemaOf(backup, part, client, stop);
    await journal.step(client, step, () => execute(client, script));
  } finally {
    await client.end().catch(() => undefined);
  }
}

function rowTasks(backup: OpenBackup, journal: RestoreJournal): SessionTask[] {
  const { contents } = backup;
  const rows = contents.tables.flatMap((table) => table.parts.map((saved) => ({ part: partNamed(contents, saved.part), load: tableLoader(backup, table, saved) })));
  const pages = contents.largeObjects.map((saved) => ({ part: partNamed(contents, saved.part), load: pageLoader(backup, saved) }));
  return [...rows, ...pages]
    .sort((a, b) => b.part.bytes - a.part.bytes)
    .map(({ part, load }): SessionTask => (client, signal) => journal.step(client, part.name, () => load(client, part, signal)));
}

type Load = (client: pg.Client, part: Part, signal: AbortSignal) => Promise<void>;

function tableLoader(backup: OpenBackup, table: SavedTable, saved: TablePart): Load {
  return (client, part, signal) => {
    const columns = table.columns.map((column) => client.escapeIdentifier(column)).join(', ');
    const target = { sql: `${qualified(client, table.root ?? table)}${columns === '' ? '' : ` (${columns})`}`, table: `${table.schema}.${table.name}`, format: table.format };
    return loadRows(client, backup, part, saved, target, signal);
  };
}

function pageLoader(backup: OpenBackup, saved: TablePart): Load {
  return (client, part, signal) => loadLargeObjects(client, backup, part, saved, signal);
}

async function setSequences(client: pg.Client, { sequences }: Contents): Promise<void> {
  for (const sequence of sequences) {
    await client.query('SELECT pg_catalog.setval($1::regclass, $2, $3)', [qualified(client, sequence), sequence.value, sequence.called]);
  }
}

async function restorePostData(backup: OpenBackup, jobs: number, holder: pg.Client, session: () => Promise<pg.Client>, journal: RestoreJournal, stop: AbortSignal): Promise<void> {
  const { settings, entries } = parseSchemaScript(await schemaOf(backup, backup.contents.schema.postData, holder, stop));
  const weights = new Map(backup.contents.tables.map((table) => [`${table.schema}.${table.name}`, table.parts.reduce((sum, { part }) => sum + partNamed(backup.contents, part).bytes, 0)]));
  const steps = new Map(entries.map((entry, at) => [entry, `post-data ${at + 1}`]));
  const free: pg.Client[] = [];
  const all: pg.Client[] = [];
  try {
    for (let n = 0; n < jobs; n++) {
      const client = await session();
      all.push(client);
      free.push(client);
      await execute(client, settings);
    }
    await inOrder(entries, jobs, (table) => weights.get(table) ?? 0, async (entry) => {
      stop.throwIfAborted();
      const client = free.pop() as pg.Client;
      await journal.step(client, steps.get(entry) as string, () => execute(client, entry.sql));
      free.push(client);
    });
  } finally {
    await Promise.all(all.map((client) => client.end().catch(() => undefined)));
  }
}

/** Executes statements of the schema. Their errors speak of objects; a violated constraint's detail, which quotes values, is left out. */
async function execute(client: pg.Client, sql: string): Promise<void> {
  try {
    await client.query(sql);
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string };
    const where = /^-- Name: (.*); Type: (.*?); Schema: /m.exec(sql);
    const entry = where === null ? '' : ` (${where[2] ?? ''} ${where[1] ?? ''})`;
    throw new RealmliftError('SCHEMA_REFUSED', 'restore', `the server refuses the schema${entry}: ${message} (${code ?? 'connection lost'})`, { hint: hintFor(code), cause });
  }
}

function hintFor(code: string | undefined): string | undefined {
  switch (code) {
    case '0A000': case '58P01': return "install the extension's package, or the dictionary's files, on this server";
    case '42501': return 'restore as a superuser, or as the owner of the database';
    default: return undefined;
  }
}

/** ALTER DATABASE … SET, which belongs to the server's catalog and not to the schema. */
async function restoreSettings(client: pg.Client, { source }: Contents): Promise<string[]> {
  const warnings: string[] = [];
  for (const setting of source.settings) {
    const [, name = '', value = ''] = /^([^=]+)=([^]*)$/.exec(setting) ?? [];
    try {
      // FROM CURRENT spares the quoting, which differs between lists and single values.
      await client.query(`BEGIN; SELECT set_config(${client.escapeLiteral(name)}, ${client.escapeLiteral(value)}, true)`);
      await client.query(`ALTER DATABASE ${client.escapeIdentifier(client.database ?? '')} SET ${name} FROM CURRENT; COMMIT`);
    } catch (error) {
      await client.query('ROLLBACK');
      warnings.push(`the setting ${name} of the database was not restored: ${(error as Error).message}`);
    }
  }
  return warnings;
}
