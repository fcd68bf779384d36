/**
 * Restores a backup into an empty database.
 *
 * 1. The parts that the sealed list names are all there and of the right size.
 * 2. The schema without indexes and constraints, in one transaction.
 * 3. The rows, part by part: a part's transaction ends when its checksum, its seal and its rows' digest are right.
 * 4. Sequences, then indexes and constraints, several at a time.
 * 5. In one transaction all that would interfere with the others: event triggers, and the settings of the database, with rights on it and its comment.
 *
 * Every step is noted in the database itself (copy/copy-in-journal.ts), so that a restore that was killed goes on where it was.
 */
import type pg from 'pg';
import { unlessComplete } from '../copy/commit-outcome.js';
import { asRealmliftError, RealmliftError } from '../errors.js';
import { tellPhase } from '../narration.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { asPath } from '../snapshot/unqualified-names.js';
import { damaged, totalRows, unloggedText } from './contents/backup-contents.js';
import type { OpenBackup } from './contents/find-backup.js';
import { listProblems } from './contents/part-list.js';
import { RESTORE_SCHEMA, RestoreJournal } from './restore/restore-journal.js';
import { restorePostData } from './restore/restore-post-data.js';
import { prepareRoles } from './restore/restore-roles.js';
import { restoreProperties, rolesOfProperties } from './restore/restore-properties.js';
import { restoreRows, storedSizes } from './restore/restore-rows.js';
import { executeEntry, executeSettings, readSchema, refuseOtherEncoding, setSequences } from './restore/restore-schema.js';
import type { Schema } from './restore/restore-schema.js';
import type { LeftOut } from './schema/schema-script.js';

export interface RestoreRequest {
  readonly backup: OpenBackup;
  readonly settings: ConnectionSettings;
  /** Sessions that load rows and build indexes at once. */
  readonly jobs: number;
  /** Create the roles that the schema names and the server lacks; without login. */
  readonly createRoles: boolean;
  /** For a role that may not give objects, or rights on them, to others: all is its own. */
  readonly leftOut: LeftOut;
  /** Told before anything is written. */
  readonly onBegun?: (() => void) | undefined;
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
 * Settings of each session beside those of the script. Durability is asked for once, at the end (copy/copy-in-journal.ts): until then a
 * crash of the server costs a repeated restore at worst.
 */
const SESSION = `SET synchronous_commit = off; SET client_min_messages = warning`;

type Connect = () => Promise<pg.Client>;

/** @throws RealmliftError DATABASE_NOT_EMPTY, BACKUP_DAMAGED, ROLE_MISSING, SCHEMA_REFUSED, ROWS_REFUSED, … */
export async function restoreDatabase(request: RestoreRequest, stop: AbortSignal): Promise<RestoreResult> {
  const { backup, jobs } = request;
  const { contents } = backup;
  const problems = await listProblems(backup.store, contents.parts);
  if (problems.length > 0) throw damaged(problems);

  const connected = async (): Promise<pg.Client> => {
    const client = await connect(request.settings, 'restore', stop);
    await client.query(SESSION);
    return client;
  };
  const session = async (): Promise<pg.Client> => {
    const client = await connected();
    await RestoreJournal.join(client);
    return client;
  };
  const holder = await connected();
  try {
    await refuseOtherEncoding(holder, contents.source.encoding, 'restore');
    tellPhase('schema', 'steps');
    const schema = await readSchema(backup, request.leftOut, holder, stop);
    request.onBegun?.();
    await prepareRoles(holder, request.createRoles ? [...new Set([...schema.roles, ...rolesOfProperties(contents, request.leftOut)])] : schema.roles, request.createRoles);
    const journal = await RestoreJournal.open(holder, contents.id);
    const resumed = journal.steps;
    const path = asPath(holder, contents.source.searchPath ?? []);
    const warnings = [...schema.warnings, ...toldBy(unloggedText(contents)), ...await restorePreData(schema, path, session, journal)];
    await restoreRows(backup, { jobs, connect: session, path }, journal, stop);
    await journal.step(holder, 'sequences', () => setSequences(holder, contents.sequences));
    warnings.push(...(await restorePostData(schema.postData, { work: 'restore', path, sizes: storedSizes(contents), jobs, connect: session }, journal, stop)));
    await journal.finish(holder, async () => {
      warnings.push(...(await restoreProperties(holder, contents, request.leftOut)));
    }, async () => {
      for (const entry of schema.last) warnings.push(...toldBy(await executeEntry(holder, entry, path, 'restore')));
    }).catch((error: unknown) => unlessComplete(error, { settings: request.settings, role: 'restore', name: RESTORE_SCHEMA, stop }));
    return { tables: contents.tables.length, rows: totalRows(contents), resumed, warnings };
  } catch (error) {
    // Of a last step of which nobody knows it says so.
    throw stop.aborted && !(error instanceof RealmliftError && error.code === 'STOPPED') ? stop.reason : asRealmliftError(error, 'restore');
  } finally {
    await holder.end().catch(() => undefined);
  }
}

async function restorePreData({ preData, largeObjects }: Schema, path: string, session: Connect, journal: RestoreJournal): Promise<string[]> {
  const warnings: string[] = [];
  // Sessions of their own: a script's settings stay behind in them.
  await within(session, (client) => journal.step(client, 'pre-data', async () => {
    await executeSettings(client, preData.settings, 'restore');
    for (const entry of preData.entries) warnings.push(...toldBy(await executeEntry(client, entry, path, 'restore')));
  }));
  if (largeObjects !== undefined) await within(session, (client) => journal.step(client, 'large objects', () => executeSettings(client, largeObjects, 'restore')));
  return warnings;
}

async function within(session: Connect, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = await session();
  try {
    await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function toldBy(warning: string | undefined): string[] {
  return warning === undefined ? [] : [warning];
}
