/** Rules of a server's version that no SELECT can hold: how its files are named, and which files its export has. */
import { followsRelease } from './zulip-releases.js';
import type { ZulipVersion } from './zulip-version.js';

/** Rule -> the release from which it holds. Where the year between 9.0-dev and 11.0-dev changed one unseen, 10. */
const SINCE = {
  'icons and logos': '3',
  'files of single users': '5',
  /** Before, all uploads of the realm. */
  'only uploads that exported rows name': '5',
  /**
   * zerver 0544_copy_avatar_images, part of 9.0, copied every avatar to a name that changes with its version. From then on an
   * import cannot name an avatar without the avatar_version of its record.
   */
  'avatars named after user and version': '9',
  'emoji with their originals': '10',
  'migration_status.json and stats.json': '10',
  'records of files without addresses': '12',
  'no consented_user_ids.json': '12',
  /** zerver 0776 lets the server draw avatars (`J`): they are files like uploaded ones, and the new server draws its own. */
  'uploaded avatars alone': '12.0-beta1',
} as const;

export type FileRule = keyof typeof SINCE;

/** @param zerverMigration `ZulipVersion.zerverMigration` */
export function followsRule(rule: FileRule, zerverMigration: number): boolean {
  return followsRelease(SINCE[rule], zerverMigration);
}

/** Each rule, and why it is or is not followed, in the words of view files. */
export function fileRules({ zerverMigration }: ZulipVersion): [string, string][] {
  return Object.entries(SINCE).map(([rule, release]) => [rule, `release ${followsRelease(release, zerverMigration) ? '>=' : '<'} ${release}`]);
}
