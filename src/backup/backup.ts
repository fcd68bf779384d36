/**
 * A backup of the whole database, and of the uploaded files if wanted, encrypted before it touches a disk.
 *
 * 1. The snapshot is taken and the tables are locked against changes of their structure.
 * 2. Schema, rows and large objects go into sealed parts, by several sessions in that one snapshot.
 * 3. The sealed list of contents is written, then the clear one: from then on the backup exists.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { withSnapshot } from '../snapshot/snapshot.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { VERSION } from '../version.js';
import type { Recipients } from './age-keys.js';
import { IDENTITY, NEW_LIST, clearListObjects, totalRows } from './backup-contents.js';
import type { Contents, Part } from './backup-contents.js';
import { writeWhole } from './backup-store.js';
import type { BackupStore } from './backup-store.js';
import { PartNames, backupName } from './part-names.js';
import { checkPgDump } from './pg-dump.js';
import { saveDatabase } from './save-database.js';
import { sealPart } from './sealing.js';
import { lockTables } from './source-catalog.js';

export interface BackupRequest {
  readonly settings: ConnectionSettings;
  /** Where backups are kept; each one is a directory of its own in it. */
  readonly target: BackupStore;
  readonly recipients: Recipients;
  /** Of gzip, 0 to 9. */
  readonly compression: number;
  /** Sessions that copy at once. */
  readonly jobs: number;
  /** Names of parts tell nothing. */
  readonly privateNames: boolean;
  /** The program pg_dump: a path, or a name to be found on PATH. */
  readonly pgDump: string;
}

export interface BackupResult {
  readonly name: string;
  readonly location: string;
  readonly takenAt: string;
  readonly tables: number;
  readonly rows: number;
  readonly parts: number;
  /** As stored. */
  readonly bytes: number;
}

/** @throws RealmliftError; what was written of an unfinished backup is removed again */
export async function takeBackup(request: BackupRequest): Promise<BackupResult> {
  return withSnapshot(request.settings, async (snapshot) => {
    await checkPgDump(request.pgDump, snapshot.serverVersion);
    await lockTables(snapshot.client);
    const id = randomBytes(16).toString('hex');
    const name = backupName(snapshot.takenAt, id);
    const store = request.target.within(name);
    try {
      const names = new PartNames(request.privateNames);
      const contentsName = names.contents;
      const sealing = { recipients: request.recipients, level: request.compression };
      const identity = await saveIdentity(store, request.recipients);
      const { parts: databaseParts, ...database } = await saveDatabase(snapshot, { store, names, sealing, pgDump: request.pgDump, jobs: request.jobs }, snapshot.lost);

      const parts = [...identity, ...databaseParts].sort((a, b) => (a.name < b.name ? -1 : 1));
      const common = { ...NEW_LIST, id, takenAt: snapshot.takenAt };
      const contents: Contents = { ...common, realmlift: VERSION, ...database, parts };
      const sealed = await sealPart(store, contentsName, Readable.from([Buffer.from(JSON.stringify(contents))]), sealing, snapshot.lost);
      for (const [object, text] of clearListObjects({ ...common, contents: contentsName, parts: [...parts, sealed] })) await writeWhole(store, object, text);
      return {
        name, location: store.description, takenAt: snapshot.takenAt, tables: contents.tables.length, rows: totalRows(contents),
        parts: parts.length + 1, bytes: [...parts, sealed].reduce((sum, { bytes }) => sum + bytes, 0),
      };
    } catch (error) {
      await store.clear().catch(() => undefined);
      throw error;
    }
  });
}

async function saveIdentity(store: BackupStore, { identityFile }: Recipients): Promise<Part[]> {
  if (identityFile === undefined) return [];
  await writeWhole(store, IDENTITY, identityFile);
  return [{ name: IDENTITY, bytes: identityFile.length, sha256: createHash('sha256').update(identityFile).digest('hex') }];
}
