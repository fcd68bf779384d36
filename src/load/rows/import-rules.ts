/**
 * Columns that an import does not take as they are, after what Zulip's own does (zerver/lib/import_realm.py of 11.0-dev). Columns that
 * the new server does not have are passed over.
 */
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import type { RowFields } from '../../json/row-fields.js';
import { eachRow } from '../../pipe/each-row.js';
import type { TableFile } from '../../pipe/table-file.js';
import { groupHash } from '../../remap/group-hash.js';
import type { RewriteContext } from '../../remap/rewrite-row.js';
import type { Rule } from './row-encoder.js';
import { typeByName } from '../files/image-types.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Realm.SELF_HOSTED: what an organisation elsewhere was allowed or had paid for is no matter of this server. */
const SELF_HOSTED = '1';
/** UserProfile.ROLE_REALM_OWNER */
const OWNER = 100;
/** UserProfile.TOS_VERSION_BEFORE_FIRST_LOGIN */
const BEFORE_FIRST_LOGIN = '-1';

export type Rules = Readonly<Record<string, Readonly<Record<string, Rule>>>>;

const TOKENS: Readonly<Record<string, Rule>> = { token: () => randomText(32) };

/** Secrets and the like, which do not travel and may not be null: only where the export has no such key. */
export const MADE_ANEW: Rules = {
  zerver_botconfigdata: { value: () => '' },
  zerver_realm: { uuid_owner_secret: () => `zuliprealm_${randomText(32)}` },
  zerver_service: TOKENS,
  zerver_stream: { email_token: () => randomBytes(16).toString('hex') },
  zerver_userprofile: { api_key: () => randomText(32), password: () => `!${randomText(40)}`, third_party_api_state: () => '{}', uuid: () => randomUUID() },
};

/** Whatever the export says. */
export function importRules(context: RewriteContext, files: readonly TableFile[]): Rules {
  const firstMessages = firstMessageNumbers(context, files);
  const hashes = groupHashes(context);
  const addresses = ownAddresses(context, files);
  const addressOf = (table: OwnedTable): Rule => (fields) => addresses[table].get(fields.integerOf('id')) ?? null;
  const owner = firstOwner(context, files);
  const bots = systemBots(context, files);
  return {
    zerver_attachment: { content_type: (fields) => (isNull(fields, 'content_type') ? typeByName(fields.textOf('file_name') ?? '') ?? null : undefined) },
    zerver_huddle: { huddle_hash: (fields) => hashes.get(fields.integerOf('id')), recipient_id: addressOf('zerver_huddle') },
    zerver_realm: {
      authentication_methods: bitField,
      // Until the last step; see last-step.ts.
      deactivated: () => 'true', scheduled_deletion_date: () => null,
      first_visible_message_id: () => '0', max_invites: () => null, message_visibility_limit: () => null, plan_type: () => SELF_HOSTED, push_notifications_enabled: () => 'false',
    },
    zerver_realmemoji: { author_id: (fields) => (isNull(fields, 'author') ? owner : undefined) },
    // That of a channel with messages is found when all are there; of one without, Zulip's import leaves the number as it was.
    zerver_stream: { first_message_id: (fields) => firstMessages.get(fields.integerOf('id')), recipient_id: addressOf('zerver_stream') },
    // Of the realm's own users the last step knows who is active; these are of another realm, where they always are.
    zerver_subscription: { is_user_active: (fields) => (bots.has(fields.integerOf('user_profile')) ? 'true' : undefined) },
    // Whoever knows the token speaks for the bot.
    zerver_service: TOKENS,
    zerver_userprofile: { recipient_id: addressOf('zerver_userprofile'), tos_version: () => BEFORE_FIRST_LOGIN },
  };
}

/** Keys of exports, as remap/outside.ts names them, that {@link importRules} never takes from there: what they say stays nowhere. */
export const NOT_TAKEN: ReadonlySet<string> = new Set(['zerver_huddle.huddle_hash', ...['zerver_huddle', 'zerver_stream', 'zerver_userprofile', 'zerver_userprofile_mirrordummy'].map((table) => `${table}.recipient`)]);

