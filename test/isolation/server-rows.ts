/**
 * From a random server to the rows of its tables. Only the columns that matter to the rules are set here; the others come from a
 * row of the sample server (see isolation-database.ts).
 */
import type { Person, RealmSpec, ServerSpec, Target } from './server-arbitrary.js';

export type Row = Readonly<Record<string, unknown>>;
export type Tables = Record<string, Row[]>;

/** A user of the system realm, as the sample server has it. */
export interface SystemUser {
  readonly id: number;
  readonly recipient_id: number;
  readonly realm_id: number;
  readonly delivery_email: string;
}

export interface System {
  readonly realmId: number;
  readonly users: readonly SystemUser[];
}

interface User { id: number; recipient: number; realm: number }
interface Addressed { recipient: number; receivers: User[]; stream: number | null }
interface Realm {
  id: number; spec: RealmSpec; users: User[]; channels: Addressed[]; groups: Addressed[]; messages: number[]; scheduled: number[]; everyone: number; field: number;
}

/** Rows of one user, in the order of the bits of `data`. */
const BY_USER: readonly ((user: User, realm: Realm, id: number) => [table: string, row: Row] | undefined)[] = [
  (user, realm, id) => ['zerver_alertword', { id, realm_id: realm.id, user_profile_id: user.id, word: `word ${id}` }],
  (user, realm, id) => ['zerver_customprofilefieldvalue', { id, user_profile_id: user.id, field_id: realm.field, value: `value ${id}` }],
  (user, realm, id) => ['zerver_muteduser', { id, user_profile_id: user.id, muted_user_id: (realm.users[0] as User).id }],
  (user, _, id) => ['zerver_onboardingstep', { id, user_id: user.id, onboarding_step: `step ${id}` }],
  (user, realm, id) => ['zerver_savedsnippet', { id, realm_id: realm.id, user_profile_id: user.id }],
  (user, _, id) => ['zerver_useractivity', { id, user_profile_id: user.id, client_id: 1 + (id % 5), query: `query ${id}` }],
  (user, _, id) => ['zerver_useractivityinterval', { id, user_profile_id: user.id }],
  (user, realm, id) => ['zerver_userpresence', { id, user_profile_id: user.id, realm_id: realm.id }],
  (user, _, id) => ['zerver_userstatus', { id, user_profile_id: user.id, client_id: 1 + (id % 5) }],
  (user, realm, id) => {
    const channel = realm.channels[id % Math.max(realm.channels.length, 1)];
    return channel && ['zerver_usertopic', { id, user_profile_id: user.id, stream_id: channel.stream, recipient_id: channel.recipient, topic_name: `topic ${id}` }];
  },
  (user, realm, id) => {
    const channel = realm.channels[id % Math.max(realm.channels.length, 1)];
    return channel && ['zerver_mutedtopic', { id, user_profile_id: user.id, stream_id: channel.stream, recipient_id: channel.recipient, topic_name: `topic ${id}` }];
  },
  (user, _, id) => ['zerver_userhotspot', { id, user_id: user.id, hotspot: `hotspot ${id}` }],
  (user, _, id) => ['zerver_service', { id, user_profile_id: user.id, token: `SERVICE-TOKEN-${id}` }],
  (user, _, id) => ['zerver_botstoragedata', { id, bot_profile_id: user.id, key: `key ${id}` }],
  (user, _, id) => ['zerver_botconfigdata', { id, bot_profile_id: user.id, key: `key ${id}`, value: `CONFIG-SECRET-${id}` }],
  (user, _, id) => ['zerver_navigationview', { id, user_id: user.id, fragment: `view ${id}`, is_pinned: true, name: null }],
  (user, realm, id) => ['zerver_externalauthid', { id, user_id: user.id, realm_id: realm.id, external_auth_id: `outside ${id}` }],
  (user, realm, id) => ['analytics_usercount', { id, realm_id: realm.id, user_id: user.id, property: `count ${id}` }],
];

