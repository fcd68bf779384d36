/**
 * What the rules of Zulip 11 and 12 export from a whole server, slowly and plainly: arrays of rows in, arrays of rows out. Written from the
 * rules of Zulip's own export alone and not from sql/: where the two differ, one of them is wrong. A regular expression stands for a value that
 * is random in the export.
 *
 * Beyond Zulip's rules, in this order: no row of another realm's people leaves, and what would point to nobody stays.
 */
import { HIDDEN_ADDRESS, scrubbedSubscription, singleUserOf4, wholeRealmOf4 } from './oracle-4.js';
import type { Row, Tables } from './server-rows.js';

/** Major versions whose rules the oracle knows. */
export type Release = 4 | 11 | 12;

export interface OracleRequest {
  /** Whose rules: of a server of this major version. */
  readonly release: Release;
  readonly realmId: number;
  readonly mode: 'full' | 'consent' | 'public' | 'user';
  /** Ids of the approved users, who then take the place of those who consented. */
  readonly approved?: readonly number[];
  readonly userId?: number;
  /** Ids of the users who agreed by a reaction, until Zulip 9. */
  readonly reacted?: readonly number[];
}

/** Tables of the export by name; `C` is the set of those whose private data travels. */
export interface Expected {
  readonly tables: Tables;
  readonly consenting: ReadonlySet<unknown>;
}

const SYSTEM_BOTS = ['notification-bot@zulip.com', 'emailgateway@zulip.com', 'welcome-bot@zulip.com'];
const USER_SECRETS = ['password', 'api_key', 'uuid', 'zoom_token', 'third_party_api_state'];
const NOBODY = 4;
/** Tables that Zulip 12 exports and 11.0-dev does not. */
export const SINCE_12 = ['zerver_channelfolder', 'zerver_externalauthid', 'zerver_navigationview', 'zerver_submessage'];
const byNumber = (a: unknown, b: unknown): number => (a as number) - (b as number);

/** By-user tables, and the column of the user; all but the first two only of those whose private data travels. */
const PROFILE_TABLES = { zerver_customprofilefieldvalue: 'user_profile_id', zerver_userpresence: 'user_profile_id' };
const PRIVATE_TABLES = {
  zerver_alertword: 'user_profile_id', zerver_muteduser: 'user_profile_id', zerver_onboardingstep: 'user_id', zerver_savedsnippet: 'user_profile_id',
  zerver_useractivity: 'user_profile_id', zerver_useractivityinterval: 'user_profile_id', zerver_userstatus: 'user_profile_id', zerver_usertopic: 'user_profile_id',
  zerver_navigationview: 'user_id', zerver_externalauthid: 'user_id',
};
const BOT_TABLES = { zerver_service: 'user_profile_id', zerver_botstoragedata: 'bot_profile_id', zerver_botconfigdata: 'bot_profile_id' };
const OF_REALM = [
  'zerver_realmauthenticationmethod', 'zerver_presencesequence', 'zerver_defaultstream', 'zerver_customprofilefield', 'zerver_realmemoji', 'zerver_realmdomain',
  'zerver_realmexport', 'zerver_realmfilter', 'zerver_realmplayground', 'zerver_realmuserdefault', 'zerver_onboardingusermessage', 'zerver_stream', 'zerver_usergroup',
  'zerver_namedusergroup', 'analytics_realmcount', 'analytics_usercount', 'analytics_streamcount', 'zerver_channelfolder',
];
const FLAGS = [
  'read', 'starred', 'collapsed', 'mentioned', 'stream_wildcard_mentioned', 'topic_wildcard_mentioned', 'group_mentioned', 'force_expand', 'force_collapse',
  'has_alert_word', 'historical',
];

export function oracle(server: Tables, request: OracleRequest): Expected {
  if (request.release === 4) {
    const { tables, consenting } = request.mode === 'user' ? singleUserOf4(server, request) : wholeRealmOf4(server, systemBots(server), request);
    return { tables: shaped(tables), consenting };
  }
  return request.mode === 'user' ? singleUser(server, request) : wholeRealm(server, request);
}

