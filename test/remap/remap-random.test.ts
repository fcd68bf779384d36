/**
 * Random exports, written once with their ids and once with the ids that remapping should give: the result must be the second, to
 * the byte, and mapping back must give the first.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { aboveBase, type Assignment } from '../../src/remap/assignment.js';
import { RecordedMaps } from '../../src/remap/recorded-maps.js';
import { remapExport, type RemapOptions } from '../../src/remap/remap-export.js';
import { loadRegistry } from '../../src/plan/views/registry.js';
import { avatarHash } from '../../src/plan/avatar-hash.js';
import { writeSynthetic, type Row, type SyntheticExport, type Tables } from '../pipe/synthetic-export.js';

const RUNS = Number(process.env.REMAP_RUNS ?? 40);
const SALT = 'pepper';
const NOTHING: Assignment = { bots: undefined, clients: undefined, nextClient: undefined, all: undefined };
const OPTIONS: Omit<RemapOptions, 'assignment'> = { registry: loadRegistry(), catalog: undefined, salt: SALT, realmName: undefined, subdomain: undefined, files: 'copy' };
/** Never an exported id: what points there points outside. */
const OUTSIDE = 999;

interface Model {
  realm: number;
  users: number[];
  dummies: number[];
  bots: [number, number, number];
  streams: number[];
  /** [id, members] */
  huddles: [number, number[]][];
  groups: number[];
  emoji: number[];
  /** [id, type] */
  fields: [number, number][];
  clients: number[];
  messages: number[];
  /** [id, index of a message, index of a user] */
  usermessages: [number, number, number][];
  attachments: number[];
  perFile: number;
  /** Choices that texts and references are drawn with. */
  dice: number[];
}

const ids = (maxLength: number, minLength = 1): fc.Arbitrary<number[]> =>
  fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength, maxLength }).map((all) => all.sort((a, b) => a - b));

const model: fc.Arbitrary<Model> = fc.record({
  realm: fc.integer({ min: 1, max: 20 }),
  people: ids(8, 4), bots: fc.constant([301, 302, 303] as [number, number, number]),
  streams: ids(3), huddleIds: ids(3), groups: ids(3), emoji: ids(2), fieldIds: ids(2, 2), clients: ids(3), messages: ids(12), attachments: ids(2),
  usermessageIds: ids(15), perFile: fc.integer({ min: 1, max: 5 }), dice: fc.array(fc.nat(1000), { minLength: 40, maxLength: 40 }),
}).map(({ people, huddleIds, fieldIds, usermessageIds, ...rest }) => ({
  ...rest,
  users: people.slice(1), dummies: people.slice(0, 1),
  huddles: huddleIds.map((id, index) => [id, people.filter((_, at) => (at + index) % 2 === 0)] as [number, number[]]),
  fields: fieldIds.map((id, index) => [id, index === 0 ? 6 : 1] as [number, number]),
  usermessages: usermessageIds.map((id, index) => [id, (rest.dice[index] as number) % rest.messages.length, (rest.dice[index + 1] as number) % (people.length - 1)] as [number, number, number]),
}));

/** What becomes of an id. */
type Renumber = (space: string, id: number) => number;

