/** Random small servers, as fast-check shrinks them: short lists of small numbers, which server-rows.ts turns into rows. */
import fc from 'fast-check';

/** Somebody or something by number: taken modulo how many there are. */
const nat = fc.nat({ max: 40 });

/** True about once in `n`. */
const rarely = (n: number): fc.Arbitrary<boolean> => fc.nat({ max: n - 1 }).map((value) => value === n - 1);

/** A user: mostly of the realm at hand, sometimes of another one, sometimes one of Zulip's own bots. */
const person = fc.record({ where: fc.constantFrom<'home' | 'abroad' | 'system'>('home', 'home', 'home', 'home', 'home', 'home', 'abroad', 'system'), n: nat });
export type Person = { readonly where: 'home' | 'abroad' | 'system'; readonly n: number };

const user = fc.record({
  kind: fc.constantFrom<'human' | 'bot' | 'dummy'>('human', 'human', 'human', 'bot', 'dummy'),
  active: rarely(4).map((left) => !left),
  consents: fc.boolean(),
  visibility: fc.constantFrom(1, 4, 5),
  role: fc.constantFrom(400, 100, 600),
  owner: nat,
  /** Subscribed to the own recipient, as all but broken accounts are. */
  personal: rarely(12).map((missing) => !missing),
  settings: fc.nat({ max: 7 }),
  /** Bit n: has a row in the n-th table of BY_USER. */
  data: fc.nat({ max: 2 ** 18 - 1 }),
});

const channel = fc.record({
  inviteOnly: fc.boolean(), historyPublic: fc.boolean(), webPublic: fc.boolean(), archived: rarely(4),
  members: fc.array(fc.record({ who: person, active: fc.boolean(), settings: fc.nat({ max: 15 }) }), { maxLength: 5 }),
});

/** Among them some of system bots alone: what these said to one another, in Zulip 12. */
const systemBot: fc.Arbitrary<Person> = fc.record({ where: fc.constant('system' as const), n: nat });
const group = fc.record({
  members: fc.oneof(
    { weight: 6, arbitrary: fc.array<Person>(person, { minLength: 1, maxLength: 4 }) },
    { weight: 1, arbitrary: fc.array(systemBot, { minLength: 1, maxLength: 2 }) },
  ),
});

const target = fc.oneof(
  fc.record({ kind: fc.constant('channel' as const), n: nat }),
  fc.record({ kind: fc.constant('group' as const), n: nat }),
  fc.record({ kind: fc.constant('user' as const), who: person }),
);
export type Target = { readonly kind: 'channel' | 'group'; readonly n: number } | { readonly kind: 'user'; readonly who: Person };

const message = fc.record({
  sender: person, target,
  /** Bit n: the n-th user of the realm has a usermessage beside those whom the message was sent to. */
  extra: fc.nat({ max: 31 }),
  /** Bit n: the n-th natural receiver of it has no usermessage. */
  lost: fc.oneof(fc.constant(0), fc.nat({ max: 15 })),
  flags: fc.nat({ max: 8191 }),
  /** Recorded under another realm than its sender's. */
  strayRealm: rarely(12),
});

const realm = fc.record({
  users: fc.array(user, { minLength: 1, maxLength: 5 }),
  channels: fc.array(channel, { maxLength: 3 }),
  groups: fc.array(group, { maxLength: 3 }),
  messages: fc.array(message, { maxLength: 12 }),
  reactions: fc.array(fc.record({ message: nat, who: person }), { maxLength: 4 }),
  scheduled: fc.array(fc.record({ sender: nat, target, delivered: fc.option(nat, { nil: undefined }) }), { maxLength: 3 }),
  attachments: fc.array(fc.record({ owner: nat, messages: fc.array(nat, { maxLength: 2 }), scheduled: fc.array(nat, { maxLength: 1 }), strayMessage: rarely(6) }), { maxLength: 3 }),
  audit: fc.array(fc.record({ event: fc.constantFrom(101, 301, 302, 303), modified: fc.option(nat, { nil: undefined }), actor: fc.option(person, { nil: undefined }) }), { maxLength: 4 }),
  /** Bit n: has a row in the n-th table of BY_REALM. */
  data: fc.nat({ max: 2 ** 15 - 1 }),
  groupMembers: fc.array(nat, { maxLength: 3 }),
  onboarding: fc.array(nat, { maxLength: 2 }),
  defaults: fc.nat({ max: 7 }),
  deactivated: rarely(5),
});

export type RealmSpec = typeof realm extends fc.Arbitrary<infer T> ? T : never;

export interface ServerSpec {
  readonly realms: readonly RealmSpec[];
  /** Which realm is exported. */
  readonly exported: number;
  /** Whose transfer was approved: bit n for the n-th user of the realm. */
  readonly approved: number;
  /** The user exported alone. */
  readonly single: number;
  /** As on very old servers, the system bots live in the first real realm. */
  readonly oldBots: boolean;
}

export const servers: fc.Arbitrary<ServerSpec> = fc.record({
  realms: fc.array(realm, { minLength: 1, maxLength: 3 }), exported: fc.nat({ max: 2 }), approved: fc.nat({ max: 31 }), single: nat, oldBots: rarely(8),
});
