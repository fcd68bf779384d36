/** Servers in which realmlift, or Zulip's own rule, let something out or let something dangle: found at random, shrunk, named. */
import t from 'tap';
import { faults } from './faults.js';
import { withIsolationDatabase } from './isolation-database.js';
import type { RealmSpec, ServerSpec } from './server-arbitrary.js';

const USER: RealmSpec['users'][number] = { kind: 'human', active: true, consents: false, visibility: 1, role: 400, owner: 0, personal: true, settings: 0, data: 0 };
const REALM: RealmSpec = {
  users: [USER], channels: [], groups: [], messages: [], reactions: [], scheduled: [], attachments: [], audit: [], data: 0, groupMembers: [], onboarding: [],
  defaults: 0, deactivated: false,
};
const HOME = { where: 'home', n: 0 } as const;
const NOTE_TO_SELF: RealmSpec['messages'][number] = { sender: HOME, target: { kind: 'user', who: HOME }, extra: 0, lost: 0, flags: 0, strayRealm: false };

function server(...realms: Partial<RealmSpec>[]): ServerSpec {
  return { realms: realms.map((realm) => ({ ...REALM, ...realm })), exported: 0, approved: 0, single: 0, oldBots: false };
}

const FOUND: readonly (readonly [name: string, spec: ServerSpec])[] = [
  ['a reaction by a bot of the system realm that is none of the three', server({ messages: [NOTE_TO_SELF], reactions: [{ message: 0, who: { where: 'system', n: 0 } }] })],
  ['a reaction by a user of another realm', server({ messages: [NOTE_TO_SELF], reactions: [{ message: 0, who: { where: 'abroad', n: 0 } }] }, {})],
  ['a direct message to a mirror dummy whose recipient nobody subscribes to', server({
    users: [USER, { ...USER, kind: 'dummy', personal: false }], messages: [{ ...NOTE_TO_SELF, target: { kind: 'user', who: { where: 'home', n: 1 } } }],
  })],
  ['direct messages of a system bot to a mirror dummy, whom an account wrote to too', server({
    users: [USER, { ...USER, kind: 'dummy' }],
    messages: [NOTE_TO_SELF, ...[HOME, { where: 'system' as const, n: 0 }, { where: 'system' as const, n: 1 }, { where: 'system' as const, n: 2 }, { where: 'system' as const, n: 3 }]
      .map((sender) => ({ ...NOTE_TO_SELF, sender, target: { kind: 'user' as const, who: { where: 'home' as const, n: 1 } } }))],
  })],
  ['a message of another realm that the single user received and reacted to', server({
    channels: [{ inviteOnly: false, historyPublic: true, webPublic: false, archived: false, members: [{ who: HOME, active: true, settings: 0 }] }],
    messages: [{ ...NOTE_TO_SELF, target: { kind: 'channel', n: 0 }, strayRealm: true }], reactions: [{ message: 0, who: HOME }],
  }, {})],
  ['a message in an unsafe group by somebody of another realm was in no class of the ledger', server({
    groups: [{ members: [HOME, { where: 'abroad', n: 0 }] }], messages: [{ ...NOTE_TO_SELF, sender: { where: 'abroad', n: 0 }, target: { kind: 'group', n: 0 } }],
  }, {})],
];

for (const release of [4, 11, 12] as const) {
  t.test(`faults that were found, on Zulip ${release}`, async (t) => {
    await withIsolationDatabase(release, async (database) => {
      for (const [name, spec] of FOUND) t.same(await faults(database, spec), [], name);
    });
  });
}
