/**
 * A backup of the whole database, and of the uploaded files if wanted, encrypted before it touches a disk.
 *
 * 1. The snapshot is taken, and in it the tables are locked against changes of their structure.
 * 2. Schema, rows and large objects go into sealed parts, by several sessions in that one snapshot.
 * 3. The uploaded files follow, if wanted.
 * 4. The sealed list of contents is written, then the clear one: from then on the backup exists.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { Readable } from 'node:stream';
import { RealmliftError, asRealmliftError } from '../errors.js';
import type { UploadPlace } from '../files/upload/upload-place.js';
import { tellWarning } from '../narration.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { databaseIdentity } from '../snapshot/database-identity.js';
import { withSnapshot } from '../snapshot/snapshot.js';
import type { LockPatience } from '../snapshot/table-locks.js';
import { VERSION } from '../version.js';
import { IDENTITY, NEW_LIST, clearListObjects, totalFiles, totalRows, unloggedText } from './contents/backup-contents.js';
import type { Contents, Part } from './contents/backup-contents.js';
import { PartNames, backupName } from './contents/part-names.js';
import { sealPart } from './contents/sealing.js';
import type { BackupWorkers } from './save/backup-workers.js';
import { saveDatabase } from './save/save-database.js';
import type { Recipients } from './seal/age-keys.js';
import { SUFFIXES, type Compression } from './seal/compression.js';
import type { QualifiedName } from './source/source-catalog.js';
import { writeWhole } from './store/backup-store.js';
import type { BackupStore } from './store/backup-store.js';
import { withUploadSource } from './uploads/open-uploads.js';
import type { LostUpload } from './uploads/upload-source.js';

export interface BackupRequest {
  readonly settings: ConnectionSettings;
  /** Where backups are kept; each one is a directory of its own in it. */
  readonly target: BackupStore;
  readonly recipients: Recipients;
  /** Signs the backup: its Ed25519 key. */
  readonly signKey: KeyObject | undefined;
  readonly compression: Compression;
  /** Sessions that copy at once. */
  readonly jobs: number;
  /** Names of parts tell nothing. */
  readonly privateNames: boolean;
  readonly patience: LockPatience;
  /** The program pg_dump: a path, or a name to be found on PATH. */
  readonly pgDump: string;
  /** Where the uploaded files are, if they are to be saved too. */
  readonly uploads: UploadPlace | undefined;
  /** Ends the backup; what was written of it is removed. */
  readonly stop?: AbortSignal | undefined;
  /** Asked before the backup becomes one: throws when it must not. */
  readonly beforeComplete?: () => Promise<void>;
  /** Told how many bytes the tables have on the server's disk. */
  readonly onSize?: (bytes: number) => void;
  /** Has it made by other machines: runs each attempt with them. */
  readonly withWorkers?: (<T>(work: (workers: BackupWorkers) => Promise<T>) => Promise<T>) | undefined;
}

export interface BackupResult {
  readonly name: string;
  readonly location: string;
  readonly takenAt: string;
  readonly tables: number;
  readonly rows: number;
  /** Unlogged tables and sequences whose rows and values a standby did not have, where there are any. */
  readonly unlogged?: readonly QualifiedName[];
  /** Uploaded files, where they were asked for. */
  readonly files?: number;
  /** Files that were deleted between their listing and their reading. */
  readonly vanishedFiles?: number;
  /** Files that were there and could not be had, and the first of them by name. */
  readonly lostFiles?: number;
  readonly lost?: readonly LostUpload[];
  readonly parts: number;
  /** As stored. */
  readonly bytes: number;
}

/** How often a backup begins anew when somebody changes a table, or waits to, just as it begins. */
const ATTEMPTS = 5;

/** @throws RealmliftError; what was written of an unfinished backup is removed again */
export async function takeBackup(request: BackupRequest): Promise<BackupResult> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await (request.withWorkers === undefined ? takeOnce(request, undefined) : request.withWorkers((workers) => takeOnce(request, workers)));
    } catch (error) {
      if (!['TABLES_LOCKED', 'TABLE_CHANGED'].includes((error as RealmliftError).code) || attempt === ATTEMPTS) throw error;
    }
  }
}

