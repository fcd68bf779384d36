/** Removes old backups of a collection, and what interrupted runs left behind. */
import { CLEAR_LIST } from './contents/backup-contents.js';
import { backupNames, databaseOf, isComplete } from './contents/find-backup.js';
import type { BackupStore } from './store/backup-store.js';
import { LEVELS, markOf, removeMark } from './store/verified-marks.js';
import type { Level } from './store/verified-marks.js';

/**
 * Removes all complete backups of a database but the newest `keep`. The newest one that was found good stays in any case; also the newest that
 * was decrypted and the newest that was restored, where a later one was only found good by a lesser look. So does the one that was just
 * taken: where the server's clock was fast once, older ones bear later names.
 *
 * @param taken its name; backups of other databases are left alone, and those that do not say of which they are count as of its own
 * @returns names of those that were removed
 */
export async function rotate(collection: BackupStore, keep: number, taken: string): Promise<string[]> {
  const database = await databaseOf(collection.within(taken));
  const newestFirst: { readonly name: string; readonly level: Level | undefined }[] = [];
  for (const name of (await backupNames(collection)).reverse()) {
    const store = collection.within(name);
    if (await isComplete(store) && [database, undefined].includes(await databaseOf(store))) newestFirst.push({ name, level: (await markOf(collection, name))?.level });
  }
  const spared = new Set([taken, ...newestFirst.slice(0, keep).map(({ name }) => name)]);
  for (const least of LEVELS.keys()) {
    const newest = newestFirst.find(({ level }) => level !== undefined && LEVELS.indexOf(level) >= least);
    if (newest !== undefined) spared.add(newest.name);
  }
  const removed = newestFirst.map(({ name }) => name).filter((name) => !spared.has(name));
  for (const name of removed) {
    const store = collection.within(name);
    // First what tells that it was good, then what makes it a backup: if this is interrupted, nobody will take the rest for one.
    await removeMark(collection, name);
    await store.remove(CLEAR_LIST);
    await store.clear();
  }
  return removed;
}

/**
 * Removes backups that were never completed: nothing can be restored from them. Only while no other run writes here. One that was found good
 * before was complete: its list was lost, and its rows can still be had.
 *
 * @returns their names
 */
export async function removeUnfinished(collection: BackupStore): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await backupNames(collection)) {
    const store = collection.within(name);
    if (await isComplete(store) || (await markOf(collection, name)) !== undefined) continue;
    await store.clear();
    removed.push(name);
  }
  return removed;
}