/** The export as it looks with its ids renumbered. Recipients: users, channels, groups in turn, by rank. */
function render(given: Model, n: Renumber): SyntheticExport {
  const { users, dummies, bots, streams, huddles, groups, emoji, fields, clients, messages, attachments, dice } = given;
  let thrown = 0;
  const die = (): number => dice[thrown++ % dice.length] as number;
  const pick = <T>(list: readonly T[]): T => list[die() % list.length] as T;
  const people = [...dummies, ...users];
  const recipients = [...people.map((id) => [1, 'user', id] as const), ...streams.map((id) => [2, 'stream', id] as const), ...huddles.map(([id]) => [3, 'huddle', id] as const)];
  const recipientOf = (kind: string, id: number): number => n('recipient', recipients.findIndex((each) => each[1] === kind && each[2] === id) + 1);
  const user = (): number => n('user', pick([...people, ...bots, OUTSIDE]));
  const stream = (): number => n('stream', pick([...streams, OUTSIDE]));
  const message = (): number => n('message', pick([...messages, OUTSIDE]));
  const group = (): number => n('group', pick([...groups, OUTSIDE]));
  const realm = n('realm', given.realm);
  const path = (id: number): string => `${realm}/ab/Rand-${id}_x/näme.png`;

  /** [markdown, HTML] of everything that may carry an id, quotes to be escaped by whoever holds it. */
  const text = (withHtml = true): [string, string] => {
    const [u, v, s, m, g] = [user(), user(), stream(), message(), group()];
    const upload = pick([...attachments.map(path), `${given.realm}/no/Such/file.png`]);
    const pieces: [string, string][] = [
      ['plain "quoted" \\ back\nnew |5** 12', '<p>plain &quot;</p>'],
      [`@**Ünï "x" y|${u}** @_**z|${v}** @**nobody**`, `<span class="user-mention" data-user-id="${u}">@x</span><span data-user-id="*">`],
      [`#**general>topic@${m}** @*group*`, `<span class="user-group-mention" data-user-group-id="${g}">`],
      [`[x](/#narrow/channel/${s}-na.20me/topic/a.2Fb/near/${m}) #narrow/dm/${u},${v}-group/near/${m}`, `<a class="stream" data-stream-id="${s}" href="/#narrow/channel/${s}-na.20me/topic/a.2Fb/near/${m}">`],
      [`https://acme.zulip.example/#narrow/stream/${s}-x/with/${m}.`, `<a href="#narrow/stream/${s}-x/with/${m}">https://acme.zulip.example/#narrow/stream/${s}-x/with/${m}</a>`],
      [`https://other.example/#narrow/stream/${given.streams[0]}-x/near/${given.messages[0]}`, `<a href="https://other.example/#narrow/stream/${given.streams[0]}-x/near/${given.messages[0]}">`],
      [`[f](/user_uploads/${upload})`, `<a href="/user_uploads/${upload}"><img src="/user_uploads/thumbnail/${upload}/840x560.webp"></a>`],
      [`[f](https://acme.zulip.example/user_uploads/${upload})`, `<a href="user_uploads/${upload}">`],
      [`[f](https://other.example/user_uploads/${given.realm}/ab/Rand-${given.attachments[0]}_x/other.png)`, `<a href="https://other.example/user_uploads/${given.realm}/ab/Rand-${given.attachments[0]}_x/other.png">`],
      [':smile:', `<img class="emoji" src="/user_avatars/${realm}/emoji/images/1.png">`],
      [`#user/${u} #channels/${s}/x #groups/${g}/`, `<a href="/avatar/${u}?s=50">`],
    ];
    // Without its HTML nothing tells whose address a link has.
    const drawn = withHtml ? pieces : pieces.filter(([markdown]) => !markdown.includes('acme.zulip.example'));
    const chosen = [pick(drawn), pick(drawn)];
    return [chosen.map(([a]) => a).join(' '), chosen.map(([, b]) => b).join(' ')];
  };

  const audit = (): unknown => pick([
    () => ({}), () => ({ muted_user_id: user() }), () => ({ subgroup_ids: [group(), group()] }), () => ({ 1: 7, 2: 8, property: 'waiting_period_threshold' }),
    () => ({ 1: group(), 2: { direct_members: [user()], direct_subgroups: [group()] }, property: 'can_create_groups' }),
    () => ({ 1: null, 2: stream(), property: 'new_stream_announcements_stream' }),
    () => ({ realm_emoji: Object.fromEntries(emoji.map((id) => [`${n('emoji', id)}`, { id: `${n('emoji', id)}`, author_id: user(), source_url: `/user_avatars/${realm}/emoji/images/1.png`, deep: [[{ user_ids: [user()] }]] }])) }),
    () => ({ n: 5, '2': 6, big: 1e21 }),
  ])();

  const userRow = (id: number): Row => {
    const hidden = id % 2 === 0;
    return {
      id: n('user', id), delivery_email: `user${id}@real.example`, email: hidden ? `user${n('user', id)}@acme.zulip.example` : `user${id}@real.example`, realm, recipient: recipientOf('user', id),
      bot_owner: die() % 2 === 0 ? null : user(), default_sending_stream: stream(), last_active_message_id: message(), role: 400, groups: [], user_permissions: [],
    };
  };
  const avatar = (id: number): string => `${realm}/${avatarHash({ userId: n('user', id), avatarVersion: 2, email: '' }, SALT, 700)}.png`;
  const email = (id: number): string => (id % 2 === 0 ? `user${n('user', id)}@acme.zulip.example` : `user${id}@real.example`);
  let subscription = 0;
  const subscriptions = recipients.flatMap(([, kind, id]) => (kind === 'user' ? [id] : kind === 'stream' ? users : (huddles.find(([huddle]) => huddle === id) as [number, number[]])[1])
    .map((of) => ({ id: n('subscription', ++subscription * 3), user_profile: n('user', of), recipient: recipientOf(kind, id), color: '#c2c2c2' })));
  const tables: Tables = {
    zerver_realm: [text()].map(([markdown, html]) => ({ description: markdown, rendered_description: html, welcome_message_custom_text: text(false)[0], id: realm, name: 'Acme', string_id: 'acme', can_create_groups: group(), new_stream_announcements_stream: stream(), first_visible_message_id: 0, waiting_period_threshold: streams[0] })),
    zerver_scheduledmessage: [{ id: n('scheduled', 20), sender: user(), reminder_note: text(false)[0] }],
    zerver_client: clients.map((id) => ({ id: n('client', id), name: `client ${id}` })),
    zerver_userprofile: users.map(userRow), zerver_userprofile_mirrordummy: dummies.map(userRow),
    zerver_userprofile_crossrealm: bots.map((id, index) => ({ email: `${index}-bot@zulip.com`, id, recipient_id: id + 100 })),
    zerver_usergroup: groups.map((id) => ({ id: n('group', id), realm })),
    zerver_namedusergroup: groups.slice(0, 1).map((id) => ({ id: n('group', id), usergroup_ptr: n('group', id), realm_for_sharding: realm, creator: user(), can_mention_group: group(), description: text(false)[0] })),
    zerver_stream: streams.map((id) => ({ description: text(), id })).map(({ id, description: [markdown, html] }) => ({ id: n('stream', id), name: 's', realm, recipient: recipientOf('stream', id), description: markdown, rendered_description: html, first_message_id: message(), can_send_message_group: group() })),
    zerver_huddle: huddles.map(([id, members]) => ({ id: n('huddle', id), huddle_hash: createHash('sha1').update(members.map((each) => n('user', each)).sort((a, b) => a - b).join(',')).digest('hex'), recipient: recipientOf('huddle', id), group_size: members.length })),
    zerver_recipient: recipients.map(([type, kind, id], index) => ({ id: n('recipient', index + 1), type_id: n(kind, id), type })),
    zerver_subscription: subscriptions,
    zerver_realmemoji: emoji.map((id) => ({ id: n('emoji', id), author: user(), realm, name: 'e', file_name: '1.png' })),
    zerver_customprofilefield: fields.map(([id, type]) => ({ id: n('field', id), realm, name: 'f', field_type: type, order: 1 })),
    zerver_customprofilefieldvalue: fields.map(([id, type], index) => ({ id: n('value', index + 7), user_profile: user(), field: n('field', id), value: type === 6 ? `[${user()}, ${user()}]` : `[${id}] ${text(false)[0]}`, rendered_value: null })),
    zerver_reaction: messages.map((id, index) => ({ id: n('reaction', index * 2 + 5), user_profile: user(), emoji_name: 'x', ...(index % 2 === 0 ? { reaction_type: 'realm_emoji', emoji_code: `${n('emoji', pick(emoji))}` } : { reaction_type: 'unicode_emoji', emoji_code: '123' }), message: n('message', id) })),
    zerver_submessage: messages.map((id, index) => ({
      id: n('submessage', index + 20), sender: user(), msg_type: 'widget', message: n('message', id),
      content: JSON.stringify(pick([{ type: 'vote', key: `${user()},${id}`, vote: 1 }, { type: 'strike', key: `${id},${user()}` }, { type: 'vote', key: 'canned,0' }, { type: 'question', question: `"key":"${id},1"` }])),
    })),
    zerver_realmauditlog: messages.map((_, index) => ({ id: n('audit', index + 50), extra_data: audit(), event_type: 1, realm, acting_user: user(), modified_user: user(), modified_stream: stream(), modified_user_group: group(), event_last_message_id: message() })),
    zerver_userpresence: users.map((id, index) => ({ id: n('presence', index + 1), user_profile: n('user', id), realm, last_update_id: id })),
  };
  const rows = messages.map((id) => {
    const [content, html] = text();
    const [before, beforeHtml] = text();
    const history = die() % 2 === 0 ? null : JSON.stringify([{ user_id: user(), timestamp: 12, prev_content: before, prev_rendered_content: beforeHtml, prev_stream: stream(), stream: stream() }, { user_id: null, topic: '"user_id": 5' }]);
    return { id: n('message', id), sender: user(), recipient: n('recipient', pick(recipients.map((_, index) => index + 1))), realm, content, rendered_content: html, subject: `${id}`, sending_client: n('client', pick(clients)), edit_history: history };
  });
  const files: Tables[] = [];
  for (let at = 0; at < rows.length; at += given.perFile) {
    const here = messages.slice(at, at + given.perFile);
    files.push({
      zerver_message: rows.slice(at, at + given.perFile),
      zerver_usermessage: given.usermessages.filter(([, index]) => here.includes(messages[index] as number)).map(([id, index, who]) => ({ id: n('usermessage', id), user_profile: n('user', users[who] as number), message: n('message', messages[index] as number), flags_mask: id })),
    });
  }
  const avatars = users.slice(0, 3);
  return {
    header: { realm_id: realm }, realm: tables, messages: files, consenting: users.map((id) => n('user', id)),
    attachment: { zerver_attachment: attachments.map((id) => ({ id: n('attachment', id), path_id: path(id), owner: n('user', pick(users)), realm, size: 3, messages: messages.slice(0, 3).map((each) => n('message', each)) })) },
    analytics: { analytics_streamcount: [{ id: n('count', 3), realm, stream: stream(), value: 4 }] },
    files: {
      ...Object.fromEntries(attachments.map((id) => [`uploads/${path(id)}`, `upload ${id}`])), ...Object.fromEntries(avatars.map((id) => [`avatars/${avatar(id)}`, `avatar ${id}`])),
      'avatars/1000000/bot.png': 'a bot', [`emoji/${realm}/emoji/images/1.png`]: 'emoji',
    },
    records: {
      uploads: attachments.map((id, index) => ({ realm_id: realm, user_profile_id: n('user', users[index] as number), user_profile_email: email(users[index] as number), s3_path: path(id), path: path(id), size: id })),
      avatars: [...avatars.map((id) => ({ realm_id: realm, user_profile_id: n('user', id), user_profile_email: email(id), avatar_version: 2, s3_path: avatar(id), path: avatar(id) })), { realm_id: 1000000, user_profile_id: 301, avatar_version: 1, path: '1000000/bot.png' }],
      emoji: [{ realm_id: realm, author: n('user', users[0] as number), path: `${realm}/emoji/images/1.png`, file_name: '1.png' }],
    },
  };
}

