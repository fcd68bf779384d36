/**
 * Set C: whose private data may travel, and whether the result would be usable.
 * Rules: "Consent mode" and "Public mode" of Zulip's own export; before the consent column, a reaction to one message.
 */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import type { Catalog } from './views/catalog.js';
import type { Realm } from './realm.js';

/** UserProfile.ROLE_REALM_OWNER */
const OWNER = 100;
/** UserProfile.EMAIL_ADDRESS_VISIBILITY_NOBODY */
const NOBODY = 4;
/** The reaction that meant consent: outbox. */
const CONSENT_EMOJI = '1f4e4';

export interface ConsentRequest {
  /** Id of the message to react to, on servers from before the consent column. */
  readonly consentMessage: number | undefined;
  /** Users whose transfer was approved: they take the place of those who consented. */
  readonly approved: readonly number[] | undefined;
  /** Believe reactions to an edited message. */
  readonly force: boolean;
}

/**
 * Ids of set C, rising.
 * @throws RealmliftError CONSENT_MESSAGE when the server asks for consent by a message and none is named, or one that says nothing of consent
 */
export async function consentingUsers(client: pg.Client, catalog: Catalog, realm: Realm, request: ConsentRequest): Promise<number[]> {
  if (request.approved !== undefined) {
    return ids(client, `
      SELECT u.id FROM zerver_userprofile u
      WHERE u.realm_id = $1 AND (u.id = ANY ($2) OR u.is_mirror_dummy OR (u.is_bot AND u.bot_owner_id = ANY ($2)))`, [realm.id, request.approved]);
  }
  if (request.consentMessage !== undefined) {
    return whoReacted(client, realm, request.consentMessage, request.force);
  }
  if (catalog.get('zerver_userprofile')?.columns.has('allow_private_data_export') !== true) {
    throw new RealmliftError('CONSENT_MESSAGE', 'plan', 'this Zulip version records consent as reactions to a message', {
      hint: 'name it with --consent-message ID, or name the users with --users FILE', exit: EXIT.usage,
    });
  }
  return ids(client, `
    SELECT u.id FROM zerver_userprofile u
    LEFT JOIN zerver_userprofile o ON o.id = u.bot_owner_id AND o.realm_id = u.realm_id AND NOT o.is_bot AND o.allow_private_data_export
    WHERE u.realm_id = $1 AND (u.is_mirror_dummy OR u.allow_private_data_export OR (u.is_bot AND o.id IS NOT NULL))`, [realm.id]);
}

/**
 * Refused like by Zulip's own command: an edited message, of which nobody knows what people agreed to, and one that users of
 * another realm reacted to. Its author tells nothing of its realm, for it may be a system bot.
 */
async function whoReacted(client: pg.Client, realm: Realm, message: number, force: boolean): Promise<number[]> {
  const refuse = (why: string, hint: string): RealmliftError => new RealmliftError('CONSENT_MESSAGE', 'plan', `--consent-message ${message}: ${why}`, { hint, exit: EXIT.nothingExported });
  const { rows: [found] } = await client.query<{ edited: boolean }>('SELECT last_edit_time IS NOT NULL AS edited FROM zerver_message WHERE id = $1', [message]);
  if (found === undefined) throw refuse('there is no such message', 'name the message that people reacted to with outbox');
  if (found.edited && !force) throw refuse('it was edited, and nobody knows what people agreed to', '--users FILE names the people; --force exports all the same');
  const reacted = `
    SELECT DISTINCT u.id FROM zerver_reaction x JOIN zerver_userprofile u ON u.id = x.user_profile_id
    WHERE x.message_id = $2 AND x.reaction_type = 'unicode_emoji' AND x.emoji_code = $3 AND u.realm_id`;
  const parameters = [realm.id, message, CONSENT_EMOJI];
  if ((await ids(client, `${reacted} <> $1`, parameters)).length > 0) throw refuse('users of another realm reacted to it', `name a message of ${realm.stringId}`);
  return ids(client, `${reacted} = $1`, parameters);
}

/**
 * Refuses an export after whose import nobody could log in as an owner.
 * @throws RealmliftError NO_OWNER, exit code 3
 */
export async function refuseWithoutOwner(client: pg.Client, mode: 'consent' | 'public', realm: Realm, consenting: readonly number[]): Promise<void> {
  const left = mode === 'consent'
    ? await ids(client, `SELECT u.id FROM zerver_userprofile u WHERE u.realm_id = $1 AND u.role = ${OWNER} AND u.is_active AND u.id = ANY ($2) LIMIT 1`, [realm.id, consenting])
    : await ids(client, `SELECT u.id FROM zerver_userprofile u WHERE u.realm_id = $1 AND u.role = ${OWNER} AND u.is_active AND u.email_address_visibility <> ${NOBODY} LIMIT 1`, [realm.id]);
  if (left.length > 0) return;
  const why = mode === 'consent' ? 'no owner of the realm is among those whose data may travel' : 'every owner of the realm hides the address';
  throw new RealmliftError('NO_OWNER', 'plan', `${why}: nobody could administer the imported realm`, { hint: '--force exports all the same', exit: EXIT.nothingExported });
}

/**
 * Who does not agree shows the realm's default settings (sql/selection/shown_user.sql): without them nobody could be shown.
 * @throws RealmliftError DEFAULTS_MISSING
 */
export async function refuseWithoutDefaults(client: pg.Client, realm: Realm): Promise<void> {
  if ((await ids(client, 'SELECT d.id FROM zerver_realmuserdefault d WHERE d.realm_id = $1', [realm.id])).length === 1) return;
  throw new RealmliftError('DEFAULTS_MISSING', 'plan', `${realm.stringId} has not exactly one row of default settings, which the users show who did not agree`, {
    table: 'zerver_realmuserdefault', hint: "give the realm one row of zerver_realmuserdefault; a full export needs none", exit: EXIT.nothingExported,
  });
}

async function ids(client: pg.Client, sql: string, parameters: unknown[]): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>(`SELECT q.id::float8 AS id FROM (${sql}) q ORDER BY 1`, parameters);
  return rows.map((row) => row.id);
}