/** Rows of one realm, in the order of the bits of `data`. */
const BY_REALM: readonly ((realm: Realm, id: number) => [table: string, row: Row] | undefined)[] = [
  (realm, id) => ['zerver_realmauthenticationmethod', { id, realm_id: realm.id }],
  (realm, id) => ['zerver_presencesequence', { id, realm_id: realm.id }],
  (realm, id) => realm.channels[0] && ['zerver_defaultstream', { id, realm_id: realm.id, stream_id: realm.channels[0].stream }],
  (realm, id) => ['zerver_realmemoji', { id, realm_id: realm.id, author_id: (realm.users[0] as User).id, name: `emoji${id}`, file_name: `${id}.png` }],
  (realm, id) => ['zerver_realmdomain', { id, realm_id: realm.id, domain: `d${id}.example` }],
  (realm, id) => ['zerver_realmexport', {
    id, realm_id: realm.id, type: 1, status: 3, date_requested: '2025-01-01T00:00:00+00:00', date_started: null, date_succeeded: null, date_failed: null,
    date_deleted: null, acting_user_id: (realm.users[0] as User).id, export_path: null, sha256sum_hex: null, tarball_size_bytes: null, stats: null,
  }],
  (realm, id) => ['zerver_channelfolder', { id, realm_id: realm.id, name: `folder ${id}`, creator_id: (realm.users[0] as User).id }],
  (realm, id) => ['zerver_realmfilter', { id, realm_id: realm.id, pattern: `#${id}` }],
  (realm, id) => ['zerver_realmplayground', { id, realm_id: realm.id, name: `playground ${id}` }],
  (realm, id) => ['analytics_realmcount', { id, realm_id: realm.id, property: `count ${id}` }],
  (realm, id) => realm.channels[0] && ['analytics_streamcount', { id, realm_id: realm.id, stream_id: realm.channels[0].stream, property: `count ${id}` }],
];

/** All rows of the server but the system realm's. */
export function rowsOf(spec: ServerSpec, system: System): Tables {
  return new Builder(system).build(spec);
}

class Builder {
  readonly #tables: Tables = {};
  readonly #system: System;
  readonly #realms: Realm[] = [];

  constructor(system: System) {
    this.#system = system;
  }

