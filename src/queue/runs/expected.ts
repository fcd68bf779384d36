/**
 * What a worker must have in common with the run that it takes part in: else its parts would be other bytes. A run names it in the queue without
 * giving it away; a worker that has something else says so, and another takes the work.
 */
import { createHmac } from 'node:crypto';
import type pg from 'pg';
import type { Compression } from '../../backup/seal/compression.js';
import { EXIT, RealmliftError } from '../../errors.js';
import type { UploadTarget } from '../../files/upload/upload-target.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import { databaseIdentity } from '../../snapshot/database-identity.js';
import { VERSION } from '../../version.js';

export interface Expected {
  readonly version: string;
  /** Name of the database and its server's system identifier. */
  readonly database: string;
  /** Digest of which server it is, of those of a cluster: a snapshot can be joined only where it was taken. */
  readonly server: string;
  /** Digest of the role, which decides what can be read. */
  readonly role: string;
  /** Digest of the avatar_salt; null where the run has none. */
  readonly salt: string | null;
  /** See FileStore.name; empty where the run takes no files. */
  readonly files: string;
  /** Directory under which the run writes, by the coordinator's path, or the URL of a backup's bucket; empty of an export into a bucket. */
  readonly output: string;
  /** Of an export. */
  readonly bucket: { readonly bucket: string; readonly prefix: string; readonly encryption: UploadTarget['encryption'] | null } | null;
  /** Undefined of an export. */
  readonly backup?: BackupWork | undefined;
  /** A file or object below it, and a digest of what it holds: who reads it sees the same place. */
  readonly probe: { readonly file: string; readonly digest: string };
  readonly snapshot: { readonly id: string; readonly held: readonly string[] };
  /** Seconds after which a worker that is not heard of has lost its jobs. */
  readonly silence: number;
}

/** How parts of a backup are made. */
export interface BackupWork {
  /** Its directory below the output. */
  readonly name: string;
  /** Public keys. */
  readonly recipients: readonly string[];
  readonly compression: Compression;
  /** That each session needs, see schemasForPlanning. */
  readonly schemas: readonly string[];
}

export type SourceMarks = Pick<Expected, 'database' | 'server' | 'role'>;

/** Of what is to be compared and not to be told. @param run its id, so that digests of two runs tell nothing */
export function keyed(run: string, value: string): string {
  return createHmac('sha256', run).update(value).digest('hex');
}

/** @param client a session in the source */
export async function sourceMarks(client: pg.Client, settings: ConnectionSettings, run: string): Promise<SourceMarks> {
  const { rows: [marks] } = await client.query<{ server: string; role: string }>(`
    SELECT concat_ws(' ', pg_postmaster_start_time(), d.oid, d.datname) AS server, current_user AS role FROM pg_database d WHERE d.datname = current_database()`);
  return { database: await databaseIdentity(client, settings), server: keyed(run, marks?.server ?? ''), role: keyed(run, marks?.role ?? '') };
}

/** Nothing is written into the source. @param queue marks of the queue's database @throws RealmliftError QUEUE_IN_SOURCE */
export function refuseSource(queue: SourceMarks, source: SourceMarks): void {
  if (queue.server !== source.server && queue.database !== source.database) return;
  throw new RealmliftError('QUEUE_IN_SOURCE', 'queue', `--queue names the database that is read (${source.database})`, {
    hint: 'the source is only read: make a database for the queue, as CREATE DATABASE realmlift_queue', exit: EXIT.usage,
  });
}

/** What a worker has. */
export interface Own {
  readonly marks: SourceMarks;
  readonly salt: string | undefined;
  /** Undefined where none are taken. */
  readonly files: string | undefined;
  /** Why what it would write is not where the run writes. */
  readonly elsewhere: string | undefined;
}

/** Why it must not take part; undefined when it may. */
export function mismatch(run: string, expected: Expected, { marks, salt, files, elsewhere }: Own): string | undefined {
  if (marks.server !== expected.server) return marks.database === expected.database ? 'its DATABASE_URL leads to another server of the same cluster than the one that holds the snapshot' : 'its DATABASE_URL leads to another database';
  if (marks.role !== expected.role) return 'its DATABASE_URL names another role, which may read other rows';
  if (salt !== undefined && expected.salt !== null && expected.salt !== keyed(run, salt)) return 'its avatar_salt is another';
  if (files !== undefined && files !== expected.files) return `its files are those of ${files}, and not of ${expected.files}`;
  return elsewhere;
}

export function versionMismatch({ version }: Expected): string | undefined {
  return version === VERSION ? undefined : `it is realmlift ${VERSION}, and the run is made by ${version}`;
}
