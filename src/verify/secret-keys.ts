/**
 * Which keys of a row are secrets, by name. A secret with a value in an export of ours is an error: two locks were to
 * keep it out. Zulip's own export leaves some in; in an export without our manifest these are notes.
 */

import { looksSecret } from '../plan/views/secret-names.js';

/** Secrets whose names do not show it. */
const SECRET_KEYS: Readonly<Record<string, readonly string[]>> = {
  // What Zulip's export never holds of a user: the uuid is the user's name towards the push notification service.
  zerver_userprofile: ['uuid'],
  zerver_userprofile_mirrordummy: ['uuid'],
  // Settings of embedded bots: the table is where they keep the keys of other services.
  zerver_botconfigdata: ['value'],
};

/** Zulip exports these although they are secrets; its import makes new ones or lives without. */
const EXPORTED_BY_ZULIP: Readonly<Record<string, readonly string[]>> = {
  zerver_analytics: ['zoom_api_key', 'zoom_api_secret'],
  zerver_botconfigdata: ['value'],
  zerver_realm: ['zoom_api_key', 'zoom_api_secret'],
  zerver_service: ['token'],
  zerver_stream: ['email_token'],
  zerver_userprofile: ['zoom_token', 'third_party_api_state'],
  zerver_userprofile_mirrordummy: ['zoom_token', 'third_party_api_state'],
};

/** Look like secrets and may have a value all the same. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  // Proves the realm's identity to the push notification service, so that it goes on working after the move. Kept
  // unless asked to strip, and always named.
  zerver_realm: ['uuid_owner_secret'],
};

const lists = (list: Readonly<Record<string, readonly string[]>>, table: string, key: string): boolean => list[table]?.includes(key) ?? false;

/**
 * How a value under `key` of `table` is to be reported; undefined when the key is no secret. `ours`: the export has our
 * manifest. `kept`: what the manifest says was kept on request, as `table.key`.
 */
export function secretSeverity(table: string, key: string, ours: boolean, kept: readonly string[]): 'error' | 'note' | undefined {
  if (!looksSecret(key) && !lists(SECRET_KEYS, table, key)) return undefined;
  if (lists(ALLOWED, table, key) || kept.includes(`${table}.${key}`)) return 'note';
  return !ours && lists(EXPORTED_BY_ZULIP, table, key) ? 'note' : 'error';
}
