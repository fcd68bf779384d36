/**
 * Which key of which exported table points where: the foreign keys of Zulip's models (2.1 to 12.0-beta1), under the names
 * that exports use. A table that is not here is reported as unchecked; a key that is not here is no reference.
 *
 * Not references although they look so: `first_message_id`, `first_visible_message_id`, `event_last_message_id`,
 * `last_active_message_id`, `reminder_target_message_id` (plain numbers in Zulip's models: the message may be deleted), `type_id` of zerver_recipient
 * (checked by its type), and ids inside JSON values and texts.
 */

/** What ids can point to. */
export type Target =
  | 'realm' | 'user' | 'stream' | 'recipient' | 'client' | 'group' | 'namedGroup' | 'huddle' | 'profileField'
  | 'scheduledMessage' | 'channelFolder'
  /** Users with an account: rows of zerver_userprofile, not mirror dummies; in a consent export only those who consented. */
  | 'account'
  /** Messages are too many for memory: these references are checked by merging sorted files. */
  | 'message';

/** The tables whose rows each target consists of. The three system bots are users, and their recipients recipients. */
export const TARGET_TABLES: Record<string, Target[]> = {
  zerver_realm: ['realm'],
  zerver_userprofile: ['user', 'account'],
  zerver_userprofile_mirrordummy: ['user'],
  zerver_userprofile_crossrealm: ['user'],
  zerver_stream: ['stream'],
  zerver_recipient: ['recipient'],
  zerver_client: ['client'],
  zerver_usergroup: ['group'],
  zerver_namedusergroup: ['namedGroup'],
  zerver_huddle: ['huddle'],
  zerver_customprofilefield: ['profileField'],
  zerver_scheduledmessage: ['scheduledMessage'],
  zerver_channelfolder: ['channelFolder'],
};

const OWNED = { user_profile: 'user' } as const;
const OF_REALM = { realm: 'realm' } as const;
const USER_PROFILE = {
  realm: 'realm', recipient: 'recipient', bot_owner: 'user', default_sending_stream: 'stream', default_events_register_stream: 'stream',
} as const;

/** Settings that name a user group come with every version; all are called so. See {@link targetOf}. */
const GROUP_SETTINGS = new Set(['zerver_realm', 'zerver_stream', 'zerver_usergroup', 'zerver_namedusergroup']);

const REALM = {
  moderation_request_channel: 'stream', new_stream_announcements_stream: 'stream', notifications_stream: 'stream',
  signup_announcements_stream: 'stream', signup_notifications_stream: 'stream', zulip_update_announcements_stream: 'stream',
  can_create_groups: 'group', can_manage_all_groups: 'group',
} as const;

