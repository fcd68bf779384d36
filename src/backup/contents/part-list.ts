/** Compares the parts that should be there with what is there. */
import type { BackupStore } from '../store/backup-store.js';
import { CLEAR_LIST, CLEAR_LIST_CHECKSUM } from './backup-contents.js';
import type { Part } from './backup-contents.js';
import { SIGNATURE } from './signature.js';

/** Names each part that is missing or has another size. Cheap: nothing is read. */
export async function listProblems(store: BackupStore, parts: readonly Part[]): Promise<string[]> {
  const found = await store.list();
  return parts.flatMap(({ name, bytes }) => {
    const size = found.get(name);
    if (size === undefined) return [`${name}: it is missing`];
    return size === bytes ? [] : [`${name}: it has ${size} bytes instead of ${bytes}`];
  });
}

/** Names each object in a backup's directory that does not belong to it. */
export async function strayObjects(store: BackupStore, parts: readonly Part[]): Promise<string[]> {
  const known = new Set([CLEAR_LIST, CLEAR_LIST_CHECKSUM, SIGNATURE, ...parts.map(({ name }) => name)]);
  return [...(await store.list()).keys()].filter((name) => !known.has(name)).map((name) => `${name}: it does not belong to the backup`);
}