function randomText(length: number): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

function isNull(fields: RowFields, key: string): boolean {
  const field = fields.find(key);
  return field !== -1 && fields.bytes(field).toString('latin1') === 'null';
}

/** `[["Google", true], …]` of Zulip 6 is a bit field in its database; later versions have a table. */
function bitField(fields: RowFields): string | undefined {
  const field = fields.find('authentication_methods');
  if (field === -1) return undefined;
  const methods = JSON.parse(fields.bytes(field).toString('utf8')) as unknown;
  if (!Array.isArray(methods)) return undefined;
  return String((methods as [string, boolean][]).reduce((bits, [, on], index) => bits + (on ? 2 ** index : 0), 0));
}

/** By new channel. */
function firstMessageNumbers({ space }: RewriteContext, files: readonly TableFile[]): Map<number, string | null> {
  const streams = space('zerver_stream');
  const numbers = new Map<number, string | null>();
  for (const fields of eachRow(files, 'zerver_stream')) {
    const number = fields.integerOf('first_message_id');
    numbers.set(streams.get(fields.integerOf('id')) ?? NaN, Number.isNaN(number) ? null : String(number));
  }
  return numbers;
}

/** What has an address of its own, by the type of zerver_recipient. */
const OWNERS = { 1: 'zerver_userprofile', 2: 'zerver_stream', 3: 'zerver_huddle' } as const;
type OwnedTable = (typeof OWNERS)[keyof typeof OWNERS];

/**
 * By new user, channel and group: the new id of the row of zerver_recipient that leads to it. Until Zulip 9 mirror dummies name one that is
 * not exported, and their number is a stranger's address on the new server: they get none, as with Zulip's import.
 */
function ownAddresses({ space }: RewriteContext, files: readonly TableFile[]): Readonly<Record<OwnedTable, ReadonlyMap<number, string>>> {
  const addresses = { zerver_userprofile: new Map<number, string>(), zerver_stream: new Map<number, string>(), zerver_huddle: new Map<number, string>() };
  for (const fields of eachRow(files, 'zerver_recipient')) {
    const table = (OWNERS as Readonly<Record<number, OwnedTable>>)[fields.integerOf('type')];
    const [owner, id] = [table === undefined ? undefined : space(table).get(fields.integerOf('type_id')), space('zerver_recipient').get(fields.integerOf('id'))];
    if (table !== undefined && owner !== undefined && id !== undefined) addresses[table].set(owner, String(id));
  }
  return addresses;
}

/** By new group. */
function groupHashes({ survey, space }: RewriteContext): Map<number, string> {
  const [groups, users] = [space('zerver_huddle'), space('zerver_userprofile')];
  return new Map([...survey.groups].map(([group, members]) => [groups.get(group) ?? NaN, groupHash(members.map((user) => users.get(user) ?? user))]));
}

/** Emoji without an author get the first active owner; null when there is none. */
function firstOwner({ space }: RewriteContext, files: readonly TableFile[]): string | null {
  let first = Infinity;
  for (const fields of eachRow(files, 'zerver_userprofile')) {
    const active = fields.find('is_active');
    if (fields.integerOf('role') !== OWNER || active === -1 || fields.bytes(active).toString('latin1') !== 'true') continue;
    first = Math.min(first, space('zerver_userprofile').get(fields.integerOf('id')) ?? Infinity);
  }
  return first === Infinity ? null : String(first);
}

/** Their ids on the new server. */
function systemBots({ space }: RewriteContext, files: readonly TableFile[]): Set<number> {
  const bots = new Set<number>();
  for (const fields of eachRow(files, 'zerver_userprofile_crossrealm')) bots.add(space('zerver_userprofile').get(fields.integerOf('id')) ?? NaN);
  return bots;
}