/** Dense, in the old order, above the base; what is not exported stays. */
function renumbered(given: Model, base: number): Renumber {
  const recipients = given.users.length + given.dummies.length + given.streams.length + given.huddles.length;
  const exported: Record<string, number[]> = {
    realm: [given.realm], user: [...given.dummies, ...given.users], stream: given.streams, huddle: given.huddles.map(([id]) => id), group: given.groups, emoji: given.emoji,
    field: given.fields.map(([id]) => id), client: given.clients, message: given.messages, usermessage: given.usermessages.map(([id]) => id), attachment: given.attachments,
    recipient: Array.from({ length: recipients }, (_, index) => index + 1),
  };
  return (space, id) => {
    const known = exported[space];
    if (known !== undefined) return known.includes(id) ? base + 1 + [...known].sort((a, b) => a - b).indexOf(id) : id;
    const [first, step] = { subscription: [3, 3], value: [7, 1], reaction: [5, 2], audit: [50, 1], scheduled: [20, 1], submessage: [20, 1], presence: [1, 1], count: [3, 1] }[space] as [number, number];
    return base + 1 + (id - first) / step;
  };
}

function contents(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => relative(directory, join(entry.parentPath, entry.name)));
  return Object.fromEntries(files.filter((path) => !/^(manifest|report|id_maps)\.json$/.test(path)).sort().map((path) => [path, readFileSync(join(directory, path), 'utf8')]));
}

