/**
 * What Zulip 4's rules export from a whole server, as oracle.ts for 11 and 12: no condition on the realm of messages, and consent,
 * which is a reaction, limits messages alone. An approved list, which Zulip does not have, makes everybody else a mirror dummy.
 */
import type { Expected, OracleRequest } from './oracle.js';
import type { Row, Tables } from './server-rows.js';

const METHODS = ['Google', 'Email', 'GitHub', 'LDAP', 'Dev', 'RemoteUser', 'AzureAD', 'SAML', 'GitLab', 'Apple'];
const FLAGS = [
  'read', 'starred', 'collapsed', 'mentioned', 'wildcard_mentioned', 'summarize_in_home', 'summarize_in_stream', 'force_expand', 'force_collapse',
  'has_alert_word', 'historical',
];
const OF_REALM = [
  'zerver_defaultstream', 'zerver_customprofilefield', 'zerver_realmemoji', 'zerver_realmdomain', 'zerver_realmfilter', 'zerver_realmplayground', 'zerver_stream',
  'analytics_realmcount', 'analytics_usercount', 'analytics_streamcount',
];
/** Of accounts, by the column of the user. */
const OF_ACCOUNTS = {
  zerver_customprofilefieldvalue: 'user_profile_id', zerver_userpresence: 'user_profile_id', zerver_alertword: 'user_profile_id', zerver_useractivity: 'user_profile_id',
  zerver_useractivityinterval: 'user_profile_id', zerver_mutedtopic: 'user_profile_id', zerver_userhotspot: 'user_id', zerver_service: 'user_profile_id',
  zerver_botstoragedata: 'bot_profile_id', zerver_botconfigdata: 'bot_profile_id', zerver_realmauditlog: 'modified_user_id',
};
const byNumber = (a: unknown, b: unknown): number => (a as number) - (b as number);

/** What is shown of a subscription of somebody who did not agree. */
export function scrubbedSubscription({ id, user_profile_id, recipient_id, active, is_user_active, role }: Row): Row {
  return {
    id, user_profile_id, recipient_id, active, ...(is_user_active === undefined ? {} : { is_user_active }), ...(role === undefined ? {} : { role }),
    is_muted: false, pin_to_top: false, desktop_notifications: null, audible_notifications: null, push_notifications: null, email_notifications: null,
    wildcard_mentions_notify: null, color: /^#[0-9a-f]{6}$/,
  };
}

export const HIDDEN_ADDRESS = /^exported-user-[0-9a-f]{32}@[a-z0-9.]+$/;

