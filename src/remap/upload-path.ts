/**
 * Where an upload lies below the realm's new number. Nearly every path begins with the realm's own, but a user who was moved here from another
 * realm has brought uploads under that one's, which on a new server may be anybody's. Zulip's import puts all of them under the new number, below
 * random names (zerver/lib/import_realm.py, import_uploads).
 */
import { createHash } from 'node:crypto';

export interface RealmNumbers {
  readonly old: number;
  readonly new: number;
}

/** As long as those that Zulip draws. */
const NAME_LENGTH = 24;

/** Whether a path, or a directory, is under the realm's own number. */
export function isUnder(realm: number, path: string): boolean {
  return path === String(realm) || path.startsWith(`${realm}/`);
}

/** `2/ab/X9` -> `1002/ab/X9`; of `5/ab/X9`, under another's number, a name that is always the same and that nothing else has. */
export function newUploadDirectory(directory: string, realms: RealmNumbers): string {
  if (isUnder(realms.old, directory)) return `${realms.new}${directory.slice(String(realms.old).length)}`;
  return `${realms.new}/${createHash('sha256').update(directory).digest('base64url').slice(0, NAME_LENGTH)}`;
}

/** The same for an upload's `path_id`. */
export function newUploadPath(path: string, realms: RealmNumbers): string {
  const cut = path.lastIndexOf('/');
  return `${newUploadDirectory(path.slice(0, Math.max(cut, 0)), realms)}/${path.slice(cut + 1)}`;
}