function wholeRealm(server: Tables, { release, realmId, mode, approved }: OracleRequest): Expected {
  const all = (table: string): Row[] => server[table] ?? [];
  const bots = systemBots(server);
  const botIds = new Set(bots.map((bot) => bot.id));
  const users = all('zerver_userprofile').filter((user) => user.realm_id === realmId && !botIds.has(user.id));

  // Set C.
  const named = new Set<unknown>(approved ?? []);
  const consents = (user: Row | undefined): boolean => user !== undefined && (approved === undefined ? user.allow_private_data_export === true : named.has(user.id));
  const owner = (bot: Row): Row | undefined => users.find((user) => user.id === bot.bot_owner_id && (approved !== undefined || user.is_bot === false));
  const inC = users.filter((user) => user.is_mirror_dummy === true || consents(user) || (user.is_bot === true && consents(owner(user))));
  const consenting = new Set<unknown>(mode === 'consent' ? inC.map((user) => user.id) : []);
  const scrubbed = (user: Row): boolean => mode === 'public' || (mode === 'consent' && !consenting.has(user.id));

  // Accounts as they travel.
  const defaults = all('zerver_realmuserdefault').find((row) => row.realm_id === realmId) as Row;
  const travelling = users.map((user): Row => {
    if (!scrubbed(user)) return user;
    const hidden = user.email_address_visibility === NOBODY;
    const dummy = mode === 'public' ? hidden : user.is_active === true;
    const scrub: Record<string, unknown> = { ...user };
    for (const column of Object.keys(defaults)) {
      if (column in user && !['id', 'realm_id', 'email_address_visibility'].includes(column)) scrub[column] = defaults[column];
    }
    return {
      ...scrub, is_mirror_dummy: user.is_mirror_dummy === true || dummy, is_active: user.is_active === true && (mode === 'consent' ? false : !hidden),
      delivery_email: hidden ? HIDDEN_ADDRESS : user.delivery_email,
    };
  });
  const accounts = travelling.filter((user) => user.is_mirror_dummy === false);
  const accountIds = new Set(accounts.map((user) => user.id));
  const userIds = new Set(users.map((user) => user.id));
  // Zulip asks for private data: everybody in a whole realm, set C under consent, nobody in public.
  const mayShow = (id: unknown): boolean => userIds.has(id) && (mode === 'full' || consenting.has(id));

  // Recipients and subscriptions.
  const streams = all('zerver_stream').filter((stream) => stream.realm_id === realmId);
  const subscribers = (recipient: unknown): Row[] => all('zerver_subscription').filter((row) => row.recipient_id === recipient);
  const realmOf = (user: unknown): unknown => all('zerver_userprofile').find((row) => row.id === user)?.realm_id;
  // Since 12 the three bots make no group unsafe, and groups of them alone travel with every whole realm.
  const member = (id: unknown): boolean => realmOf(id) === realmId || (release >= 12 && botIds.has(id));
  const safe = (recipient: Row): boolean => subscribers(recipient.id).every((row) => member(row.user_profile_id));
  const ofBots = (recipient: Row): boolean => release >= 12 && subscribers(recipient.id).length > 0 && subscribers(recipient.id).every((row) => botIds.has(row.user_profile_id));
  const recipients = all('zerver_recipient').filter((recipient) => {
    const ours = subscribers(recipient.id).filter((row) => userIds.has(row.user_profile_id));
    if (recipient.type === 1) return ours.length > 0;
    if (recipient.type === 2) return streams.some((stream) => stream.id === recipient.type_id);
    if (mode === 'public') return false;
    if (mode === 'full' && ofBots(recipient)) return true;
    return ours.some((row) => mode === 'full' || consenting.has(row.user_profile_id)) && safe(recipient);
  });
  const recipientIds = new Set(recipients.map((recipient) => recipient.id));
  const typeOf = new Map(recipients.map((recipient) => [recipient.id, recipient.type]));
  const subscriptions = all('zerver_subscription')
    // To channels (since 12 also to groups) all subscriptions, as far as the subscriber is in the export.
    .filter((row) => recipientIds.has(row.recipient_id)
      && (userIds.has(row.user_profile_id) || ((release >= 12 ? [2, 3] : [2]).includes(typeOf.get(row.recipient_id) as number) && botIds.has(row.user_profile_id))))
    .map((row): Row => (mode === 'full' || consenting.has(row.user_profile_id) ? row : scrubbedSubscription(row)));

  // Messages.
  const botRecipients = new Set(bots.map((bot) => bot.recipient_id));
  const senders = new Set([...userIds, ...botIds]);
  const received = (message: Row): boolean => all('zerver_usermessage').some((row) => row.message_id === message.id && consenting.has(row.user_profile_id));
  const messages = all('zerver_message').filter((message) => {
    if (message.realm_id !== realmId || !senders.has(message.sender_id)) return false;
    const recipient = recipients.find((row) => row.id === message.recipient_id);
    const stream = recipient?.type === 2 ? streams.find((row) => row.id === recipient.type_id) : undefined;
    const subscribed = subscribers(message.recipient_id).some((row) => consenting.has(row.user_profile_id));
    const isProtected = stream?.history_public_to_subscribers === false;
    // (a) sent to somebody or somewhere in the export
    if (recipient !== undefined) {
      const open = stream?.invite_only === false && !(release >= 12 && mode === 'consent' && isProtected);
      if (mode === 'full' || open) return true;
      if (mode === 'consent' && subscribed && (!isProtected || received(message))) return true;
    }
    if (mode === 'public') return false;
    // (b) sent directly by somebody whose data travels to somebody whose data does not, as far as the recipient is there to be named
    if (!recipientIds.has(message.recipient_id) && !botRecipients.has(message.recipient_id)) return false;
    const addressee = all('zerver_recipient').find((row) => row.id === message.recipient_id && row.type === 1)?.type_id;
    const sendersTravel = mode === 'full' ? accountIds.has(message.sender_id) : consenting.has(message.sender_id);
    const addresseeStays = senders.has(addressee) && !(mode === 'full' ? accountIds.has(addressee) : consenting.has(addressee));
    return sendersTravel && addresseeStays;
  });
  const messageIds = new Set(messages.map((message) => message.id));
  const usermessages = all('zerver_usermessage')
    .filter((row) => messageIds.has(row.message_id) && accountIds.has(row.user_profile_id) && (mode !== 'consent' || consenting.has(row.user_profile_id)));

  const scheduled = all('zerver_scheduledmessage').filter((row) => row.realm_id === realmId && mayShow(row.sender_id)
    && (recipientIds.has(row.recipient_id) || botRecipients.has(row.recipient_id)));
  const scheduledIds = new Set(scheduled.map((row) => row.id));

  const attachments = all('zerver_attachment').filter((row) => row.realm_id === realmId).map((row): Row => ({
    ...row,
    messages: all('zerver_attachment_messages').filter((tie) => tie.attachment_id === row.id && messageIds.has(tie.message_id)).map((tie) => tie.message_id).sort(byNumber),
    scheduled_messages: all('zerver_attachment_scheduled_messages').filter((tie) => tie.attachment_id === row.id && scheduledIds.has(tie.scheduledmessage_id)).map((tie) => tie.scheduledmessage_id).sort(byNumber),
  })).filter((row) => (row.messages as unknown[]).length + (row.scheduled_messages as unknown[]).length > 0);

  const groups = new Set(all('zerver_usergroup').filter((row) => row.realm_id === realmId).map((row) => row.id));
  const ofUsers = (tables: Readonly<Record<string, string>>, may: (id: unknown) => boolean): Tables =>
    Object.fromEntries(Object.entries(tables).map(([table, column]) => [table, all(table).filter((row) => may(row[column]))]));
  const tables: Tables = {
    ...Object.fromEntries(OF_REALM.map((table) => [table, all(table).filter((row) => row.realm_id === realmId)])),
    ...ofUsers(PROFILE_TABLES, (id) => userIds.has(id)), ...ofUsers({ ...PRIVATE_TABLES, ...BOT_TABLES }, mayShow),
    zerver_realm: all('zerver_realm').filter((row) => row.id === realmId),
    zerver_userprofile: accounts, zerver_userprofile_mirrordummy: travelling.filter((user) => user.is_mirror_dummy === true),
    zerver_userprofile_crossrealm: bots.map((bot) => ({ email: bot.delivery_email, id: bot.id, recipient_id: bot.recipient_id })),
    zerver_usergroupmembership: all('zerver_usergroupmembership').filter((row) => groups.has(row.user_group_id)),
    zerver_groupgroupmembership: all('zerver_groupgroupmembership').filter((row) => groups.has(row.supergroup_id)),
    zerver_realmauditlog: all('zerver_realmauditlog')
      .filter((row) => row.realm_id === realmId)
      .filter((row) => mode === 'full' || [301, 302, 303].includes(row.event_type as number) || row.modified_user_id === null || consenting.has(row.modified_user_id))
      .map((row) => ({ ...row, acting_user_id: realmOf(row.acting_user_id) === realmId ? row.acting_user_id : null })),
    zerver_recipient: recipients, zerver_subscription: subscriptions,
    zerver_huddle: all('zerver_huddle').filter((row) => recipientIds.has(row.recipient_id)),
    zerver_message: messages, zerver_usermessage: usermessages,
    // A reaction of another realm's user is that realm's row.
    zerver_reaction: all('zerver_reaction').filter((row) => messageIds.has(row.message_id) && senders.has(row.user_profile_id)),
    zerver_submessage: all('zerver_submessage').filter((row) => messageIds.has(row.message_id) && senders.has(row.sender_id)),
    zerver_scheduledmessage: scheduled, zerver_attachment: attachments,
  };
  const clients = new Set([
    ...[...messages, ...scheduled].map((row) => row.sending_client_id),
    ...[...(tables.zerver_useractivity ?? []), ...(tables.zerver_userstatus ?? [])].map((row) => row.client_id),
  ]);
  tables.zerver_client = all('zerver_client').filter((row) => clients.has(row.id));
  return { tables: shaped(inRelease(tables, release)), consenting };
}