/** Shows where two long texts part. */
function same(found = '', wanted = '', what: string): void {
  const at = [...found].findIndex((char, index) => char !== wanted[index]);
  if (found !== wanted) throw new Error(`${what}: …${found.slice(Math.max(at - 200, 0), at + 40)}… instead of …${wanted.slice(Math.max(at - 20, 0), at + 40)}…`);
}

t.test('random exports get the ids that they should have, and get their own back', async (t) => {
  const root = t.testdir();
  await fc.assert(fc.asyncProperty(model, fc.constantFrom(1000, 5000, 70_000), async (given, base) => {
    const directory = mkdtempSync(join(root, 'run-'));
    const input = await writeSynthetic(join(directory, 'in'), render(given, (_, id) => id));
    const wanted = await writeSynthetic(join(directory, 'wanted'), render(given, renumbered(given, base)));
    const [there, back] = [join(directory, 'there'), join(directory, 'back')];
    const { outside } = await remapExport(input, there, { ...OPTIONS, assignment: { ...NOTHING, all: aboveBase(base) } });
    const [found, expected] = [contents(there), contents(wanted)];
    for (const path of new Set([...Object.keys(found), ...Object.keys(expected)])) same(found[path], expected[path], path);
    t.ok(outside.total > 0);
    await remapExport(there, back, { ...OPTIONS, assignment: NOTHING, recorded: new RecordedMaps(join(there, 'id_maps.json'), true) });
    const [again, original] = [contents(back), contents(input)];
    for (const path of new Set([...Object.keys(again), ...Object.keys(original)])) same(again[path], original[path], `back: ${path}`);
    rmSync(directory, { recursive: true });
  }), { numRuns: RUNS, endOnFailure: true });
});
