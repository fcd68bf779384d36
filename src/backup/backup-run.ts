/**
 * One run of `realmlift backup`, as a nightly job has it: alone at its target, the backup itself, its proof if wanted, and only when the new
 * backup was found good the removal of old ones.
 */
import { createPublicKey } from 'node:crypto';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { headerOpener } from './age-keys.js';
import { takeBackup } from './backup.js';
import type { BackupRequest, BackupResult } from './backup.js';
import { openStore } from './backup-store.js';
import { withCollectionLock } from './collection-lock.js';
import { findBackup, openContents } from './find-backup.js';
import { removeUnfinished, rotate } from './rotation.js';
import { refuseTargetWithin } from './upload-place.js';
import { verifyBackup } from './verify-backup.js';
import { mark } from './verified-marks.js';

type Environment = Readonly<Record<string, string | undefined>>;

export interface BackupRun extends Omit<BackupRequest, 'target'> {
  /** A directory or s3:// URL. */
  readonly to: string;
  readonly env: Environment;
  /** How many complete backups stay; undefined for all. */
  readonly keep: number | undefined;
  /** Restore it and compare: in the empty database of this URL, or on a server of its own when it is empty. */
  readonly prove: string | undefined;
}

export interface BackupRunResult extends BackupResult {
  readonly proved: boolean;
  /** Old backups that were removed. */
  readonly removed: readonly string[];
  /** Backups of interrupted runs that were removed. */
  readonly unfinished: readonly string[];
}

/** @throws RealmliftError; old backups are then still there */
export async function runBackup(request: BackupRun): Promise<BackupRunResult> {
  const target = await openStore(request.to, request.env);
  if (request.uploads !== undefined) refuseTargetWithin(request.uploads, request.to);
  return withCollectionLock(target, async () => {
    const unfinished = await removeUnfinished(target);
    // The key of the proof exists in this process alone, and ends with it.
    const identity = request.prove === undefined ? undefined : await generateX25519Identity();
    const recipients = identity === undefined ? request.recipients : request.recipients.with(await identityToRecipient(identity));
    const verifyKey = request.signKey === undefined ? undefined : createPublicKey(request.signKey);
    const result = await takeBackup({ ...request, target, recipients });

    if (identity !== undefined) {
      const signal = new AbortController().signal;
      const backup = await openContents(await findBackup(result.location, request.env, verifyKey), headerOpener([identity]), signal);
      const settings = request.prove === '' ? undefined : connectionSettings(request.prove, request.env);
      const { restoreAndProve } = await import('./restore-run.js');
      await restoreAndProve({ backup, settings, jobs: request.jobs, createRoles: false, leftOut: { owners: false, privileges: false } }, signal);
      await mark(target, result.name, 'restored');
    } else if (request.keep !== undefined) {
      await verifyBackup(result.location, request.env, { verifyKey }, request.jobs);
    }
    // What this one lacks, an old one may have.
    const isWhole = (result.lostFiles ?? 0) === 0;
    return { ...result, proved: identity !== undefined, unfinished, removed: request.keep === undefined || !isWhole ? [] : await rotate(target, request.keep) };
  });
}