export const REFERENCES: Readonly<Record<string, Readonly<Record<string, Target>>>> = {
  analytics_realmcount: OF_REALM,
  analytics_streamcount: { realm: 'realm', stream: 'stream' },
  analytics_usercount: { realm: 'realm', user: 'user' },
  zerver_alertword: { realm: 'realm', user_profile: 'user' },
  zerver_analytics: REALM,
  zerver_attachment: { realm: 'realm', owner: 'user', messages: 'message', scheduled_messages: 'scheduledMessage' },
  zerver_botconfigdata: { bot_profile: 'user' },
  zerver_botstoragedata: { bot_profile: 'user' },
  zerver_channelfolder: { realm: 'realm', creator: 'user' },
  zerver_client: {},
  zerver_customprofilefield: OF_REALM,
  zerver_customprofilefieldvalue: { user_profile: 'user', field: 'profileField' },
  zerver_defaultstream: { realm: 'realm', stream: 'stream' },
  zerver_externalauthid: { realm: 'realm', user: 'user' },
  zerver_groupgroupmembership: { supergroup: 'group', subgroup: 'namedGroup' },
  zerver_huddle: { recipient: 'recipient' },
  zerver_message: { realm: 'realm', sender: 'user', recipient: 'recipient', sending_client: 'client' },
  zerver_mutedtopic: { user_profile: 'user', stream: 'stream', recipient: 'recipient' },
  zerver_muteduser: { user_profile: 'user', muted_user: 'user' },
  zerver_namedusergroup: { usergroup_ptr: 'group', realm_for_sharding: 'realm', creator: 'user' },
  zerver_navigationview: { user: 'user' },
  zerver_onboardingstep: { user: 'user' },
  zerver_onboardingusermessage: { realm: 'realm', message: 'message' },
  zerver_presencesequence: OF_REALM,
  zerver_reaction: { user_profile: 'user', message: 'message' },
  zerver_realm: REALM,
  zerver_realmauditlog: {
    realm: 'realm', acting_user: 'user', modified_user: 'user', modified_stream: 'stream', modified_user_group: 'namedGroup',
    modified_channel_folder: 'channelFolder',
  },
  zerver_realmauthenticationmethod: OF_REALM,
  zerver_realmdomain: OF_REALM,
  zerver_realmemoji: { realm: 'realm', author: 'user' },
  zerver_realmexport: { realm: 'realm', acting_user: 'user' },
  zerver_realmfilter: OF_REALM,
  zerver_realmplayground: OF_REALM,
  zerver_realmuserdefault: OF_REALM,
  zerver_recipient: {},
  zerver_savedsnippet: { realm: 'realm', user_profile: 'user' },
  zerver_scheduledmessage: {
    realm: 'realm', sender: 'user', recipient: 'recipient', stream: 'stream', sending_client: 'client', delivered_message: 'message',
  },
  zerver_service: OWNED,
  zerver_stream: { realm: 'realm', recipient: 'recipient', creator: 'user', folder: 'channelFolder' },
  zerver_submessage: { sender: 'user', message: 'message' },
  zerver_subscription: { user_profile: 'user', recipient: 'recipient' },
  zerver_useractivity: { user_profile: 'user', client: 'client' },
  zerver_useractivityinterval: OWNED,
  zerver_usergroup: { realm: 'realm', members: 'user', direct_members: 'user', direct_subgroups: 'group' },
  zerver_usergroupmembership: { user_group: 'group', user_profile: 'user' },
  zerver_userhotspot: { user: 'user' },
  // Its message must be in the same file: see message-rows.ts.
  zerver_usermessage: { user_profile: 'account' },
  zerver_userpresence: { realm: 'realm', user_profile: 'user', client: 'client' },
  zerver_userprofile: USER_PROFILE,
  zerver_userprofile_crossrealm: {},
  zerver_userprofile_mirrordummy: USER_PROFILE,
  zerver_userstatus: { user_profile: 'user', client: 'client' },
  zerver_usertopic: { user_profile: 'user', stream: 'stream', recipient: 'recipient' },
};

/** Where `key` of `table` points to; undefined when it is no reference. */
export function targetOf(table: string, key: string): Target | undefined {
  const keys = REFERENCES[table];
  // A foreign export's keys may be called like what every object has.
  if (keys !== undefined && Object.hasOwn(keys, key)) return keys[key];
  return GROUP_SETTINGS.has(table) && key.endsWith('_group') ? 'group' : undefined;
}

/** Keys whose values are lists of ids. */
const LISTS: Readonly<Record<string, readonly string[]>> = {
  zerver_attachment: ['messages', 'scheduled_messages'],
  // As its import reads them: `members` until Zulip 4, the others in Zulip 5.
  zerver_usergroup: ['members', 'direct_members', 'direct_subgroups'],
};

/** True when the key of a table holds a list of ids. */
export function isListOfIds(table: string, key: string): boolean {
  return LISTS[table]?.includes(key) ?? false;
}

/** Tables of what has a recipient of its own, and the type of that: whose `type_id` must lead back. */
export const OWN_RECIPIENT: Readonly<Record<string, number>> = { zerver_userprofile: 1, zerver_userprofile_mirrordummy: 1, zerver_stream: 2, zerver_huddle: 3 };

/** Keys that no row may lack or leave null: without them the import dies half-way or a row belongs to nobody. */
export const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  zerver_attachment: ['owner', 'messages'],
  zerver_message: ['sender', 'recipient', 'sending_client'],
  zerver_reaction: ['user_profile', 'message'],
  zerver_submessage: ['sender', 'message'],
  zerver_subscription: ['user_profile', 'recipient'],
  zerver_usermessage: ['user_profile'],
};

