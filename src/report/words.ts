/** What people call what the database calls otherwise. */
import type { DataClass } from '../plan/registry.js';

export const CLASS_NAMES: Readonly<Record<DataClass, string>> & Readonly<Record<string, string>> = {
  public_realm: 'settings, channels and groups', cross_realm: 'shared bots and clients', disjoint_user: 'users and their settings',
  recipient: 'conversations and subscriptions', file: 'attachments', message: 'messages, reactions and read marks',
};

export const MODE_NAMES: Readonly<Record<string, string>> = {
  full: 'everything (full)', consent: 'what those who agreed may take (consent)', public: 'public data (public)', user: "one user's data (user)",
};

export const TABLE_NAMES: Readonly<Record<string, string>> = {
  zerver_usermessage: 'read marks and flags', zerver_message: 'messages', zerver_realmauditlog: 'audit log', zerver_subscription: 'subscriptions',
  zerver_userprofile: 'users', zerver_userprofile_mirrordummy: 'placeholders of users', zerver_reaction: 'reactions', zerver_usertopic: 'topic settings',
  zerver_stream: 'channels', zerver_recipient: 'conversations', zerver_huddle: 'groups of direct messages', zerver_attachment: 'attachments',
  zerver_userpresence: 'presence', zerver_useractivity: 'activity', zerver_useractivityinterval: 'times of activity', zerver_namedusergroup: 'user groups',
  zerver_scheduledmessage: 'scheduled messages', zerver_realm: 'settings of the realm', zerver_userstatus: 'statuses', zerver_alertword: 'alert words',
};