  build(spec: ServerSpec): Tables {
    // Users of all realms first: groups and messages reach across.
    for (const realm of spec.realms) this.#realm(realm);
    for (const realm of this.#realms) this.#places(realm);
    for (const realm of this.#realms) this.#messages(realm);
    for (const realm of this.#realms) this.#rest(realm);
    return this.#tables;
  }

  /** Every table counts from 101: the same number means a user here and a channel there. */
  #add(table: string, row: Row): number {
    const rows = (this.#tables[table] ??= []);
    const id = 101 + rows.length;
    rows.push({ id, ...row });
    return id;
  }

  #next(table: string): number {
    return 101 + (this.#tables[table]?.length ?? 0);
  }

  #realm(spec: RealmSpec): void {
    const everyone = this.#next('zerver_usergroup');
    const id = this.#next('zerver_realm');
    this.#add('zerver_usergroup', { realm_id: id });
    this.#groupRow('zerver_namedusergroup', { usergroup_ptr_id: everyone, realm_id: id, name: `group ${everyone}`, creator_id: null }, everyone);
    this.#groupRow('zerver_realm', {
      id, string_id: `r${id}`, name: `Realm ${id}`, uuid: uuid(1, id), uuid_owner_secret: `OWNER-SECRET-${id}`, deactivated: spec.deactivated,
      moderation_request_channel_id: null, new_stream_announcements_stream_id: null, signup_announcements_stream_id: null, zulip_update_announcements_stream_id: null,
    }, everyone);
    this.#add('zerver_realmuserdefault', { realm_id: id, ...settings(spec.defaults), email_address_visibility: 1 });
    const realm: Realm = { id, spec, users: [], channels: [], groups: [], messages: [], scheduled: [], everyone, field: 0 };
    this.#realms.push(realm);
    const first = this.#next('zerver_userprofile');
    for (const user of spec.users) {
      const userId = this.#next('zerver_userprofile');
      const recipient = this.#add('zerver_recipient', { type: 1, type_id: userId });
      const real = `u${userId}@r${id}.example`;
      this.#add('zerver_userprofile', {
        realm_id: id, delivery_email: real, email: user.visibility === 1 || user.kind === 'bot' ? real : `user${userId}@r${id}.host.example`, full_name: `User ${userId}`,
        is_active: user.active && user.kind !== 'dummy', is_bot: user.kind === 'bot', bot_type: user.kind === 'bot' ? 1 : null,
        bot_owner_id: user.kind === 'bot' ? first + (user.owner % spec.users.length) : null, is_mirror_dummy: user.kind === 'dummy', role: user.role,
        email_address_visibility: user.visibility, allow_private_data_export: user.consents && user.kind !== 'dummy', recipient_id: recipient,
        password: `PASSWORD-${userId}`, api_key: `APIKEY-${userId}`, uuid: uuid(2, userId), zoom_token: { token: `ZOOM-TOKEN-${userId}` }, third_party_api_state: { token: `ZOOM-TOKEN-${userId}` }, avatar_source: 'G', default_sending_stream_id: null,
        default_events_register_stream_id: null, ...settings(user.settings),
      });
      if (user.personal) this.#subscribe({ id: userId, recipient, realm: id }, recipient, true, 0);
      realm.users.push({ id: userId, recipient, realm: id });
    }
  }

  /** A row all of whose settings that name a user group name `everyone`. */
  #groupRow(table: string, row: Row, everyone: number): void {
    this.#add(table, { ...row, '*_group_id': everyone });
  }

  #places(realm: Realm): void {
    for (const channel of realm.spec.channels) {
      const id = this.#next('zerver_stream');
      const recipient = this.#add('zerver_recipient', { type: 2, type_id: id });
      this.#groupRow('zerver_stream', {
        realm_id: realm.id, name: `channel ${id}`, email_token: `EMAIL-TOKEN-${id}`, recipient_id: recipient, invite_only: channel.inviteOnly, history_public_to_subscribers: channel.historyPublic,
        is_web_public: channel.webPublic && !channel.inviteOnly, deactivated: channel.archived, creator_id: null, first_message_id: null,
      }, realm.everyone);
      const members = channel.members.map((member) => ({ ...member, user: this.#person(member.who, realm) }));
      for (const { user, active, settings: own } of members) this.#subscribe(user, recipient, active, own);
      realm.channels.push({ recipient, receivers: members.filter((each) => each.active).map((each) => each.user), stream: id });
    }
    for (const group of realm.spec.groups) {
      const id = this.#next('zerver_huddle');
      const recipient = this.#add('zerver_recipient', { type: 3, type_id: id });
      const receivers = group.members.map((who) => this.#person(who, realm));
      this.#add('zerver_huddle', { huddle_hash: `hash ${id}`, recipient_id: recipient, group_size: receivers.length });
      for (const user of receivers) this.#subscribe(user, recipient, true, 0);
      realm.groups.push({ recipient, receivers, stream: null });
    }
  }

  #messages(realm: Realm): void {
    for (const message of realm.spec.messages) {
      const sender = this.#person(message.sender, realm);
      const to = this.#addressed(message.target, realm, sender);
      if (to === undefined) continue;
      const other = this.#realms[(this.#realms.indexOf(realm) + 1) % this.#realms.length] as Realm;
      const id = this.#next('zerver_message');
      this.#add('zerver_message', {
        sender_id: sender.id, recipient_id: to.recipient, realm_id: message.strayRealm ? other.id : realm.id, sending_client_id: 1 + (id % 5),
        content: `message ${id}`, rendered_content: `<p>message ${id}</p>`, subject: to.stream === null ? '' : 'topic', is_channel_message: to.stream !== null,
      });
      realm.messages.push(id);
      const receivers = to.receivers.filter((_, index) => (message.lost >> index) % 2 === 0);
      const extra = realm.users.filter((_, index) => (message.extra >> index) % 2 === 1);
      for (const user of new Map([...receivers, ...extra].map((each) => [each.id, each])).values()) {
        this.#add('zerver_usermessage', { user_profile_id: user.id, message_id: id, flags: message.flags });
      }
    }
  }

  #rest(realm: Realm): void {
    const { spec, users } = realm;
    realm.field = this.#add('zerver_customprofilefield', { realm_id: realm.id, name: `field ${realm.id}` });
    for (const user of users) {
      const { data } = spec.users[users.indexOf(user)] as { data: number };
      BY_USER.forEach((row, bit) => { if ((data >> bit) % 2 === 1) this.#given((id) => row(user, realm, id)); });
    }
    BY_REALM.forEach((row, bit) => { if ((spec.data >> bit) % 2 === 1) this.#given((id) => row(realm, id)); });
    spec.reactions.forEach(({ message, who }, index) => {
      const id = pick(realm.messages, message);
      if (id === undefined) return;
      this.#add('zerver_reaction', { message_id: id, user_profile_id: this.#person(who, realm).id, emoji_code: `${index}`, emoji_name: `emoji ${index}` });
      this.#add('zerver_submessage', { message_id: id, sender_id: this.#person(who, realm).id, content: `vote ${index}` });
    });
    for (const { sender, target, delivered } of spec.scheduled) {
      const author = pick(users, sender) as User;
      const to = this.#addressed(target, realm, author);
      if (to === undefined) continue;
      realm.scheduled.push(this.#add('zerver_scheduledmessage', {
        sender_id: author.id, recipient_id: to.recipient, stream_id: to.stream, realm_id: realm.id, sending_client_id: 1 + (sender % 5),
        delivered_message_id: delivered === undefined ? null : (pick(realm.messages, delivered) ?? null),
      }));
    }
    for (const attachment of spec.attachments) this.#attachment(realm, attachment);
    for (const { event, modified, actor } of spec.audit) {
      this.#add('zerver_realmauditlog', {
        realm_id: realm.id, event_type: event, modified_user_id: modified === undefined ? null : (pick(users, modified) as User).id,
        acting_user_id: actor === undefined ? null : this.#person(actor, realm).id, modified_stream_id: null, modified_user_group_id: null,
      });
    }
    for (const member of new Set(spec.groupMembers.map((each) => pick(users, each) as User))) {
      this.#add('zerver_usergroupmembership', { user_group_id: realm.everyone, user_profile_id: member.id });
    }
    this.#add('zerver_groupgroupmembership', { supergroup_id: realm.everyone, subgroup_id: realm.everyone });
    for (const message of new Set(spec.onboarding.map((each) => pick(realm.messages, each)))) {
      if (message !== undefined) this.#add('zerver_onboardingusermessage', { realm_id: realm.id, message_id: message, flags: 6 });
    }
  }

  #attachment(realm: Realm, { owner, messages, scheduled, strayMessage }: RealmSpec['attachments'][number]): void {
    const id = this.#next('zerver_attachment');
    this.#add('zerver_attachment', { realm_id: realm.id, owner_id: (pick(realm.users, owner) as User).id, path_id: `${realm.id}/${id}/file.txt`, file_name: 'file.txt', size: 4 });
    const strangers = this.#realms.filter((each) => each !== realm).flatMap((each) => each.messages);
    const named = [...messages.map((each) => pick(realm.messages, each)), ...(strayMessage ? [pick(strangers, owner)] : [])];
    for (const message of new Set(named)) if (message !== undefined) this.#add('zerver_attachment_messages', { attachment_id: id, message_id: message });
    for (const each of new Set(scheduled.map((one) => pick(realm.scheduled, one)))) {
      if (each !== undefined) this.#add('zerver_attachment_scheduled_messages', { attachment_id: id, scheduledmessage_id: each });
    }
  }

  #given(make: (id: number) => [table: string, row: Row] | undefined): void {
    const trial = make(0);
    if (trial === undefined) return;
    const [table, row] = make(this.#next(trial[0])) as [string, Row];
    this.#add(table, row);
  }

  #subscribe(user: User, recipient: number, active: boolean, own: number): void {
    if (this.#tables.zerver_subscription?.some((row) => row.user_profile_id === user.id && row.recipient_id === recipient) === true) return;
    this.#add('zerver_subscription', {
      user_profile_id: user.id, recipient_id: recipient, active, is_user_active: true, is_muted: own % 2 === 1, pin_to_top: (own >> 1) % 2 === 1,
      desktop_notifications: (own >> 2) % 2 === 1 ? true : null, wildcard_mentions_notify: (own >> 3) % 2 === 1 ? false : null, color: '#123456',
    });
  }

  #person({ where, n }: Person, home: Realm): User {
    if (where === 'system') {
      const { id, recipient_id } = pick(this.#system.users, n) as SystemUser;
      return { id, recipient: recipient_id, realm: this.#system.realmId };
    }
    const abroad = this.#realms.filter((realm) => realm !== home).flatMap((realm) => realm.users);
    return pick(where === 'abroad' && abroad.length > 0 ? abroad : home.users, n) as User;
  }

  #addressed(target: Target, realm: Realm, sender: User): Addressed | undefined {
    if (target.kind !== 'user') return pick(target.kind === 'channel' ? realm.channels : realm.groups, target.n);
    const user = this.#person(target.who, realm);
    return { recipient: user.recipient, receivers: [user, sender], stream: null };
  }
}

function pick<T>(from: readonly T[], n: number): T | undefined {
  return from[n % Math.max(from.length, 1)];
}

/** Some of the settings that users and the realm's defaults share. */
function settings(bits: number): Row {
  return { enter_sends: bits % 2 === 1, default_language: (bits >> 1) % 2 === 1 ? 'de' : 'en', color_scheme: 1 + ((bits >> 2) % 2), timezone: '' };
}

function uuid(kind: number, id: number): string {
  return `00000000-0000-4000-800${kind}-${String(id).padStart(12, '0')}`;
}
