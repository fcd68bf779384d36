/** Rules of a server's version that no SELECT can hold: how its files are named, and which files its export has. */
import type { ZulipVersion } from './zulip-version.js';

/** Rule -> the newest applied zerver migration from which it holds. Where the year between 9.0-dev (0523) and 11.0-dev (0697) changed one unseen, 0600. */
const SINCE = {
  /**
   * zerver 0544_copy_avatar_images, part of 9.0, copied every avatar to a name that changes with its version. From then on an
   * import cannot name an avatar without the avatar_version of its record.
   */
  'avatars named after user and version': 544,
  'emoji with their originals': 600,
  'migration_status.json and stats.json': 600,
} as const;

export type FileRule = keyof typeof SINCE;

/** @param zerverMigration `ZulipVersion.zerverMigration` */
export function followsRule(rule: FileRule, zerverMigration: number): boolean {
  return zerverMigration >= SINCE[rule];
}

/** Each rule, and why it is or is not followed, in the words of view files. */
export function fileRules({ zerverMigration }: ZulipVersion): [string, string][] {
  return Object.entries(SINCE).map(([rule, since]) => [rule, zerverMigration >= since ? `migration zerver >= ${String(since).padStart(4, '0')}` : 'otherwise']);
}