/** When a reference that points outside the export is no more than a note, and why. */
export interface OpenReference {
  table: string;
  key: string;
  /** `always`; `written by Zulip`: only without our manifest; `until Zulip 7` and the like: only in exports of these versions. */
  when: 'always' | 'written by Zulip' | 'until Zulip 7' | 'until Zulip 6' | 'until Zulip 4';
  reason: string;
}

export const OPEN_REFERENCES: readonly OpenReference[] = [
  ...['zerver_userprofile', 'zerver_userprofile_mirrordummy'].map((table): OpenReference => ({
    table, key: 'recipient', when: 'always',
    reason: 'the recipient of a user without a subscription to it is not exported; the import sets this key anew',
  })),
  {
    table: 'zerver_scheduledmessage', key: 'delivered_message', when: 'always',
    reason: "Zulip's rules export scheduled messages whatever became of the message sent",
  },
  {
    table: 'zerver_onboardingusermessage', key: 'message', when: 'always',
    reason: "Zulip's rules export these rows whatever the messages that travel",
  },
  {
    table: 'zerver_scheduledmessage', key: 'recipient', when: 'written by Zulip',
    reason: "Zulip's own export keeps scheduled messages to recipients that it leaves out",
  },
  {
    table: 'zerver_message', key: 'realm', when: 'until Zulip 7',
    reason: 'Zulip 7 selects messages by sender and recipient only, whichever realm the row names; the import sets this key anew',
  },
  { table: 'zerver_realmauditlog', key: 'acting_user', when: 'until Zulip 6', reason: 'Zulip 6 and older keep actors of other realms' },
  { table: 'zerver_realmauditlog', key: 'realm', when: 'until Zulip 4', reason: "Zulip 4 and older export what happened to the realm's users, in whichever realm" },
];

/**
 * What closes in a single-user export, which holds one user, the user's subscriptions and their channels, and otherwise
 * rows that point to anywhere: what the user did in another realm is in that realm's audit log.
 */
export const CLOSED_FOR_ONE_USER: Readonly<Record<string, readonly string[]>> = {
  analytics_usercount: ['realm', 'user'],
  zerver_alertword: ['realm', 'user_profile'],
  zerver_customprofilefieldvalue: ['user_profile'],
  zerver_externalauthid: ['user'],
  zerver_message: ['realm'],
  zerver_mutedtopic: ['user_profile'],
  zerver_muteduser: ['user_profile'],
  zerver_navigationview: ['user'],
  zerver_onboardingstep: ['user'],
  zerver_reaction: ['user_profile'],
  zerver_savedsnippet: ['realm', 'user_profile'],
  zerver_stream: ['realm', 'recipient'],
  zerver_submessage: ['sender'],
  zerver_subscription: ['user_profile', 'recipient'],
  zerver_useractivity: ['user_profile'],
  zerver_useractivityinterval: ['user_profile'],
  zerver_userhotspot: ['user'],
  zerver_usermessage: ['user_profile'],
  zerver_userpresence: ['user_profile'],
  zerver_userprofile: ['realm'],
  zerver_userstatus: ['user_profile'],
  zerver_usertopic: ['user_profile'],
};

/**
 * Tables of one user's own settings and doings. A consent export of Zulip 11 holds them only for users who consented;
 * the value is the key of the user.
 */
export const PRIVATE_TABLES: Readonly<Record<string, string>> = {
  zerver_alertword: 'user_profile',
  zerver_botconfigdata: 'bot_profile',
  zerver_botstoragedata: 'bot_profile',
  zerver_externalauthid: 'user',
  zerver_muteduser: 'user_profile',
  zerver_navigationview: 'user',
  zerver_onboardingstep: 'user',
  zerver_savedsnippet: 'user_profile',
  zerver_service: 'user_profile',
  zerver_useractivity: 'user_profile',
  zerver_useractivityinterval: 'user_profile',
  zerver_userstatus: 'user_profile',
  zerver_usertopic: 'user_profile',
};
