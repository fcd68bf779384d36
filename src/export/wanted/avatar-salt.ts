/** Finds out before any row leaves that avatars are looked for by a salt of another server. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../../errors.js';
import { Lost, type FileStore } from '../../files/file-store.js';
import { avatarStem } from '../../files/orphans.js';
import { avatarHash } from '../../plan/avatar-hash.js';
import type { Realm } from '../../plan/realm.js';

/** Unclaimed names that are compared with those that avatars had before, and versions of each that are. */
const COMPARED = 10_000;
const VERSIONS = 100;

interface UserRow { readonly id: number; readonly email: string; readonly avatar_source: string; readonly avatar_version: number }

export interface SaltUse {
  readonly salt: string;
  readonly realm: Realm;
  /** Newest applied migration of the server, see avatarHash. */
  readonly zerverMigration: number;
}

/**
 * With a wrong salt no name among the realm's avatars is one of its users', while some lie there: then the run is refused. Where only the
 * files are gone, what is left behind has a name that an earlier picture of somebody had.
 *
 * @throws RealmliftError AVATAR_SALT_WRONG
 */
export async function refuseWrongSalt(client: pg.Client, store: FileStore, { salt, realm, zerverMigration }: SaltUse, signal: AbortSignal): Promise<void> {
  const { rows: users } = await client.query<UserRow>(`
    SELECT id::float8 AS id, email, avatar_source, avatar_version::int AS avatar_version FROM zerver_userprofile WHERE realm_id = $1`, [realm.id]);
  const hashOf = (user: UserRow, avatarVersion: number): string => avatarHash({ userId: user.id, avatarVersion, email: user.email }, salt, zerverMigration);
  const current = new Set(users.filter((user) => user.avatar_source === 'U').map((user) => hashOf(user, user.avatar_version)));
  if (current.size === 0) return;
  const unclaimed = new Set<string>();
  try {
    for await (const { key } of store.list('avatars', realm.id, signal)) {
      const stem = avatarStem(key.slice(key.lastIndexOf('/') + 1));
      if (current.has(stem)) return;
      if (/^[0-9a-f]{40}$/.test(stem) && unclaimed.size < COMPARED) unclaimed.add(stem);
    }
  } catch (error) {
    // The files stage tells what is wrong with the listing.
    if (error instanceof Lost) return;
    throw error;
  }
  if (unclaimed.size === 0 || users.some((user) => versionsUpTo(user.avatar_version).some((version) => unclaimed.has(hashOf(user, version))))) return;
  throw new RealmliftError('AVATAR_SALT_WRONG', 'plan', `none of the realm's ${current.size} uploaded avatars is found by this avatar_salt, while ${unclaimed.size} avatars lie there that it gives to nobody`, {
    hint: 'give the avatar_salt of the server that stored the files (--zulip-secrets or ZULIP_AVATAR_SALT), or go on without avatars with --no-avatars', exit: EXIT.usage,
  });
}

function versionsUpTo(version: number): number[] {
  return Array.from({ length: Math.min(version, VERSIONS) }, (_, index) => version - index);
}
