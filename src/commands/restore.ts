/** One run of `realmlift restore`: into the places that were named, or into a scratch server for the proof alone. */
import { partNamed } from '../backup/contents/backup-contents.js';
import type { OpenBackup } from '../backup/contents/find-backup.js';
import { partChecker } from '../backup/contents/part-checker.js';
import { COMPARISON, prove } from '../backup/prove.js';
import type { Proof } from '../backup/prove.js';
import { restoreDatabase } from '../backup/restore.js';
import type { RestoreRequest, RestoreResult } from '../backup/restore.js';
import { INDEXES } from '../backup/restore/restore-post-data.js';
import { RESTORED_ROWS } from '../backup/restore/restore-rows.js';
import { RESTORED_FILES } from '../backup/restore/restore-uploads.js';
import { withScratchServer } from '../backup/restore/scratch-server.js';
import { checkParts, PARTS } from '../backup/verify-backup.js';
import { tellAhead } from '../narration.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';

export interface ProveRequest extends Omit<RestoreRequest, 'settings'> {
  /** An empty database; undefined for a server that is started for the purpose and removed afterwards. */
  readonly settings: ConnectionSettings | undefined;
  /** Told when the database is complete, before it is compared. */
  readonly onRestored?: (() => void) | undefined;
}

/** What a restore will do: indexes cost about as much as rows. @param into whether rows, and whether files, are restored; or whether rows are compared too */
export function tellRestoreAhead({ contents }: OpenBackup, into: { readonly rows: boolean; readonly files: boolean; readonly proof: boolean }): void {
  const stored = (parts: readonly { readonly part: string }[]): number => parts.reduce((sum, { part }) => sum + partNamed(contents, part).bytes, 0);
  const rows = stored([...contents.tables.flatMap((table) => table.parts), ...contents.largeObjects]);
  tellAhead([
    ...(into.rows ? [{ name: 'schema', weight: SCHEMA }, { name: RESTORED_ROWS, weight: rows }, { name: INDEXES, weight: rows }] : []),
    ...(into.proof ? [{ name: COMPARISON, weight: rows / 2 }] : []),
    ...(into.proof && contents.files !== undefined ? [{ name: PARTS, weight: stored(contents.files.parts) / 2 }] : []),
    ...(into.files ? [{ name: RESTORED_FILES, weight: stored(contents.files?.parts ?? []) }] : []),
  ]);
}

/** In bytes, as it were. */
const SCHEMA = 100_000;

/**
 * Restores the database, reads everything back and compares it with the source. Uploaded files are opened and counted.
 *
 * @throws RealmliftError PROOF_FAILED, SCRATCH_SERVER, BACKUP_DAMAGED; what a restore throws
 */
export async function restoreAndProve(request: ProveRequest, stop: AbortSignal): Promise<RestoreResult & { readonly proof: Proof }> {
  const { contents } = request.backup;
  const run = async (settings: ConnectionSettings, createRoles: boolean): Promise<RestoreResult & { readonly proof: Proof }> => {
    const result = await restoreDatabase({ ...request, settings, createRoles }, stop);
    request.onRestored?.();
    return { ...result, proof: await prove(contents, settings, request.jobs, stop) };
  };
  const result = request.settings !== undefined ? await run(request.settings, request.createRoles)
    : await withScratchServer(contents.source.serverVersion, contents.source.encoding, (settings) => run(settings, true));
  await checkUploads(request.backup, request.jobs, stop);
  return result;
}

async function checkUploads(backup: OpenBackup, jobs: number, stop: AbortSignal): Promise<void> {
  const parts = backup.contents.files?.parts.map(({ part }) => partNamed(backup.contents, part)) ?? [];
  if (parts.length > 0) await checkParts(parts, jobs, partChecker(backup), stop);
}
