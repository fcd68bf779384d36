import { appendFileSync, cpSync, existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { compareExports } from './compare-export.js';
import { expectedExport } from './expected-export.js';
import type { Dataset } from './test-data.js';

type Tables = Record<string, Record<string, unknown>[]>;

const SECRETS: Readonly<Record<string, readonly string[]>> = {
  zerver_service: ['token'], zerver_botconfigdata: ['value'], zerver_stream: ['email_token'],
  zerver_userprofile: ['zoom_token', 'third_party_api_state'], zerver_userprofile_mirrordummy: ['zoom_token', 'third_party_api_state'],
};

/** Rewrites a JSON file below `directory`. */
function edit<T = Tables>(directory: string, name: string, change: (data: T) => void): void {
  const path = join(directory, name);
  const data = JSON.parse(readFileSync(path, 'utf8')) as T;
  change(data);
  writeFileSync(path, JSON.stringify(data));
}

/** A copy of an expected export without its secrets, as realmlift writes it. */
function withoutSecrets(t: Test, expected: string): string {
  const actual = join(t.testdir({}), 'actual');
  cpSync(expected, actual, { recursive: true });
  edit(actual, existsSync(join(actual, 'user.json')) ? 'user.json' : 'realm.json', (tables) => {
    for (const [table, columns] of Object.entries(SECRETS)) {
      for (const row of tables[table] ?? []) for (const column of columns) delete row[column];
    }
  });
  return actual;
}

function first(tables: Tables, table: string, which: (row: Record<string, unknown>) => boolean = () => true): Record<string, unknown> {
  const row = tables[table]?.find(which);
  if (row === undefined) throw new Error(`no such row in ${table}`);
  return row;
}

const SAME: readonly (readonly [Dataset, string])[] = [
  ['zulip-11/local', 'acme-full'], ['zulip-11/local', 'acme-consent'], ['zulip-11/local', 'acme-user-owner@acme.example'],
  ['zulip-11/s3', 'globex-full'], ['zulip-8/local', 'acme-full'], ['zulip-8/local', 'acme-user-owner'],
];
for (const [dataset, name] of SAME) {
  t.test(`${dataset} ${name} without its secrets is the same export`, async (t) => {
    const expected = await expectedExport(dataset, name);
    t.same(compareExports(expected, withoutSecrets(t, expected)), []);
  });
}

t.test('secrets that were left in are found', async (t) => {
  const expected = await expectedExport('zulip-11/local', 'acme-full');
  const differences = compareExports(expected, expected);
  t.ok(differences.some((line) => /^realm\.json zerver_service\.token: row \d+ carries a secret$/.test(line)));
  t.ok(differences.every((line) => line.endsWith(' carries a secret')), 'and nothing else');
});

t.test('what may differ does not count', async (t) => {
  const expected = await expectedExport('zulip-11/local', 'acme-consent');
  const actual = withoutSecrets(t, expected);
  edit(actual, 'realm.json', (tables) => {
    tables.zerver_stream?.reverse();
    tables.zerver_realmauditlog?.push({ id: 999_999, event_type: 206 });
    delete first(tables, 'zerver_realm').uuid_owner_secret;
    first(tables, 'zerver_subscription').color = '#abcdef';
    first(tables, 'zerver_userprofile_mirrordummy', ({ delivery_email: address }) => String(address).startsWith('exported-user-'))
      .delivery_email = `exported-user-${'0'.repeat(32)}@elsewhere.example`;
  });
  edit<Record<string, unknown>[]>(actual, 'uploads/records.json', (records) => records.forEach((record) => { record.last_modified = 0; }));
  // The messages cut elsewhere: the last of them, with its usermessages, in a file of its own.
  edit(actual, 'messages-000001.json', (tables) => {
    const message = tables.zerver_message?.pop();
    const theirs = tables.zerver_usermessage?.filter((row) => row.message === message?.id) ?? [];
    tables.zerver_usermessage = tables.zerver_usermessage?.filter((row) => row.message !== message?.id) ?? [];
    const last = readdirSync(actual).filter((name) => name.startsWith('messages-')).length + 1;
    writeFileSync(join(actual, `messages-${String(last).padStart(6, '0')}.json`), JSON.stringify({ zerver_message: [message], zerver_usermessage: theirs }));
  });
  writeFileSync(join(actual, 'manifest.json'), '{}');
  t.same(compareExports(expected, actual), []);
});

/** One planted difference each, and what the comparer must say of it. */
const PLANTED: readonly (readonly [name: string, plant: (directory: string) => void, says: RegExp])[] = [
  ['a changed value', (d) => edit(d, 'realm.json', (x) => { first(x, 'zerver_stream').name = 'other'; }), /^realm\.json zerver_stream\.name: row \d+: expected ".*", got "other"$/],
  ['an added key', (d) => edit(d, 'realm.json', (x) => { first(x, 'zerver_client').extra = 1; }), /^realm\.json zerver_client\.extra: row \d+: expected absent, got 1$/],
  ['a lost key', (d) => edit(d, 'realm.json', (x) => { delete first(x, 'zerver_stream').invite_only; }), /^realm\.json zerver_stream\.invite_only: row \d+: .* got absent$/],
  ['null for an empty text', (d) => edit(d, 'realm.json', (x) => { first(x, 'zerver_userprofile', ({ timezone }) => timezone === '').timezone = null; }), /zerver_userprofile\.timezone: .* expected "", got null$/],
  ['a missing row', (d) => edit(d, 'realm.json', (x) => void x.zerver_reaction?.pop()), /^realm\.json zerver_reaction: row \d+ is missing$/],
  ['a row too many', (d) => edit(d, 'analytics.json', (x) => void x.analytics_realmcount?.push({ id: 999_999 })), /^analytics\.json analytics_realmcount: row 999999 should not be there$/],
  ['a row twice', (d) => edit(d, 'realm.json', (x) => void x.zerver_stream?.push(first(x, 'zerver_stream'))), /^realm\.json zerver_stream: an id occurs twice$/],
  ['a missing table', (d) => edit(d, 'realm.json', (x) => { delete x.zerver_userstatus; }), /^realm\.json zerver_userstatus: missing table$/],
  ['a table too many', (d) => edit(d, 'realm.json', (x) => { x.zerver_draft = []; }), /^realm\.json zerver_draft: not in the expected export$/],
  ['a scrubbed colour in full mode', (d) => edit(d, 'realm.json', (x) => { first(x, 'zerver_subscription').color = '#000000'; }), /zerver_subscription\.color: /],
  ['an address that looks hidden', (d) => edit(d, 'realm.json', (x) => { first(x, 'zerver_userprofile').delivery_email = `exported-user-${'0'.repeat(32)}@x`; }), /zerver_userprofile\.delivery_email: /],
  ['another message', (d) => edit(d, 'attachment.json', (x) => { first(x, 'zerver_attachment').messages = [1]; }), /^attachment\.json zerver_attachment\.messages: /],
  ['a missing file', (d) => rmSync(join(d, 'analytics.json')), /^analytics\.json: missing file$/],
  ['a lost message', (d) => edit(d, 'messages-000001.json', (x) => { x.zerver_message?.shift(); }), /^messages zerver_message: row \d+ is missing$/],
  ['a usermessage apart from its message', (d) => edit(d, 'messages-000001.json', (x) => {
    writeFileSync(join(d, 'messages-000002.json'), JSON.stringify({ zerver_message: [], zerver_usermessage: [x.zerver_usermessage?.pop()] }));
  }), /^messages: messages-000002\.json has a usermessage whose message is in another file$/],
  ['a gap in the numbers', (d) => renameSync(join(d, 'messages-000001.json'), join(d, 'messages-000002.json')), /^messages: messages-000002\.json: the import reads files by number, without gaps$/],
  ['another version', (d) => edit<Record<string, unknown>>(d, 'migration_status.json', (x) => { x.zulip_version = '1.0'; }), /^migration_status\.json zulip_version: expected ".*", got "1.0"$/],
  ['a missing migration', (d) => edit<{ migrations_by_app: Record<string, string[]> }>(d, 'migration_status.json', (x) => { x.migrations_by_app.zerver?.pop(); }), /^migration_status\.json zerver: ".*" is missing$/],
  ['an app too many', (d) => edit<{ migrations_by_app: Record<string, string[]> }>(d, 'migration_status.json', (x) => { x.migrations_by_app.extra = ['[X] 0001_initial']; }), /^migration_status\.json extra: "\[X\] 0001_initial" should not be there$/],
  ['a lost upload', (d) => rmSync(join(d, 'uploads', someUpload(d))), /^uploads\/: .* is missing$/],
  ['changed bytes', (d) => appendFileSync(join(d, 'uploads', someUpload(d)), 'x'), /^uploads\/: .* has other bytes$/],
  ['a file too many', (d) => writeFileSync(join(d, 'emoji', 'extra.png'), ''), /^emoji\/: extra\.png should not be there$/],
  ['a lost record', (d) => edit<unknown[]>(d, 'avatars/records.json', (x) => { x.pop(); }), /^avatars\/records\.json: .* is missing$/],
  ['a record too many', (d) => edit<unknown[]>(d, 'avatars/records.json', (x) => { x.push({ path: 'extra' }); }), /^avatars\/records\.json: extra should not be there$/],
  ['a changed record', (d) => edit<Record<string, unknown>[]>(d, 'emoji/records.json', (x) => { (x[0] as Record<string, unknown>).name = 'other'; }), /^emoji\/records\.json: .* name: expected ".*", got "other"$/],
  ['missing records', (d) => rmSync(join(d, 'realm_icons', 'records.json')), /^realm_icons\/records\.json: missing file$/],
  ['a missing area', (d) => rmSync(join(d, 'emoji'), { recursive: true }), /^emoji\/records\.json: missing file$/],
];

function someUpload(directory: string): string {
  const records = JSON.parse(readFileSync(join(directory, 'uploads', 'records.json'), 'utf8')) as { path: string }[];
  return records[0]?.path ?? '';
}

for (const [name, plant, says] of PLANTED) {
  t.test(`found: ${name}`, async (t) => {
    const expected = await expectedExport('zulip-11/local', 'closed-full');
    const actual = withoutSecrets(t, expected);
    plant(actual);
    const differences = compareExports(expected, actual);
    t.ok(differences.some((line) => says.test(line)), differences.join('\n'));
  });
}

t.test('found: another set of consenting users', async (t) => {
  const expected = await expectedExport('zulip-11/local', 'acme-consent');
  const actual = withoutSecrets(t, expected);
  edit<number[]>(actual, 'consented_user_ids.json', (ids) => ids.splice(0, 1, 999_999));
  t.match(compareExports(expected, actual), [/^consented_user_ids\.json: \d+ is missing$/, /^consented_user_ids\.json: 999999 should not be there$/]);
});
