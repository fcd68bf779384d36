/**
 * One run of `realmlift backup`, as a nightly job has it: alone at its target, the backup itself, its proof if wanted, and only when the new
 * backup was found good the removal of old ones.
 */
import { createPublicKey } from 'node:crypto';
import { resolve } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { takeBackup } from '../backup/backup.js';
import type { BackupRequest, BackupResult } from '../backup/backup.js';
import { findBackup, openContents } from '../backup/contents/find-backup.js';
import { removeUnfinished, rotate } from '../backup/rotation.js';
import { UPLOADED_FILES } from '../backup/save/save-uploads.js';
import { headerOpener } from '../backup/seal/age-keys.js';
import type { BackupStore } from '../backup/store/backup-store.js';
import { withCollectionLock } from '../backup/store/collection-lock.js';
import { openStore } from '../backup/store/open-store.js';
import { mark } from '../backup/store/verified-marks.js';
import { countUploads } from '../backup/uploads/count-uploads.js';
import { refuseTargetWithin } from '../backup/uploads/open-uploads.js';
import { verifyBackup } from '../backup/verify-backup.js';
import { RealmliftError } from '../errors.js';
import { isNarrated, tellTotal, tellWarning } from '../narration.js';
import type { QueueOptions } from '../queue/runs/queued-run.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { BackupSteps } from './backup-steps.js';

type Environment = Readonly<Record<string, string | undefined>>;

export interface BackupRun extends Omit<BackupRequest, 'target' | 'withWorkers' | 'beforeComplete'> {
  /** A directory or s3:// URL. */
  readonly to: string;
  readonly env: Environment;
  /** How many complete backups stay; undefined for all. */
  readonly keep: number | undefined;
  /** Restore it and compare: in the empty database of this URL, or on a server of its own when it is empty. */
  readonly prove: string | undefined;
  /** Rows and files are saved by others, who take the work from this queue. */
  readonly queue?: QueueOptions | undefined;
}

export interface BackupRunResult extends BackupResult {
  readonly proved: boolean;
  /** Old backups that were removed. */
  readonly removed: readonly string[];
  /** Backups of interrupted runs that were removed. */
  readonly unfinished: readonly string[];
}

/**
 * @throws RealmliftError; old backups are then still there. STOPPED of a backup that is whole says so
 */
export async function runBackup(request: BackupRun): Promise<BackupRunResult> {
  const target = await openStore(request.to, request.env);
  if (request.uploads !== undefined) refuseTargetWithin(request.uploads, request.to);
  const stop = request.stop ?? new AbortController().signal;
  const ended = new AbortController();
  try {
    const steps = new BackupSteps({ uploads: request.uploads !== undefined, prove: request.prove !== undefined, verify: request.prove === undefined && request.keep !== undefined });
    if (request.uploads !== undefined && isNarrated()) {
      void countUploads(request.uploads, AbortSignal.any([stop, ended.signal]), (files, bytes) => {
        steps.files(files, bytes);
        tellTotal(UPLOADED_FILES, files);
      });
    }
    return await withCollectionLock(target, ({ lost, renew }) => run({ ...request, onSize: (bytes) => steps.rows(bytes), stop: AbortSignal.any([stop, lost]), beforeComplete: renew }, target));
  } finally {
    ended.abort();
  }
}

async function run(request: BackupRun & Pick<BackupRequest, 'beforeComplete'> & { readonly stop: AbortSignal }, target: BackupStore): Promise<BackupRunResult> {
  const { stop } = request;
  const unfinished = await removeUnfinished(target);
  // The key of the proof exists in this process alone, and ends with it.
  const identity = request.prove === undefined ? undefined : await generateX25519Identity();
  const recipients = identity === undefined ? request.recipients : request.recipients.with(await identityToRecipient(identity));
  const verifyKey = request.signKey === undefined ? undefined : createPublicKey(request.signKey);
  const result = await takeBackup({ ...request, target, recipients, withWorkers: workersOf(request, target) });
  try {
    if (identity !== undefined) {
      const backup = await openContents(await findBackup(result.location, request.env, verifyKey), headerOpener([identity]), stop);
      const settings = request.prove === '' ? undefined : connectionSettings(request.prove, request.env);
      const { restoreAndProve } = await import('./restore.js');
      await restoreAndProve({ backup, settings, jobs: request.jobs, createRoles: false, leftOut: { owners: false, privileges: false } }, stop);
      await mark(target, result.name, 'restored');
    } else if (request.keep !== undefined) {
      await verifyBackup(result.location, request.env, { verifyKey }, request.jobs, stop);
    }
    stop.throwIfAborted();
  } catch (error) {
    throw stop.aborted ? stoppedAfter(stop.reason, result.location, request.prove) : error;
  }
  // What this one lacks, an old one may have.
  const isWhole = (result.lostFiles ?? 0) === 0;
  return { ...result, proved: identity !== undefined, unfinished, removed: request.keep === undefined || !isWhole ? [] : await rotate(target, request.keep, result.name) };
}

/** Nothing of the queue is loaded where there is none. */
function workersOf({ queue, to, uploads, stop }: BackupRun, collection: BackupStore): BackupRequest['withWorkers'] {
  if (queue === undefined) return undefined;
  return async (work) => {
    const { BackupCoordinator } = await import('../queue/backups/backup-coordinator.js');
    return BackupCoordinator.with({ ...queue, collection, location: to.startsWith('s3://') ? to : resolve(to), uploads, onWarning: tellWarning, stop }, work);
  };
}

/** The backup is whole: only what was to follow is not done. */
function stoppedAfter(reason: unknown, location: string, prove: string | undefined): unknown {
  if (!(reason instanceof RealmliftError)) return reason;
  return reason.with({
    left: `the backup ${location} is whole, but was not ${prove === undefined ? 'read again' : 'proved'}, and no old one was removed`,
    hint: `realmlift verify ${location} reads it again${prove === undefined || prove === '' ? '' : '; the database of the proof is unfinished'}`, again: false,
  });
}
