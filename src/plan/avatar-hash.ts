/**
 * The name under which a user's uploaded avatar is stored: `REALM_ID/HASH`. The hash is salted with a secret of the server, so
 * that avatars cannot be enumerated. (The column zerver_userprofile.avatar_hash is another thing: the hash of an image that
 * LDAP synchronisation fetched, null for all other users.)
 */
import { createHash } from 'node:crypto';
import { followsRule } from './release/file-rules.js';

/** zerver 0060_move_avatars_to_be_uid_based renamed the files from a hash of the email address to one of the user's id. */
const BY_USER_ID = 60;

export interface AvatarOwner {
  readonly userId: number;
  /** zerver_userprofile.avatar_version */
  readonly avatarVersion: number;
  /** zerver_userprofile.email; used by servers older than zerver 0060 alone. */
  readonly email: string;
}

/**
 * @param salt the server's secret `avatar_salt`
 * @param zerverMigration the server's `ZulipVersion.zerverMigration`
 * @returns 40 hex digits
 */
export function avatarHash({ userId, avatarVersion, email }: AvatarOwner, salt: string, zerverMigration: number): string {
  if (followsRule('avatars named after user and version', zerverMigration)) return hex('sha256', `${userId}:${avatarVersion}:${salt}`).slice(0, 40);
  return hex('sha1', zerverMigration >= BY_USER_ID ? `${userId}${salt}` : `${email.toLowerCase()}${salt}`);
}

function hex(algorithm: 'sha1' | 'sha256', text: string): string {
  return createHash(algorithm).update(text, 'utf8').digest('hex');
}
