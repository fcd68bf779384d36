/**
 * The database's part of a backup: schema, rows, large objects and sequences, all out of one snapshot.
 */
import { Readable } from 'node:stream';
import type pg from 'pg';
import { forCopying } from '../../copy/copy-socket.js';
import { tellPhase } from '../../narration.js';
import { runTasks } from '../../snapshot/session-pool.js';
import { joinSnapshot } from '../../snapshot/snapshot.js';
import type { Snapshot } from '../../snapshot/snapshot.js';
import { holdTables } from '../../snapshot/table-locks.js';
import type { LockPatience } from '../../snapshot/table-locks.js';
import { addSchemas, schemasForPlanning } from '../../snapshot/unqualified-names.js';
import type { Contents, Part } from '../contents/backup-contents.js';
import { sealPart } from '../contents/sealing.js';
import { largeObjectSchema } from '../schema/large-object-schema.js';
import { checkPgDump, withSchema } from '../schema/pg-dump.js';
import type { Section } from '../schema/pg-dump.js';
import { portableTypes } from '../source/portable-types.js';
import { sequenceValues, sourceTables, tablesToHold, unloggedOnStandby } from '../source/source-catalog.js';
import type { SourceTable } from '../source/source-catalog.js';
import type { BackupWorkers } from './backup-workers.js';
import { RowTasks, type PartPlace } from './row-tasks.js';
import { sourceProperties } from './source-properties.js';

export interface DatabaseSaving extends PartPlace {
  readonly pgDump: string;
  /** Sessions that copy at once. */
  readonly jobs: number;
  readonly patience: LockPatience;
  readonly onSize: ((bytes: number) => void) | undefined;
  /** Who copies the rows, if it is not this process. */
  readonly workers: BackupWorkers | undefined;
}

export type SavedDatabase = Pick<Contents, 'source' | 'schema' | 'tables' | 'sequences' | 'unlogged' | 'largeObjects'> & { readonly parts: readonly Part[] };

/** @throws RealmliftError PG_DUMP_MISSING, PG_DUMP_OLD, LOCK_TIMEOUT; TABLES_LOCKED and TABLE_CHANGED when it is worth to begin anew; whatever a table, pg_dump or the store has to say */
export async function saveDatabase(snapshot: Snapshot, saving: DatabaseSaving, stop: AbortSignal): Promise<SavedDatabase> {
  const { client } = snapshot;
  let schemas: readonly string[] = [];
  const lockedTables = async (): Promise<SourceTable[]> => {
    await holdTables(snapshot, await tablesToHold(client), saving.patience);
    schemas = await schemasForPlanning(client);
    await addSchemas(client, schemas);
    await saving.workers?.begin(snapshot, saving.store, saving.sealing, schemas);
    return sourceTables(client, snapshot.serverVersion, await portableTypes(client));
  };
  // Meanwhile, for to ask pg_dump its version takes as long: Debian puts a Perl script before it.
  const [tables] = await Promise.all([lockedTables(), checkPgDump(saving.pgDump, snapshot.serverVersion)]);
  const source = await sourceProperties(client, snapshot.serverVersion);
  const sequences = await sequenceValues(client);
  const unlogged = await unloggedOnStandby(client);
  const rows = new RowTasks(client, saving);
  const savedTables = tables.map((table, number) => rows.ofTable(table, number, source.rowsIn));
  const largeObjects = await rows.ofLargeObjects();

  const objects = await largeObjectSchema(client);
  const schema = {
    preData: saving.names.schema('pre-data'), ...(objects === undefined ? {} : { largeObjects: saving.names.schema('large-objects') }), postData: saving.names.schema('post-data'),
  };
  saving.onSize?.(rows.size);
  tellPhase('rows', 'bytes', rows.size);
  const { parts } = rows;
  await allOrNone(stop, (signal) => [
    ...(objects === undefined || schema.largeObjects === undefined ? [] : [sealPart(saving.store, schema.largeObjects, Readable.from([Buffer.from(objects)]), saving.sealing, signal).then((part) => parts.push(part))]),
    saveSchema(snapshot, saving, 'pre-data', source.encoding, schema.preData, signal).then((part) => parts.push(part)),
    saveSchema(snapshot, saving, 'post-data', source.encoding, schema.postData, signal).then((part) => parts.push(part)),
    saving.workers === undefined ? runTasks(rows.forSessions(), saving.jobs, () => joinForRows(snapshot, schemas), signal) : rows.byWorkers(saving.workers, signal),
  ]);
  return {
    source, schema, tables: savedTables, largeObjects, sequences, ...(unlogged.length === 0 ? {} : { unlogged }), parts,
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
