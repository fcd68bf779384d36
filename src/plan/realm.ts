/** The realm to export, and the system bots that every realm refers to. */
import type pg from 'pg';
import { closeNames } from '../close-names.js';
import { EXIT, RealmliftError } from '../errors.js';

export interface Realm {
  readonly id: number;
  /** Subdomain, Zulip's string_id. */
  readonly stringId: string;
  readonly name: string;
  readonly deactivated: boolean;
}

/** The realm of Zulip's own bots; a server's first realm on very old servers. */
export const SYSTEM_REALM = 'zulipinternal';

/** Exported by reference; settings.CROSS_REALM_BOT_EMAILS in Zulip. */
export const SYSTEM_BOT_EMAILS = ['emailgateway@zulip.com', 'notification-bot@zulip.com', 'welcome-bot@zulip.com'];

/**
 * @param name subdomain (string_id)
 * @throws RealmliftError REALM_UNKNOWN with close names, exit code 3
 */
export async function findRealm(client: pg.Client, name: string): Promise<Realm> {
  const { rows } = await client.query<{ id: number; string_id: string; name: string; deactivated: boolean }>(
    'SELECT id::float8 AS id, string_id, name, deactivated FROM zerver_realm WHERE string_id = $1', [name]);
  const row = rows[0];
  if (row === undefined) {
    const others = (await listRealms(client)).map((realm) => realm.stringId);
    const close = closeNames(name, others);
    throw new RealmliftError('REALM_UNKNOWN', 'plan', `no realm has the subdomain "${name}"`, {
      hint: others.length === 0 ? 'the server has no realms' : close.length === 0 ? `realmlift plan lists the ${others.length} that there are` : `close names: ${close.join(', ')}`, exit: EXIT.nothingExported,
    });
  }
  if (rows.length > 1) throw ambiguousRealm(name, rows.map(({ id }) => id));
  return { id: row.id, stringId: row.string_id, name: row.name, deactivated: row.deactivated };
}

/** @param ids of the realms that have the subdomain `name` */
export function ambiguousRealm(name: string, ids: readonly number[]): RealmliftError {
  return new RealmliftError('REALM_AMBIGUOUS', 'plan', `${ids.length} realms have the subdomain "${name}" (ids ${ids.join(', ')})`, {
    table: 'zerver_realm', hint: 'give each a subdomain of its own in the database; Zulip allows no two of one name', exit: EXIT.nothingExported,
  });
}

/** All realms but the system's, by subdomain. */
export async function listRealms(client: pg.Client): Promise<Realm[]> {
  const { rows } = await client.query<{ id: number; string_id: string; name: string; deactivated: boolean }>(
    'SELECT id::float8 AS id, string_id, name, deactivated FROM zerver_realm WHERE string_id <> $1 ORDER BY string_id', [SYSTEM_REALM]);
  return rows.map((row) => ({ id: row.id, stringId: row.string_id, name: row.name, deactivated: row.deactivated }));
}

export interface SystemBot {
  readonly id: number;
  readonly email: string;
  readonly realmId: number;
}

/**
 * The three system bots: of the realm zulipinternal, or wherever an old server keeps them. Addresses are unique only within a
 * realm, so a bot elsewhere counts only when zulipinternal has none of that address.
 */
export async function findSystemBots(client: pg.Client): Promise<SystemBot[]> {
  const { rows } = await client.query<{ id: number; email: string; realm_id: number }>(`
    SELECT DISTINCT ON (u.delivery_email) u.id::float8 AS id, u.delivery_email AS email, u.realm_id::float8 AS realm_id
    FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id
    WHERE u.delivery_email = ANY ($1) AND u.is_bot
    ORDER BY u.delivery_email, (r.string_id = $2) DESC, u.id`, [SYSTEM_BOT_EMAILS, SYSTEM_REALM]);
  return rows.map((row) => ({ id: row.id, email: row.email, realmId: row.realm_id }));
}

/** Recipients of the group messages that these bots alone subscribe to, rising: the same for every realm, so asked once a run. */
export async function findBotGroups(client: pg.ClientBase, bots: readonly SystemBot[]): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>(`
    SELECT s.recipient_id::float8 AS id
    FROM zerver_subscription s JOIN zerver_recipient r ON r.id = s.recipient_id
    WHERE r.type = 3 AND s.user_profile_id = ANY ($1)
      AND NOT EXISTS (SELECT FROM zerver_subscription o WHERE o.recipient_id = s.recipient_id AND o.user_profile_id <> ALL ($1))
    GROUP BY s.recipient_id ORDER BY 1`, [bots.map((bot) => bot.id)]);
  return rows.map((row) => row.id);
}
