/** What unfinished exports in the output directory say, before the run that resumes them has a snapshot. */
import type pg from 'pg';
import { journalPath, readJournal, type JournalSnapshot } from '../package/journal.js';
import { runDirectory } from '../package/output-directory.js';
import { findSchema } from '../plan/views/catalog.js';
import { useSchema } from '../plan/search-path.js';
import { settingsOf } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { patiently, type LockPatience } from '../snapshot/table-locks.js';
import { findTargets, type TargetRequest } from '../plan/targets.js';

/**
 * The snapshots that the targets' unfinished exports are made out of, the latest first: each may still be held.
 *
 * @param client outside of a transaction
 */
export async function snapshotsOfUnfinished(client: pg.Client, settings: ConnectionSettings, patience: LockPatience, output: string, request: TargetRequest): Promise<JournalSnapshot[]> {
  await client.query('BEGIN READ ONLY');
  await useSchema(client, await findSchema(client));
  const targets = await patiently(settingsOf(client, settings), client, patience, () => findTargets(client, request, () => undefined));
  await client.query('ROLLBACK');
  const snapshots = new Map<string, JournalSnapshot>();
  for (const { directory } of targets) {
    const { snapshot } = await readJournal(journalPath(runDirectory(output, directory)), () => undefined);
    if (snapshot !== undefined) snapshots.set(`${snapshot.id} ${snapshot.key}`, snapshot);
  }
  return [...snapshots.values()].sort((a, b) => (a.takenAt < b.takenAt ? 1 : -1));
}