/** @param bots the three system bots */
export function wholeRealmOf4(server: Tables, bots: readonly Row[], { realmId, mode, approved, reacted = [] }: OracleRequest): Expected {
  const all = (table: string): Row[] => server[table] ?? [];
  const botIds = new Set(bots.map((bot) => bot.id));
  const users = all('zerver_userprofile').filter((user) => user.realm_id === realmId && !botIds.has(user.id));
  const named = new Set<unknown>(approved);
  const inC = (user: Row): boolean => (approved === undefined ? reacted.includes(user.id as number)
    : user.is_mirror_dummy === true || named.has(user.id) || (user.is_bot === true && named.has(user.bot_owner_id)));
  const consenting = new Set<unknown>(mode === 'consent' ? users.filter(inC).map((user) => user.id) : []);
  const hidesAddresses = all('zerver_realm').some((row) => row.id === realmId && row.email_address_visibility === 4);
  const travelling = approved === undefined ? users : users.map((user): Row => (consenting.has(user.id) ? user : {
    ...user, is_mirror_dummy: true, is_active: false, delivery_email: hidesAddresses ? HIDDEN_ADDRESS : user.delivery_email,
  }));
  const accounts = travelling.filter((user) => user.is_mirror_dummy === false);
  const accountIds = new Set(accounts.map((user) => user.id));
  const userIds = new Set(users.map((user) => user.id));
  const agrees = (id: unknown): boolean => (mode === 'consent' ? consenting.has(id) : mode === 'full' && users.some((user) => user.id === id && user.is_mirror_dummy === false));

  const streams = all('zerver_stream').filter((stream) => stream.realm_id === realmId);
  const subscribers = (recipient: unknown): unknown[] => all('zerver_subscription').filter((row) => row.recipient_id === recipient).map((row) => row.user_profile_id);
  const realmOf = (user: unknown): unknown => all('zerver_userprofile').find((row) => row.id === user)?.realm_id;
  const recipients = all('zerver_recipient').filter((recipient) => {
    if (recipient.type === 2) return streams.some((stream) => stream.id === recipient.type_id);
    const people = subscribers(recipient.id);
    const ofAccount = people.some((id) => accountIds.has(id));
    if (recipient.type === 3) return ofAccount && people.every((id) => realmOf(id) === realmId);
    // Zulip leaves out what mirror dummies are addressed by, also where a message of somebody who agrees names it.
    return ofAccount || (mode !== 'public' && people.some((id) => userIds.has(id)) && all('zerver_message').some((row) => row.recipient_id === recipient.id && agrees(row.sender_id)));
  });
  const recipientOf = new Map(recipients.map((recipient) => [recipient.id, recipient]));
  const subscriptions = all('zerver_subscription').filter((row) => {
    const type = recipientOf.get(row.recipient_id)?.type;
    const user = row.user_profile_id;
    if (type === 2) return userIds.has(user) || botIds.has(user);
    return type !== undefined && (type === 1 || approved !== undefined ? userIds : accountIds).has(user);
  }).map((row) => (approved === undefined || consenting.has(row.user_profile_id) ? row : scrubbedSubscription(row)));

  const senders = new Set([...userIds, ...botIds]);
  const botRecipients = new Set(bots.map((bot) => bot.recipient_id));
  const messages = all('zerver_message').filter(({ sender_id: sender, recipient_id: to }) => {
    if (!senders.has(sender)) return false;
    const recipient = recipientOf.get(to);
    const open = streams.some((stream) => recipient?.type === 2 && stream.id === recipient.type_id && stream.invite_only === false);
    if (mode === 'public') return open;
    // A recipient that is here only because somebody who agrees wrote there opens nothing else.
    const zulips = recipient !== undefined && (recipient.type !== 1 || subscribers(to).some((id) => accountIds.has(id)));
    if (zulips && (mode === 'full' || open || subscribers(to).some((id) => consenting.has(id)))) return true;
    const contact = botRecipients.has(to) || (recipient?.type === 1 && userIds.has(recipient.type_id) && !(zulips && agrees(recipient.type_id)));
    return contact && agrees(sender);
  });
  const messageIds = new Set(messages.map((message) => message.id));
  const members = (group: unknown): unknown[] => all('zerver_usergroupmembership').filter((row) => row.user_group_id === group).map((row) => row.user_profile_id).sort(byNumber);
  const groups = all('zerver_usergroup').filter((row) => row.realm_id === realmId);
  const groupIds = new Set(groups.map((row) => row.id));
  const huddles = new Set(recipients.filter((recipient) => recipient.type === 3).map((recipient) => recipient.type_id));
  const tables: Tables = {
    ...Object.fromEntries(OF_REALM.map((table) => [table, all(table).filter((row) => row.realm_id === realmId)])),
    ...Object.fromEntries(Object.entries(OF_ACCOUNTS).map(([table, column]) => [table, all(table).filter((row) => accountIds.has(row[column]))])),
    zerver_realm: all('zerver_realm').filter((row) => row.id === realmId)
      .map((row) => ({ ...row, authentication_methods: METHODS.map((name, bit) => [name, (Number(row.authentication_methods) >> bit) % 2 === 1]) })),
    zerver_usergroup: groups.map((row) => ({ ...row, members: members(row.id) })),
    zerver_usergroupmembership: all('zerver_usergroupmembership').filter((row) => groupIds.has(row.user_group_id)),
    zerver_userprofile: accounts, zerver_userprofile_mirrordummy: travelling.filter((user) => user.is_mirror_dummy === true),
    zerver_userprofile_crossrealm: bots.map((bot) => ({ email: bot.delivery_email, id: bot.id, recipient_id: bot.recipient_id })),
    zerver_recipient: recipients, zerver_subscription: subscriptions, zerver_huddle: all('zerver_huddle').filter((row) => huddles.has(row.id)), zerver_client: all('zerver_client'),
    zerver_message: messages.map(withoutIndex),
    zerver_usermessage: all('zerver_usermessage').filter((row) => messageIds.has(row.message_id) && accountIds.has(row.user_profile_id) && (mode !== 'consent' || consenting.has(row.user_profile_id))),
    zerver_reaction: all('zerver_reaction').filter((row) => messageIds.has(row.message_id) && senders.has(row.user_profile_id)),
    zerver_attachment: all('zerver_attachment').filter((row) => row.realm_id === realmId).map((row): Row => ({
      ...row, messages: all('zerver_attachment_messages').filter((tie) => tie.attachment_id === row.id && messageIds.has(tie.message_id)).map((tie) => tie.message_id).sort(byNumber),
    })).filter((row) => (row.messages as unknown[]).length > 0),
  };
  return { tables, consenting };
}

export function singleUserOf4(server: Tables, { userId }: OracleRequest): Expected {
  const all = (table: string): Row[] => server[table] ?? [];
  const subscriptions = all('zerver_subscription').filter((row) => row.user_profile_id === userId);
  const recipients = all('zerver_recipient').filter((recipient) => subscriptions.some((row) => row.recipient_id === recipient.id));
  const streamOf = (recipient: Row): Row | undefined => all('zerver_stream').find((row) => recipient.type === 2 && row.id === recipient.type_id);
  const person = ({ id, email, full_name, is_mirror_dummy }: Row): Row => ({ id, email, full_name, is_mirror_dummy });
  const messages = all('zerver_message').flatMap((message): Row[] => {
    const usermessage = all('zerver_usermessage').find((row) => row.message_id === message.id && row.user_profile_id === userId);
    if (usermessage === undefined) return [];
    const recipient = all('zerver_recipient').find((row) => row.id === message.recipient_id) as Row;
    const people = all('zerver_userprofile').filter((user) => all('zerver_subscription').some((row) => row.recipient_id === recipient.id && row.user_profile_id === user.id));
    const mask = usermessage.flags as number;
    return [{
      ...withoutIndex(message), flags: FLAGS.filter((_, bit) => (mask >> bit) % 2 === 1), flags_mask: mask,
      sending_client_name: all('zerver_client').find((row) => row.id === message.sending_client_id)?.name,
      display_recipient: streamOf(recipient)?.name ?? people.sort((a, b) => byNumber(a.id, b.id)).map(person),
    }];
  });
  return {
    tables: {
      zerver_userprofile: all('zerver_userprofile').filter((row) => row.id === userId), zerver_subscription: subscriptions, zerver_recipient: recipients,
      zerver_stream: all('zerver_stream').filter((stream) => recipients.some((row) => row.type === 2 && row.type_id === stream.id)), zerver_message: messages,
    },
    consenting: new Set(),
  };
}

/** The index of the full-text search is no column of Zulip 4's model. */
function withoutIndex(message: Row): Row {
  return Object.fromEntries(Object.entries(message).filter(([column]) => column !== 'search_tsvector'));
}
