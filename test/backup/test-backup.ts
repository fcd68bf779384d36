/** Keys, places and calls that the tests of backups share. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import type pg from 'pg';
import { findBackup, openBackup } from '../../src/backup/contents/find-backup.js';
import { restoreDatabase } from '../../src/backup/restore.js';
import type { RestoreRequest, RestoreResult } from '../../src/backup/restore.js';
import { Recipients } from '../../src/backup/seal/age-keys.js';
import { runBackup } from '../../src/commands/backup.js';
import type { BackupRun, BackupRunResult } from '../../src/commands/backup.js';
import type { RealmliftError } from '../../src/errors.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { withClient } from '../testbed/database-client.js';

const run = promisify(execFile);

/** Given to tests that take a backup: without pg_dump, which writes the schema, they cannot run and say so. */
export const NEEDS_PG_DUMP: { readonly skip?: string } = hasPgDump() ? {} : { skip: 'pg_dump (package postgresql-client) is not installed' };

function hasPgDump(): boolean {
  try {
    execFileSync('pg_dump', ['--version']);
    return true;
  } catch {
    return false;
  }
}

/** A place for backups with a key, removed afterwards. */
export interface Place {
  readonly directory: string;
  /** Where backups go: below `directory`, not there yet. */
  readonly to: string;
  readonly identityFile: string;
  readonly recipient: string;
}

export async function withPlace<T>(work: (place: Place) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'realmlift-backup-'));
  try {
    const identity = await generateX25519Identity();
    const identityFile = join(directory, 'key.txt');
    await writeFile(identityFile, `# a key for a test\n${identity}\n`, { mode: 0o600 });
    return await work({ directory, to: join(directory, 'backups'), identityFile, recipient: await identityToRecipient(identity) });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

export function backUp(url: string, place: Pick<Place, 'to' | 'recipient'>, changes: Partial<BackupRun> = {}): Promise<BackupRunResult> {
  return runBackup({
    settings: connectionSettings(url, {}), to: place.to, env: process.env, recipients: Recipients.of([place.recipient]),
    compression: { method: 'gzip', level: 1 }, jobs: 2, privateNames: false, pgDump: 'pg_dump', patience: { timeout: undefined, onWait: () => undefined }, signKey: undefined, uploads: undefined, keep: undefined, prove: undefined, ...changes,
  });
}

export async function restore(location: string, place: Pick<Place, 'identityFile'>, url: string, changes: Partial<RestoreRequest> = {}, signal: AbortSignal = new AbortController().signal): Promise<RestoreResult> {
  const backup = await openBackup(await findBackup(location, process.env), { identityFile: place.identityFile }, signal);
  return restoreDatabase({ backup, settings: connectionSettings(url, {}), jobs: 2, createRoles: false, leftOut: { owners: false, privileges: false }, ...changes }, signal);
}

/** pg_dump's own output, without the random key that newer versions put into it. */
export async function dump(url: string, ...options: string[]): Promise<string> {
  const { stdout } = await run('pg_dump', [`--dbname=${url}`, ...options], { maxBuffer: 1024 ** 3 });
  return stdout.replace(/^\\(un)?restrict .*\n/gm, '');
}

/** Rows of a query; none for several statements. */
export async function query<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  return withClient(url, async (client) => {
    const result = await client.query<Row>(sql);
    return Array.isArray(result) ? [] : result.rows;
  });
}

/** The error of a promise that must fail. */
export async function failure(promise: Promise<unknown>): Promise<RealmliftError> {
  try {
    await promise;
  } catch (error) {
    return error as RealmliftError;
  }
  throw new Error('it did not fail');
}
