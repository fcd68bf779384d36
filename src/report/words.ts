/** What people call what the database calls otherwise. */
import { thousands } from '../numbers.js';
import type { Remapped } from '../package/remapped.js';
import type { DataClass } from '../plan/views/registry.js';

export const CLASS_NAMES: Readonly<Record<DataClass, string>> & Readonly<Record<string, string>> = {
  public_realm: 'settings, channels and groups', cross_realm: 'shared bots and clients', disjoint_user: 'users and their settings',
  recipient: 'conversations and subscriptions', file: 'attachments', message: 'messages, reactions and read marks',
};

export const MODE_NAMES: Readonly<Record<string, string>> = {
  full: 'everything (full)', consent: 'what those who agreed may take (consent)', public: 'public data (public)', user: "one user's data (user)",
};

export const AREA_NAMES: Readonly<Record<string, string>> = { uploads: 'uploads', avatars: 'avatars', emoji: 'emoji', realm_icons: 'icons and logos' };

const TABLE_NAMES: Readonly<Record<string, string>> = {
  analytics_realmcount: 'statistics of the realm', analytics_streamcount: 'statistics of channels', analytics_usercount: 'statistics of users', zerver_analytics: 'statistics',
  zerver_alertword: 'alert words', zerver_attachment: 'attachments', zerver_botconfigdata: 'settings of bots', zerver_botstoragedata: 'storage of bots',
  zerver_channelfolder: 'channel folders', zerver_client: 'clients', zerver_customprofilefield: 'profile fields', zerver_customprofilefieldvalue: 'values of profile fields',
  zerver_defaultstream: 'default channels', zerver_externalauthid: 'ids at login services', zerver_groupgroupmembership: 'groups in groups', zerver_huddle: 'groups of direct messages',
  zerver_message: 'messages', zerver_mutedtopic: 'muted topics', zerver_muteduser: 'muted users', zerver_namedusergroup: 'user groups', zerver_navigationview: 'navigation views',
  zerver_onboardingstep: 'onboarding steps', zerver_onboardingusermessage: 'onboarding messages', zerver_presencesequence: 'counter of presence', zerver_reaction: 'reactions',
  zerver_realm: 'settings of the realm', zerver_realmauditlog: 'audit log', zerver_realmauthenticationmethod: 'login methods', zerver_realmdomain: 'domains', zerver_realmemoji: 'custom emoji',
  zerver_realmexport: 'earlier exports', zerver_realmfilter: 'linkifiers', zerver_realmplayground: 'code playgrounds', zerver_realmuserdefault: 'defaults of new users',
  zerver_recipient: 'conversations', zerver_savedsnippet: 'saved snippets', zerver_scheduledmessage: 'scheduled messages', zerver_service: 'services of bots', zerver_stream: 'channels',
  zerver_submessage: 'polls and to-do lists', zerver_subscription: 'subscriptions', zerver_useractivity: 'activity', zerver_useractivityinterval: 'times of activity',
  zerver_usergroup: 'groups with system groups', zerver_usergroupmembership: 'members of groups', zerver_userhotspot: 'hints that were seen', zerver_usermessage: 'read marks and flags',
  zerver_userpresence: 'presence', zerver_userprofile: 'users', zerver_userprofile_crossrealm: 'system bots', zerver_userprofile_mirrordummy: 'placeholders of users',
  zerver_userstatus: 'statuses', zerver_usertopic: 'topic settings',
};

/** Of a table that no release has, its own name. */
export function tableName(table: string): string {
  return TABLE_NAMES[table] ?? table;
}

/** What an owner counts, in this order: how many there are, and what one is called. @param count rows of a table */
export function ownerCounts(count: (table: string) => number, files: number): readonly (readonly [number, 'user' | 'channel' | 'message' | 'reaction' | 'file'])[] {
  return [
    [count('zerver_userprofile') + count('zerver_userprofile_mirrordummy'), 'user'], [count('zerver_stream'), 'channel'],
    [count('zerver_message'), 'message'], [count('zerver_reaction'), 'reaction'], [files, 'file'],
  ];
}

/** Whose ids there are: `ids are those of the new server; 2 references point outside the export and stayed as they are`. */
export function idsText({ ids, bots, clients, points_outside: outside }: Remapped): string {
  const others = [...(bots ? ['system bots'] : []), ...(clients ? ['clients'] : [])].join(' and ');
  if (ids === 'all') return `ids are those of the new server; ${outsideText(outside)}`;
  return others === '' ? 'all ids are as they were; only what the realm is called is new' : `${others} have the ids of the new server, all else has its own; ${outsideText(outside)}`;
}

export function outsideText(references: number): string {
  if (references === 0) return 'no reference points outside the export';
  return references === 1 ? '1 reference points outside the export and stayed as it is' : `${thousands(references)} references point outside the export and stayed as they are`;
}

/** Why a file stayed. */
const LOSS_REASONS: Readonly<Record<string, string>> = {
  absent: 'it is not where its row says', forbidden: 'the store refuses to hand it out', unreadable: 'it cannot be read', outside: 'a link leads out of the uploads',
  'unsafe-name': 'its name cannot be a path', collision: 'its path is taken by another file', changed: 'it kept changing', corrupt: 'its bytes do not match its checksum',
  fault: 'the store failed each time', timeout: 'no bytes came for too long',
};

export function lossReason(kind: string, reason: string | undefined): string {
  if (kind === 'skipped') return 'the owner may not travel';
  if (kind === 'other-size') return 'another size than the row says';
  if (kind === 'metadata') return 'its metadata are missing or wrong: its record says what the database says';
  if (kind === 'orphans-unknown') return 'not all files without a row could be listed';
  return LOSS_REASONS[reason ?? ''] ?? reason ?? kind;
}