function singleUser(server: Tables, { release, realmId, userId }: OracleRequest): Expected {
  const all = (table: string): Row[] => server[table] ?? [];
  const subscriptions = all('zerver_subscription').filter((row) => row.user_profile_id === userId);
  const recipients = all('zerver_recipient').filter((recipient) => subscriptions.some((row) => row.recipient_id === recipient.id));
  const direct = new Set(recipients.filter((recipient) => recipient.type !== 2).map((recipient) => recipient.id));
  const reactions = all('zerver_reaction').filter((row) => row.user_profile_id === userId);
  const messages = all('zerver_message').flatMap((message): Row[] => {
    const own = message.sender_id === userId || direct.has(message.recipient_id);
    const reacted = reactions.some((row) => row.message_id === message.id);
    const usermessage = all('zerver_usermessage').find((row) => row.message_id === message.id && row.user_profile_id === userId);
    // Zulip takes a message of another realm if the user reacted to it.
    if (message.realm_id !== realmId || !(own || reacted) || usermessage === undefined) return [];
    const recipient = all('zerver_recipient').find((row) => row.id === message.recipient_id) as Row;
    const people = all('zerver_subscription').filter((row) => row.recipient_id === recipient.id).map((row) => all('zerver_userprofile').find((user) => user.id === row.user_profile_id) as Row);
    const name = release >= 12 ? conversation(people, message.sender_id) : people.map((user) => String(user.full_name)).sort().join(', ');
    const mask = usermessage.flags as number;
    return [{
      ...message, flags: FLAGS.filter((_, bit) => (mask >> bit) % 2 === 1), flags_mask: mask,
      sending_client_name: all('zerver_client').find((row) => row.id === message.sending_client_id)?.name,
      recipient_name: recipient.type === 2 ? all('zerver_stream').find((row) => row.id === recipient.type_id)?.name : name,
    }];
  });
  const of = ([table, column]: [string, string]): [string, Row[]] => [table, all(table).filter((row) => row[column] === userId)];
  const tables: Tables = {
    zerver_userprofile: all('zerver_userprofile').filter((row) => row.id === userId),
    zerver_subscription: subscriptions, zerver_recipient: recipients,
    zerver_stream: all('zerver_stream').filter((stream) => recipients.some((row) => row.type === 2 && row.type_id === stream.id)),
    analytics_usercount: all('analytics_usercount').filter((row) => row.user_id === userId),
    zerver_realmauditlog: all('zerver_realmauditlog').filter((row) => row.modified_user_id === userId || row.acting_user_id === userId),
    zerver_reaction: reactions, zerver_message: messages, zerver_submessage: all('zerver_submessage').filter((row) => row.sender_id === userId),
    ...Object.fromEntries(Object.entries({ ...PROFILE_TABLES, ...PRIVATE_TABLES }).map(of)),
  };
  return { tables: shaped(inRelease(tables, release)), consenting: new Set() };
}