async function takeOnce(request: BackupRequest, workers: BackupWorkers | undefined): Promise<BackupResult> {
  const id = randomBytes(16).toString('hex');
  const given = request.stop ?? new AbortController().signal;
  const stop = workers === undefined ? given : AbortSignal.any([given, workers.lost]);
  let begun: BackupStore | undefined;
  try {
    const names = new PartNames(request.privateNames, SUFFIXES[request.compression.method]);
    const contentsName = names.contents;
    const sealing = { recipients: request.recipients, compression: request.compression };
    const { jobs } = request;
    const { takenAt, name, mark, database } = await withSnapshot(request.settings, async (snapshot) => {
      const name = backupName(snapshot.takenAt, id);
      begun = request.target.within(name);
      const mark = createHash('sha256').update(await databaseIdentity(snapshot.client, snapshot.settings)).digest('hex');
      return { takenAt: snapshot.takenAt, name, mark, database: await saveDatabase(snapshot, { store: begun, names, sealing, pgDump: request.pgDump, jobs, patience: request.patience, onSize: request.onSize, workers }, snapshot.lost) };
    }, { signal: stop });
    workers?.letGo();
    const store = request.target.within(name);
    const identity = await saveIdentity(store, request.recipients);
    // After the rows, so that each file that they name was there; and without the snapshot, which would keep the server from cleaning up.
    const signal = stop;
    const uploads = request.uploads === undefined ? undefined
      : await withUploadSource(request.uploads, signal, async (source) => (await import('./save/save-uploads.js')).saveUploads(source, { store, names, sealing, jobs, workers }, signal));
    await workers?.finish();

    const { parts: databaseParts, ...saved } = database;
    const parts = [...identity, ...databaseParts, ...(uploads?.parts ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
    const common = { ...NEW_LIST, id, takenAt };
    const contents: Contents = { ...common, realmlift: VERSION, ...saved, ...(uploads === undefined ? {} : { files: uploads.files }), parts };
    const sealed = await sealPart(store, contentsName, Readable.from([Buffer.from(JSON.stringify(contents))]), sealing, signal);
    await request.beforeComplete?.();
    await requireParts(store, [...parts, sealed]);
    for (const [object, text] of clearListObjects({ ...common, database: mark, contents: contentsName, parts: [...parts, sealed] }, request.signKey)) await writeWhole(store, object, text);
    const lacking = unloggedText(contents);
    if (lacking !== undefined) tellWarning(lacking);
    return resultOf(name, store, contents, [...parts, sealed]);
  } catch (error) {
    await begun?.clear().catch(() => undefined);
    stop.throwIfAborted();
    throw (error as { code?: string }).code === NOT_UTF8 ? badName(error) : asRealmliftError(error, 'backup');
  }
}

/** Finds out what removed parts meanwhile: another run, for one, that took this one for dead. @throws RealmliftError PART_NOT_THERE */
async function requireParts(store: BackupStore, parts: readonly Part[]): Promise<void> {
  const present = await store.list();
  const gone = parts.find(({ name, bytes }) => present.get(name) !== bytes);
  if (gone === undefined) return;
  throw new RealmliftError('PART_NOT_THERE', 'backup', `${gone.name} was written to ${store.description} and is there no more, or not as a whole`, { hint: 'see what else removes or changes files there', again: true });
}

/** SQLSTATE of bytes that are no text in the session's encoding. */
const NOT_UTF8 = '22021';

/** Rows travel as bytes; by names our queries must know the objects. */
function badName(cause: unknown): RealmliftError {
  return new RealmliftError('NAME_NOT_UTF8', 'backup', 'the name of an object, or a comment of a large object, is no UTF-8', { hint: 'the database is in SQL_ASCII: rename it; rows may have any bytes', cause });
}

function resultOf(name: string, store: BackupStore, contents: Contents, parts: readonly Part[]): BackupResult {
  const { files } = contents;
  return {
    name, location: store.description, takenAt: contents.takenAt, tables: contents.tables.length, rows: totalRows(contents), ...(contents.unlogged === undefined ? {} : { unlogged: contents.unlogged }),
    ...(files === undefined ? {} : { files: totalFiles(contents), vanishedFiles: files.vanished, ...(files.lost === undefined ? {} : { lostFiles: files.lost, lost: files.lostFiles }) }),
    parts: parts.length, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

async function saveIdentity(store: BackupStore, { identityFile }: Recipients): Promise<Part[]> {
  if (identityFile === undefined) return [];
  await writeWhole(store, IDENTITY, identityFile);
  return [{ name: IDENTITY, bytes: identityFile.length, sha256: createHash('sha256').update(identityFile).digest('hex') }];
}
