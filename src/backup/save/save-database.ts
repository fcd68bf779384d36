/**
 * The database's part of a backup: schema, rows, large objects and sequences, all out of one snapshot.
 */
import { Readable } from 'node:stream';
import type pg from 'pg';
import { forCopying } from '../../copy/copy-socket.js';
import { RealmliftError } from '../../errors.js';
import { joinSnapshot } from '../../snapshot/snapshot.js';
import type { Snapshot } from '../../snapshot/snapshot.js';
import { holdTables } from '../../snapshot/table-locks.js';
import type { LockPatience } from '../../snapshot/table-locks.js';
import { addSchemas, schemasForPlanning } from '../../snapshot/unqualified-names.js';
import type { Contents, Part, SavedTable, TablePart } from '../contents/backup-contents.js';
import type { BackupStore } from '../store/backup-store.js';
import { largeObjectSchema } from '../schema/large-object-schema.js';
import type { PartNames } from '../contents/part-names.js';
import { checkPgDump, withSchema } from '../schema/pg-dump.js';
import type { Section } from '../schema/pg-dump.js';
import { portableTypes } from '../source/portable-types.js';
import { LARGE_OBJECT_PIECES, rowQuery } from '../source/row-query.js';
import { saveRows } from './save-rows.js';
import type { RowSelection } from './save-rows.js';
import { sealPart } from '../contents/sealing.js';
import type { Sealing } from '../contents/sealing.js';
import { runTasks } from '../../snapshot/session-pool.js';
import type { SessionTask } from '../../snapshot/session-pool.js';
import { sequenceValues, sourceTables, tablesToHold } from '../source/source-catalog.js';
import type { SourceTable } from '../source/source-catalog.js';
import { sourceProperties } from './source-properties.js';
import { rangeConditions } from '../source/table-ranges.js';
import { tellPhase, tellProgress } from '../../narration.js';

export interface DatabaseSaving {
  readonly store: BackupStore;
  readonly names: PartNames;
  readonly sealing: Sealing;
  readonly pgDump: string;
  /** Sessions that copy at once. */
  readonly jobs: number;
  readonly patience: LockPatience;
  readonly onSize: ((bytes: number) => void) | undefined;
}

export type SavedDatabase = Pick<Contents, 'source' | 'schema' | 'tables' | 'sequences' | 'largeObjects'> & { readonly parts: readonly Part[] };

/** @throws RealmliftError PG_DUMP_MISSING, PG_DUMP_OLD, LOCK_TIMEOUT; TABLES_LOCKED and TABLE_CHANGED when it is worth to begin anew; whatever a table, pg_dump or the store has to say */
export async function saveDatabase(snapshot: Snapshot, saving: DatabaseSaving, stop: AbortSignal): Promise<SavedDatabase> {
  const { client } = snapshot;
  let schemas: readonly string[] = [];
  const lockedTables = async (): Promise<SourceTable[]> => {
    await holdTables(snapshot, await tablesToHold(client), saving.patience);
    schemas = await schemasForPlanning(client);
    await addSchemas(client, schemas);
    return sourceTables(client, snapshot.serverVersion, await portableTypes(client));
  };
  // Meanwhile, for to ask pg_dump its version takes as long: Debian puts a Perl script before it.
  const [tables] = await Promise.all([lockedTables(), checkPgDump(saving.pgDump, snapshot.serverVersion)]);
  const parts: Part[] = [];
  const source = await sourceProperties(client, snapshot.serverVersion);
  const rows = tables.map((table, number) => tableTasks(client, table, number, source.rowsIn, saving, parts));
  const largeObjects = await largeObjectTasks(client, saving, parts);
  const tasks = [...rows, largeObjects].flatMap((each) => each.tasks).sort((a, b) => b.size - a.size);

  const objects = await largeObjectSchema(client);
  const schema = {
    preData: saving.names.schema('pre-data'), ...(objects === undefined ? {} : { largeObjects: saving.names.schema('large-objects') }), postData: saving.names.schema('post-data'),
  };
  const size = tasks.reduce((sum, task) => sum + task.size, 0);
  saving.onSize?.(size);
  tellPhase('rows', 'bytes', size);
  await allOrNone(stop, (signal) => [
    ...(objects === undefined || schema.largeObjects === undefined ? [] : [sealPart(saving.store, schema.largeObjects, Readable.from([Buffer.from(objects)]), saving.sealing, signal).then((part) => parts.push(part))]),
    saveSchema(snapshot, saving, 'pre-data', source.encoding, schema.preData, signal).then((part) => parts.push(part)),
    saveSchema(snapshot, saving, 'post-data', source.encoding, schema.postData, signal).then((part) => parts.push(part)),
    runTasks(tasks.map(({ run }) => run), saving.jobs, () => joinForRows(snapshot, schemas), signal),
  ]);
  return {
    source, schema, tables: rows.map((each) => each.saved), largeObjects: largeObjects.parts,
    sequences: await sequenceValues(client), parts,
  };
}

