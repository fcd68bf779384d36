/**
 * An export, as a table of contents: snapshot -> plan -> copy, transform and files -> package -> verify -> publish.
 * All realms of a run come out of one snapshot and share one pool of workers.
 */
import { randomBytes } from 'node:crypto';
import { exportRealm, type ExportEvent, type RealmResult } from './export/export-realm.js';
import { WorkerPool } from './export/worker-pool.js';
import type { FileStore } from './files/file-store.js';
import type { MigrationStatusOptions } from './package/migration-status.js';
import { takeOutputDirectory, type OutputDirectory } from './package/output-directory.js';
import type { Decisions } from './plan/compile-view.js';
import type { Mode } from './plan/condition.js';
import { planExport } from './plan/plan-export.js';
import { findRealm } from './plan/realm.js';
import { readSource } from './plan/source.js';
import type { ConnectionSettings } from './snapshot/connection-settings.js';
import { withSnapshot } from './snapshot/snapshot.js';

export interface ExportOptions {
  readonly settings: ConnectionSettings;
  /** Subdomain (string_id). */
  readonly realm: string;
  readonly mode: Mode;
  /** Directory under which OUTPUT/REALM is made. */
  readonly output: string;
  /** Worker threads, each with a session of its own. */
  readonly jobs: number;
  readonly resume: boolean;
  readonly force: boolean;
  readonly decisions: Decisions;
  readonly consentMessage: number | undefined;
  readonly zulipVersion: string | undefined;
  readonly migrationStatus: MigrationStatusOptions;
  /** Opens the place of the files: the local uploads directory or the buckets. */
  readonly openStore: () => Promise<FileStore>;
  readonly fileJobs: number | undefined;
  /** The server's avatar_salt. */
  readonly salt: string | undefined;
  readonly avatars: boolean;
  /** Makes the random parts repeatable. */
  readonly randomSeed: string | undefined;
  readonly onEvent: (event: ExportEvent) => void;
}

export interface ExportResult extends RealmResult {
  readonly directory: string;
}

/** @throws RealmliftError; then nothing is at the final path */
export async function runExport(options: ExportOptions): Promise<ExportResult> {
  return withSnapshot(options.settings, async (snapshot) => {
    const source = await readSource(snapshot.client, options.zulipVersion);
    const realm = await findRealm(snapshot.client, options.realm);
    const plan = await planExport(snapshot.client, source, {
      realm, mode: options.mode, userId: undefined, decisions: options.decisions, consentMessage: options.consentMessage,
      approved: undefined, force: options.force, seed: options.randomSeed ?? randomBytes(32).toString('hex'),
    });
    const store = await options.openStore();
    const pool = new WorkerPool(options.jobs, { settings: snapshot.settings, snapshotId: snapshot.id, schema: source.schema });
    let output: OutputDirectory | undefined;
    try {
      output = takeOutputDirectory(options.output, directoryName(realm.stringId), options.resume);
      const result = await exportRealm({
        snapshot, source, pool, jobs: options.jobs, store, fileJobs: options.fileJobs, salt: options.salt, avatars: options.avatars,
        migrationStatus: options.migrationStatus, onEvent: options.onEvent,
      }, plan, output);
      output.publish();
      return { ...result, directory: output.final };
    } catch (error) {
      output?.release();
      throw error;
    } finally {
      await pool.close();
      store.close();
    }
  });
}

/** The root realm of a server has an empty subdomain. */
function directoryName(stringId: string): string {
  return stringId === '' ? '_root' : stringId;
}
