/**
 * What a worker must have in common with the run that it takes part in: else its parts would be other bytes. A run names it in the queue without
 * giving it away; a worker that has something else says so, and another takes the work.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type pg from 'pg';
import { databaseIdentity } from '../export/run-identity.js';
import type { FileStore } from '../files/file-store.js';
import { diskError } from '../package/part-file.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { VERSION } from '../version.js';

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
  /** See FileStore.name. */
  readonly files: string;
  /** Directory under which the run writes, by the coordinator's path. */
  readonly output: string;
  /** A file below it, and a digest of what it holds: who reads it sees the same directory. */
  readonly probe: { readonly file: string; readonly digest: string };
  readonly snapshot: { readonly id: string; readonly held: readonly string[] };
  /** Seconds after which a worker that is not heard of has lost its jobs. */
  readonly silence: number;
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

/** Puts a file into the directory by which others know that they see it. @returns what it holds, for Expected, and what removes it */
export function placeProbe(directory: string, run: string): { readonly probe: Expected['probe']; readonly remove: () => void } {
  const [file, content] = [`.queue-${run}`, randomBytes(16).toString('hex')];
  try {
    writeFileSync(join(directory, file), content, { mode: 0o600 });
  } catch (error) {
    throw diskError(error, join(directory, file));
  }
  return { probe: { file, digest: keyed(run, content) }, remove: () => rmSync(join(directory, file), { force: true }) };
}

/** What a worker has. */
export interface Own {
  readonly marks: SourceMarks;
  readonly salt: string | undefined;
  readonly store: Pick<FileStore, 'name'>;
  /** Its path of the shared directory. */
  readonly output: string;
}

/** Why it must not take part; undefined when it may. */
export function mismatch(run: string, expected: Expected, { marks, salt, store, output }: Own): string | undefined {
  if (marks.server !== expected.server) return marks.database === expected.database ? 'its DATABASE_URL leads to another server of the same cluster than the one that holds the snapshot' : 'its DATABASE_URL leads to another database';
  if (marks.role !== expected.role) return 'its DATABASE_URL names another role, which may read other rows';
  if (salt !== undefined && expected.salt !== null && expected.salt !== keyed(run, salt)) return 'its avatar_salt is another';
  if (store.name !== expected.files) return `its files are those of ${store.name}, and not of ${expected.files}`;
  return seesProbe(run, expected, output) ? undefined : `${output} is not the directory that the run writes to, or cannot be read`;
}

export function versionMismatch({ version }: Expected): string | undefined {
  return version === VERSION ? undefined : `it is realmlift ${VERSION}, and the run is made by ${version}`;
}

function seesProbe(run: string, { probe }: Expected, output: string): boolean {
  try {
    return isAbsolute(output) && keyed(run, readFileSync(join(output, probe.file), 'utf8')) === probe.digest;
  } catch {
    return false;
  }
}