/** Waits for all; the first failure stops the others and is thrown. */
async function allOrNone(stop: AbortSignal, work: (signal: AbortSignal) => readonly Promise<unknown>[]): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);
  await Promise.all(work(signal).map((each) => each.catch((error: unknown) => failed.abort(error))));
  signal.throwIfAborted();
}

async function joinForRows(snapshot: Snapshot, schemas: readonly string[]): Promise<pg.Client> {
  const client = await joinSnapshot({ ...snapshot, settings: forCopying(snapshot.settings) }, 'backup');
  await addSchemas(client, schemas);
  return client;
}

function saveSchema(snapshot: Snapshot, { store, sealing, pgDump }: DatabaseSaving, section: Section, encoding: string, name: string, signal: AbortSignal): Promise<Part> {
  return withSchema(pgDump, snapshot, section, encoding, (sql) => sealPart(store, name, sql, sealing, signal));
}

/** Work of one session; the larger ones are begun first, so that no session is left alone with one at the end. */
interface Task {
  readonly size: number;
  readonly run: SessionTask;
}

function tableTasks(client: pg.Client, table: SourceTable, number: number, rowsIn: string | undefined, saving: DatabaseSaving, parts: Part[]): { saved: SavedTable; tasks: Task[] } {
  const { schema, name, format, columns, condition, root } = table;
  const saved: TablePart[] = [];
  const conditions = rangeConditions(table, (column) => client.escapeIdentifier(column));
  const tasks = conditions.map((range, at): Task => {
    const partName = saving.names.rows(number + 1, table, at + 1);
    const size = table.size / conditions.length;
    const selection = { table: `${schema}.${name}`, select: rowQuery(client, table, range), format, encoding: rowsIn };
    return { size, run: rowTask(selection, partName, at, saved, saving, parts, size) };
  });
  return { saved: { schema, name, format, columns, ...(condition === undefined ? {} : { condition }), ...(root === undefined ? {} : { root }), parts: saved }, tasks };
}

function rowTask(selection: RowSelection, partName: string, at: number, saved: TablePart[], { store, sealing }: DatabaseSaving, parts: Part[], size: number): SessionTask {
  return async (client, signal) => {
    const saving = saveRows(client, selection, store, partName, sealing, signal);
    const rest = saving.saved.then(({ part, rows, digest }) => {
      parts.push(part);
      tellProgress(size);
      saved[at] = { part: part.name, rows, digest };
    });
    await Promise.race([saving.sent, rest]);
    return { rest };
  };
}

/** Large objects are saved by their pages; what else there is of them is in the schema. */
async function largeObjectTasks(client: pg.Client, saving: DatabaseSaving, parts: Part[]): Promise<{ parts: TablePart[]; tasks: Task[] }> {
  const { rows: [row] } = await client.query<{ any: boolean; readable: boolean; size: string; blocks: string }>(`
    SELECT EXISTS (SELECT FROM pg_largeobject_metadata) AS any, has_table_privilege('pg_largeobject', 'SELECT') AS readable,
           pg_table_size('pg_largeobject')::text AS size, (pg_relation_size('pg_largeobject') / current_setting('block_size')::int)::text AS blocks`);
  if (row?.any !== true) return { parts: [], tasks: [] };
  if (!row.readable) throw new RealmliftError('RIGHT_MISSING', 'backup', 'the role may not read the large objects', { hint: 'use a superuser, or (PostgreSQL 14) GRANT pg_read_all_data TO the role' });

  const measured = { size: Number(row.size), blocks: Number(row.blocks) };
  const saved: TablePart[] = [];
  const conditions = rangeConditions(measured, (column) => client.escapeIdentifier(column));
  const tasks = conditions.map((range, at): Task => {
    const select = range === '' ? LARGE_OBJECT_PIECES : `${LARGE_OBJECT_PIECES} WHERE ${range}`;
    const selection = { table: 'pg_largeobject', select, format: 'binary', encoding: undefined } as const;
    const size = measured.size / conditions.length;
    return { size, run: rowTask(selection, saving.names.largeObjects(at + 1), at, saved, saving, parts, size) };
  });
  return { parts: saved, tasks };
}