/** How 12 names a conversation: one of two after whoever did not send the message, others after all by id. */
function conversation(people: readonly Row[], sender: unknown): string {
  const sorted = [...people].sort((a, b) => byNumber(a.id, b.id));
  const named = sorted.length === 2 ? sorted.filter((user) => user.id !== sender).slice(0, 1) : sorted;
  return named.map((user) => String(user.full_name)).join(', ');
}

/** Without the tables that only 12 has. */
function inRelease(tables: Tables, release: Release): Tables {
  return Object.fromEntries(Object.entries(tables).filter(([table]) => release >= 12 || !SINCE_12.includes(table)));
}

/** The three bots in the system realm, or wherever an old server keeps them. */
function systemBots(server: Tables): Row[] {
  const system = (server.zerver_realm ?? []).find((realm) => realm.string_id === 'zulipinternal');
  const named = (server.zerver_userprofile ?? []).filter((user) => user.is_bot === true && SYSTEM_BOTS.includes(String(user.delivery_email)));
  const home = named.filter((user) => user.realm_id === system?.id);
  return home.length > 0 ? home : named;
}

/** Columns become keys, and secrets are gone. */
function shaped(tables: Tables): Tables {
  const references = new Set(['path_id', 'type_id', 'string_id', 'last_update_id', 'first_message_id', 'first_visible_message_id', 'event_last_message_id', 'last_active_message_id', 'reminder_target_message_id', 'external_auth_id']);
  const secrets: Record<string, readonly string[]> = {
    zerver_userprofile: USER_SECRETS, zerver_userprofile_mirrordummy: USER_SECRETS,
    zerver_service: ['token'], zerver_botconfigdata: ['value'], zerver_stream: ['email_token'], zerver_realmexport: ['export_path'],
  };
  const shape = (table: string, row: Row): Row => {
    const out: Record<string, unknown> = {};
    for (const [column, value] of Object.entries(row)) {
      if (secrets[table]?.includes(column) === true) continue;
      if (table === 'zerver_realm' && column === 'max_invites') out._max_invites = value;
      else if (table === 'zerver_namedusergroup' && column === 'realm_id') out.realm_for_sharding = value;
      else if (['zerver_usermessage', 'zerver_onboardingusermessage'].includes(table) && column === 'flags') out.flags_mask = value;
      else if (table === 'zerver_userprofile_crossrealm' || references.has(column)) out[column] = value;
      else out[column.replace(/_id$/, '')] = value;
    }
    if (table === 'zerver_namedusergroup') out.id = row.usergroup_ptr_id;
    if (table === 'zerver_userprofile' || table === 'zerver_userprofile_mirrordummy') Object.assign(out, { groups: [], user_permissions: [] });
    return out;
  };
  const sorted = (rows: Row[]): Row[] => rows.sort((a, b) => (a.id as number) - (b.id as number));
  return Object.fromEntries(Object.entries(tables).map(([table, rows]) => [table, sorted(rows.map((row) => shape(table, row)))]));
}
