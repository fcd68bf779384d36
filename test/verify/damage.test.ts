/** Planted damage, and what verify must say of it: exactly that. */
import { appendFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import type { Finding } from '../../src/verify/findings.js';
import { verifyExport } from '../../src/verify/verify-export.js';
import type { Dataset } from '../testbed/test-data.js';
import { edit, first, ourExport, sign, type Row, type Tables } from './our-export.js';

const NOBODY = 424242;

type Change = (directory: string) => void;
/** Each error, in any order; a file that ends with `/` is any below it. */
type Expected = readonly (readonly [file: string, table: string | undefined, message: RegExp | string])[];

async function errorsOf(t: Test, directory: string): Promise<Finding[]> {
  const { findings, totals } = await verifyExport(directory, { jobs: 1 });
  const errors = findings.filter(({ severity }) => severity === 'error');
  t.equal(totals.errors, errors.length);
  return errors;
}

/** After the change the manifest is written anew, so that it fits. */
function damage(name: string, change: Change, expected: Expected, dataset: Dataset = 'zulip-11/local', realm = 'acme-full'): void {
  t.test(name, async (t) => {
    const directory = await ourExport(t, dataset, realm, change);
    matchErrors(t, await errorsOf(t, directory), expected);
  });
}

/** Damages that do not touch each other, in one export: most of a verify of so small an export is starting its worker. */
const together: [name: string, change: Change, expected: Expected][] = [];
function plant(name: string, change: Change, expected: Expected): void {
  together.push([name, change, expected]);
}

/** The change comes after the manifest. */
function damageOfFiles(name: string, change: Change, expected: Expected): void {
  t.test(name, async (t) => {
    const directory = await ourExport(t, 'zulip-11/local', 'closed-full');
    change(directory);
    matchErrors(t, await errorsOf(t, directory), expected);
  });
}

function matchErrors(t: Test, errors: readonly Finding[], expected: Expected): void {
  t.same(matchSome(t, errors, expected), [], 'and nothing else');
}

/** The errors that are left without the expected ones. */
function matchSome(t: Test, errors: readonly Finding[], expected: Expected): Finding[] {
  const left = [...errors];
  for (const [file, table, message] of expected) {
    const at = left.findIndex((error) => (file.endsWith('/') ? error.file.startsWith(file) : error.file === file) && error.table === table
      && (typeof message === 'string' ? error.message === message : message.test(error.message)));
    t.ok(at >= 0, `${file} ${table ?? ''}: ${String(message)}`);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}

const someFile = (directory: string, area: string): string => (JSON.parse(readFileSync(join(directory, area, 'records.json'), 'utf8')) as { path: string }[])[0]!.path;
const realm = (change: (tables: Tables) => void): Change => (d) => { edit(d, 'realm.json', change); };
const messages = (change: (tables: Tables) => void): Change => (d) => { edit(d, 'messages-000001.json', change); };
const attachments = (change: (tables: Tables) => void): Change => (d) => { edit(d, 'attachment.json', change); };
const records = (area: string, change: (records: Row[]) => Row[] | void): Change => (d) => { edit<Row[]>(d, `${area}/records.json`, change); };
const statistics = (d: string, section: string, table: string, by: number): void => {
  edit<Record<string, Record<string, number>>>(d, 'stats.json', (x) => { x[section]![table]! += by; });
};

// a. The manifest.
damageOfFiles('a changed byte', (d) => { writeFileSync(join(d, 'analytics.json'), readFileSync(join(d, 'analytics.json'), 'utf8').replace('"value": 1', '"value": 2')); }, [['analytics.json', undefined, 'the SHA-256 is not the one of the manifest']]);
damageOfFiles('a longer file', (d) => { appendFileSync(join(d, 'avatars', 'records.json'), '\n'); }, [['avatars/records.json', undefined, /^\d+ bytes, the manifest says \d+$/]]);
damageOfFiles('a lost upload', (d) => { rmSync(join(d, 'uploads', someFile(d, 'uploads'))); }, [
  ['uploads/records.json', undefined, /^the file is missing \(/], ['uploads/', undefined, 'the file is missing: the manifest lists it'],
]);
damageOfFiles('a file that is not listed', (d) => { writeFileSync(join(d, 'extra.json'), '{}'); }, [['extra.json', undefined, 'the manifest does not list the file']]);
damageOfFiles('a link in the place of a file', (d) => {
  rmSync(join(d, 'migration_status.json'));
  symlinkSync(join(d, 'analytics.json'), join(d, 'migration_status.json'));
}, [['migration_status.json', undefined, 'it is no ordinary file but a link, a FIFO or a device']]);
damageOfFiles('a manifest cut short', (d) => {
  const path = join(d, 'manifest.json');
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, -200));
}, [['manifest.json', undefined, /^manifest.json cannot be read: /]]);
damageOfFiles('a manifest of something else', (d) => { writeFileSync(join(d, 'manifest.json'), '{}'); }, [['manifest.json', undefined, /^manifest.json cannot be read: it has no list of files/]]);
t.test('other row counts', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full');
  const path = join(directory, 'manifest.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace('"zerver_message":59', '"zerver_message":58'));
  matchErrors(t, await errorsOf(t, directory), [['messages-000001.json', 'zerver_message', '59 rows, the manifest says 58']]);
});

// b. References.
const OUTSIDE: Record<string, [string, string][]> = {
  'messages-000001.json': [['zerver_message', 'sender'], ['zerver_message', 'recipient'], ['zerver_message', 'sending_client'], ['zerver_message', 'realm'], ['zerver_usermessage', 'user_profile']],
  'analytics.json': [['analytics_realmcount', 'realm'], ['analytics_usercount', 'user'], ['analytics_streamcount', 'stream']],
  'attachment.json': [['zerver_attachment', 'owner'], ['zerver_attachment', 'realm']],
  'realm.json': [
    ['zerver_subscription', 'user_profile'], ['zerver_subscription', 'recipient'], ['zerver_reaction', 'user_profile'], ['zerver_stream', 'creator'],
    ['zerver_stream', 'can_send_message_group'], ['zerver_realm', 'can_create_groups'], ['zerver_realm', 'new_stream_announcements_stream'],
    ['zerver_defaultstream', 'stream'], ['zerver_usergroupmembership', 'user_group'], ['zerver_usergroupmembership', 'user_profile'],
    ['zerver_groupgroupmembership', 'subgroup'], ['zerver_groupgroupmembership', 'supergroup'], ['zerver_namedusergroup', 'usergroup_ptr'],
    ['zerver_namedusergroup', 'can_manage_group'], ['zerver_usertopic', 'recipient'], ['zerver_usertopic', 'stream'], ['zerver_muteduser', 'muted_user'],
    ['zerver_useractivity', 'client'], ['zerver_userstatus', 'client'], ['zerver_customprofilefieldvalue', 'field'], ['zerver_realmemoji', 'author'],
    ['zerver_scheduledmessage', 'sender'], ['zerver_scheduledmessage', 'recipient'], ['zerver_scheduledmessage', 'sending_client'],
    ['zerver_realmauditlog', 'acting_user'], ['zerver_realmauditlog', 'modified_user'], ['zerver_userprofile', 'bot_owner'],
    ['zerver_botstoragedata', 'bot_profile'], ['zerver_onboardingstep', 'user'], ['zerver_savedsnippet', 'realm'], ['zerver_huddle', 'recipient'],
    ['zerver_stream', 'recipient'],
  ],
};
damage('references that point outside', (d) => {
  for (const [file, keys] of Object.entries(OUTSIDE)) {
    edit(d, file, (x) => { for (const [table, key] of keys) first(x, table)[key] = NOBODY; });
  }
}, Object.entries(OUTSIDE).flatMap(([file, keys]) => keys.map(([table, key]) => [
  file, table, new RegExp(`^${key} points outside the export \\(row \\d+ -> ${NOBODY}\\)$`),
] as const)));
damage('many rows of one kind are one finding', messages((x) => { for (const row of x.zerver_message!) row.sender = NOBODY; }), [
  ['messages-000001.json', 'zerver_message', /^sender points outside the export \(row \d+ -> 424242, row \d+ -> 424242, row \d+ -> 424242, … 917 in all\)$/],
]);
plant('a reaction to no message', realm((x) => { first(x, 'zerver_reaction').message = NOBODY; }), [['realm.json', 'zerver_reaction', 'message points outside the export (message 424242)']]);
plant('an attachment of no message', attachments((x) => { first(x, 'zerver_attachment').messages = [NOBODY]; }), [['attachment.json', 'zerver_attachment', 'messages points outside the export (message 424242)']]);
damage('an attachment of no scheduled message', attachments((x) => { first(x, 'zerver_attachment').scheduled_messages = [NOBODY]; }), [['attachment.json', 'zerver_attachment', /^scheduled_messages points outside the export/]]);
plant('a list that is none', attachments((x) => { x.zerver_attachment![1]!.messages = ['x']; }), [['attachment.json', 'zerver_attachment', /^messages is not a list of ids/]]);
plant('a usermessage of no message', messages((x) => { first(x, 'zerver_usermessage').message = NOBODY; }), [['messages-000001.json', 'zerver_usermessage', /^message is not in the same file \(row \d+ -> 424242\)$/]]);
damage('a usermessage in another file than its message', (d) => {
  edit(d, 'messages-000001.json', (x) => {
    const late = x.zerver_message!.splice(-5);
    writeFileSync(join(d, 'messages-000002.json'), JSON.stringify({ zerver_message: late, zerver_usermessage: [] }));
  });
  edit<Record<string, Record<string, number>>>(d, 'stats.json', (x) => {
    x['messages-000001']!.zerver_message! -= 5;
    x['messages-000002'] = { zerver_message: 5, zerver_usermessage: 0 };
  });
}, [['messages-000001.json', 'zerver_usermessage', /^message is not in the same file/]]);
plant('a usermessage of a mirror dummy', messages((x) => { first(x, 'zerver_usermessage').user_profile = 35; }), [['messages-000001.json', 'zerver_usermessage', /^user_profile points outside/]]);
plant('a message without a sender', messages((x) => { first(x, 'zerver_message').sender = null; }), [['messages-000001.json', 'zerver_message', /^sender is missing \(row \d+\)$/]]);
plant('a message whose sender is a name', messages((x) => { x.zerver_message![1]!.sender = 'owner'; }), [['messages-000001.json', 'zerver_message', /^sender is not an id/]]);
damage('a recipient of no user', realm((x) => { first(x, 'zerver_recipient', ({ type }) => type === 1).type_id = NOBODY; }), [
  ['realm.json', 'zerver_userprofile', /^the recipient belongs to something else/], ['realm.json', 'zerver_recipient', /^type_id points outside the export, type 1/],
]);
damage('a recipient of the wrong kind', realm((x) => { first(x, 'zerver_recipient', ({ type }) => type === 2).type = 3; }), [
  ['realm.json', 'zerver_stream', /^the recipient belongs to something else/],
]);
damage('two channels with their recipients exchanged', realm((x) => {
  const [a, b] = x.zerver_stream as [Row, Row];
  [a.recipient, b.recipient] = [b.recipient, a.recipient];
}), [['realm.json', 'zerver_stream', /^the recipient belongs to something else \(row 1 -> \d+, row 2 -> \d+\)$/]]);
damage('a lost table', (d) => {
  edit(d, 'realm.json', (x) => { delete x.zerver_userpresence; });
  edit<Record<string, Record<string, number>>>(d, 'stats.json', (x) => { delete x.realm!.zerver_userpresence; });
}, [['realm.json', 'zerver_userpresence', 'the table is missing']]);
plant('a new table without the source of the export', (d) => {
  edit(d, 'realm.json', (x) => { x.zerver_channelfolder = []; });
  edit<Record<string, Record<string, number>>>(d, 'stats.json', (x) => { x.realm!.zerver_channelfolder = 0; });
}, [['realm.json', 'import_source', /^the key is missing/]]);
damage('messages without their usermessages', (d) => {
  edit(d, 'messages-000001.json', (x) => { delete x.zerver_usermessage; });
  edit<Record<string, Record<string, number>>>(d, 'stats.json', (x) => { delete x['messages-000001']!.zerver_usermessage; });
}, [['messages-000001.json', 'zerver_usermessage', 'the table is missing']]);
damage("a single user's subscription to nothing", (d) => { edit(d, 'user.json', (x) => { first(x, 'zerver_subscription').recipient = NOBODY; }); }, [
  ['user.json', 'zerver_subscription', /^recipient points outside/],
], 'zulip-11/local', 'acme-user-owner@acme.example');
damage("a row of somebody else in a single user's export", (d) => { edit(d, 'user.json', (x) => { first(x, 'zerver_alertword').user_profile = 7; }); }, [
  ['user.json', 'zerver_alertword', /^user_profile points outside the export \(row \d+ -> 7\)$/],
], 'zulip-8/local', 'acme-user-owner');

// c. Order and repetition.
damage('a gap in the numbers', (d) => {
  renameSync(join(d, 'messages-000001.json'), join(d, 'messages-000002.json'));
  edit<Record<string, unknown>>(d, 'stats.json', (x) => ({ ...x, 'messages-000002': x['messages-000001'], 'messages-000001': undefined }));
}, [['messages-000002.json', undefined, /^number 1 is missing/]]);
damage('a file of messages twice', (d) => {
  cpSync(join(d, 'messages-000001.json'), join(d, 'messages-000002.json'));
  edit<Record<string, unknown>>(d, 'stats.json', (x) => ({ ...x, 'messages-000002': x['messages-000001'] }));
}, [
  ['messages-000002.json', 'zerver_message', /^message ids do not rise from file to file/],
  ['messages-*.json', 'zerver_message', /^an id comes more than once \(row 1, row 2, row 3, … 917 in all\)$/],
  ['messages-*.json', 'zerver_usermessage', /^an id comes more than once/],
]);
plant('one usermessage twice', (d) => {
  edit(d, 'messages-000001.json', (x) => { x.zerver_usermessage!.push({ ...x.zerver_usermessage!.at(-1) }); });
  statistics(d, 'messages-000001', 'zerver_usermessage', 1);
}, [['messages-*.json', 'zerver_usermessage', /^an id comes more than once \(row \d+\)$/]]);
plant('one reaction twice', (d) => {
  edit(d, 'realm.json', (x) => { x.zerver_reaction!.push({ ...x.zerver_reaction![3] }); });
  statistics(d, 'realm', 'zerver_reaction', 1);
}, [['realm.json', 'zerver_reaction', /^rows are not sorted by id/], ['realm.json', 'zerver_reaction', /^an id comes more than once \(row \d+\)$/]]);
plant('rows out of order', realm((x) => { x.zerver_stream!.reverse(); }), [['realm.json', 'zerver_stream', /^rows are not sorted by id/]]);
plant('a row without an id', realm((x) => { delete first(x, 'zerver_alertword').id; }), [['realm.json', 'zerver_alertword', 'a row has no id']]);
damage('two realms', (d) => {
  edit(d, 'realm.json', (x) => { x.zerver_realm!.push({ ...x.zerver_realm![0], id: 3 }); });
  statistics(d, 'realm', 'zerver_realm', 1);
}, [['realm.json', 'zerver_realm', 'it has 2 rows and should have one']]);

// d. Files.
damage('an upload without a record', records('uploads', (x) => { x.pop(); }), [
  ['stats.json', undefined, /^uploads_records has 11 rows, not 12$/], ['attachment.json', 'zerver_attachment', /^no record in uploads\/records.json \(row \d+\)$/],
  ['uploads/', undefined, 'no record in uploads/records.json'],
]);
plant('a record without a file', (d) => { rmSync(join(d, 'emoji', someFile(d, 'emoji'))); }, [['emoji/records.json', undefined, /^the file is missing/]]);
plant('a file of another size', (d) => { appendFileSync(join(d, 'avatars', someFile(d, 'avatars')), 'x'); }, [['avatars/records.json', undefined, /^the file has another size \(.*: \d+ bytes, recorded \d+\)$/]]);
plant('a record twice', (d) => {
  edit<Row[]>(d, 'avatars/records.json', (x) => { x.push({ ...x[0] }); });
  edit<Record<string, number>>(d, 'stats.json', (x) => { x.avatars_records!++; });
}, [['avatars/records.json', undefined, /^a path comes more than once/]]);
plant('a record of nobody', records('uploads', (x) => { x[0]!.user_profile_id = NOBODY; }), [['uploads/records.json', undefined, /^user_profile_id points outside the export/]]);
plant('a record of another realm', records('realm_icons', (x) => { x[0]!.realm_id = NOBODY; }), [['realm_icons/records.json', undefined, /^realm_id points outside the export/]]);
plant('a path that leads out', (d) => {
  mkdirSync(join(d, 'emoji', '2'), { recursive: true });
  edit<Row[]>(d, 'emoji/records.json', (x) => { x.push({ ...x[0], path: '../realm.json' }); });
  edit<Record<string, number>>(d, 'stats.json', (x) => { x.emoji_records!++; });
}, [['emoji/records.json', undefined, 'the path leads out of the export (../realm.json)']]);
damage('paths that no file can have', (d) => {
  mkdirSync(join(d, 'emoji', '2'), { recursive: true });
  edit<Row[]>(d, 'emoji/records.json', (x) => { x.push({ ...x[0], path: '2/\0' }, { ...x[0], path: `2/${'n'.repeat(256)}` }); });
  edit<Record<string, number>>(d, 'stats.json', (x) => { x.emoji_records! += 2; });
}, [['emoji/records.json', undefined, /^the file is missing \(.*, 2\/n+\)$/]]);
plant('a file beside the records', (d) => { writeFileSync(join(d, 'realm_icons', 'extra.png'), ''); }, [['realm_icons/extra.png', undefined, 'no record in realm_icons/records.json']]);
damage('lost records', (d) => {
  rmSync(join(d, 'avatars'), { recursive: true });
  edit<Record<string, unknown>>(d, 'stats.json', (x) => ({ ...x, avatars_records: undefined }));
}, [['avatars/records.json', undefined, /^the file is missing: the import stops/]]);
damage('no attachment.json', (d) => {
  rmSync(join(d, 'attachment.json'));
  edit<Record<string, unknown>>(d, 'stats.json', (x) => ({ ...x, attachment: undefined }));
}, [['attachment.json', undefined, 'the file is missing: the import stops without it']]);
damage('records that are none', (d) => { writeFileSync(join(d, 'emoji', 'records.json'), '{}'); }, [
  ['emoji/records.json', undefined, 'not a list of records'],
  ...Array.from({ length: 4 }, () => ['emoji/', undefined, 'no record in emoji/records.json'] as const),
]);

// e. Secrets.
const SECRETS: readonly (readonly [table: string, key: string, value: unknown])[] = [
  ['zerver_userprofile', 'password', 'x'], ['zerver_userprofile', 'api_key', 'x'], ['zerver_userprofile', 'uuid', 'x'], ['zerver_userprofile_mirrordummy', 'uuid', 'x'],
  ['zerver_userprofile', 'zoom_token', { access: 'x' }], ['zerver_userprofile', 'third_party_api_state', { zoom: 1 }], ['zerver_service', 'token', 'x'],
  ['zerver_botconfigdata', 'value', 'x'], ['zerver_stream', 'email_token', 'x'], ['zerver_client', 'some_private_key', 'x'],
];
damage('secrets', realm((x) => { for (const [table, key, value] of SECRETS) first(x, table)[key] = value; }), SECRETS.map(([table, key]) => [
  'realm.json', table, new RegExp(`^the secret ${key} has a value \\(row \\d+\\)$`),
] as const));
plant('a secret in a record', records('avatars', (x) => { x[0]!['x-amz-token'] = 'x'; }), [['avatars/records.json', undefined, /^the secret x-amz-token has a value/]]);
damage('empty secrets are none', realm((x) => { Object.assign(first(x, 'zerver_userprofile'), { password: '', api_key: null, zoom_token: {} }); }), []);

// f. The small files.
plant('other statistics', (d) => { statistics(d, 'realm', 'zerver_stream', 1); }, [['stats.json', 'zerver_stream', 'realm has 10 rows, not 11']]);
plant('statistics of a file that is not there', (d) => { edit<Record<string, unknown>>(d, 'stats.json', (x) => ({ ...x, 'messages-000002': { zerver_message: 5 } })); }, [['stats.json', undefined, /^it counts rows of messages-000002, which is not there$/]]);
damage('other statistics of Zulip 8', (d) => {
  writeFileSync(join(d, 'stats.txt'), readFileSync(join(d, 'stats.txt'), 'utf8').replace('337 zerver_message', '336 zerver_message'));
}, [['stats.txt', 'zerver_message', 'messages-000001 has 337 rows, not 336']], 'zulip-8/local');
damage('no statistics', (d) => { rmSync(join(d, 'stats.json')); }, [['stats.json', undefined, /neither stats.json nor stats.txt/]]);
damage('no migration status', (d) => { rmSync(join(d, 'migration_status.json')); }, [['migration_status.json', undefined, /^the file is missing/]]);
damage('an empty migration status', (d) => { writeFileSync(join(d, 'migration_status.json'), '{"migrations_by_app":{}}'); }, [['migration_status.json', undefined, /^not the status of migrations/]]);
damage('somebody consented who is not there', (d) => { edit<number[]>(d, 'consented_user_ids.json', (x) => [...x, NOBODY]); }, [
  ['consented_user_ids.json', undefined, 'a user is not in the export (user 424242)'],
], 'zulip-11/local', 'acme-consent');
t.test('somebody has not consented', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'acme-consent', (d) => {
    edit<number[]>(d, 'consented_user_ids.json', (x) => x.filter((id) => id !== 25));
  });
  const errors = await errorsOf(t, directory);
  t.ok(errors.some(({ table, message }) => table === 'zerver_usermessage' && message.startsWith('user_profile points outside')), 'usermessages');
  t.ok(errors.some(({ table, message }) => table === 'zerver_userprofile' && message.startsWith('an active user has not consented')), 'account');
  t.ok(errors.some(({ table, message }) => table === 'zerver_usertopic' && /^a private row of a user who has not consented \(row \d+ of user 25/.test(message)), 'private rows');
});
t.test('another version than the manifest says', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full');
  const path = join(directory, 'manifest.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace('"zulip_version": null', '"zulip_version": "10.4"'));
  matchErrors(t, await errorsOf(t, directory), [['migration_status.json', undefined, /^it is of Zulip 11.0-dev\+git, the manifest is of Zulip 10.4$/]]);
});

// Files that are no JSON, and messages in other ways than ours.
damage('messages that are no JSON', (d) => { writeFileSync(join(d, 'messages-000001.json'), '{"zerver_message": [{"id": 1'); }, [
  ['messages-000001.json', undefined, /^not valid JSON at byte 28$/],
  ['realm.json', 'zerver_reaction', /^message points outside/], ['attachment.json', 'zerver_attachment', /^messages points outside/],
], 'zulip-11/local', 'closed-full');
damage('realm.json that is no JSON', (d) => { appendFileSync(join(d, 'realm.json'), '}'); }, [['realm.json', undefined, /^not valid JSON at byte \d+$/]]);
damage('text that is no UTF-8', (d) => {
  const path = join(d, 'analytics.json');
  writeFileSync(path, Buffer.from(readFileSync(path, 'latin1').replace('"property": "', '"property": "\xff'), 'latin1'));
}, [['analytics.json', undefined, 'not valid UTF-8']]);
damage('a row that is none', realm((x) => { (x.zerver_client as unknown[])[0] = 1; }), [['realm.json', undefined, /^a row that is no object at byte \d+$/]]);
plant('messages that Zulip left unfinished', (d) => { writeFileSync(join(d, 'messages-000002.json.partial'), '{}'); }, [['messages-000002.json.partial', undefined, /^left over from an export that was not finished/]]);
damage('usermessages before their messages are checked all the same', messages((x) => {
  const { zerver_message: m, zerver_usermessage: u } = x;
  delete x.zerver_message;
  first({ u: u! }, 'u').message = NOBODY;
  x.zerver_message = m!;
}), [['messages-000001.json', 'zerver_usermessage', /^message is not in the same file \(row \d+ -> 424242\)$/]]);

t.test('without our manifest, order is no error but repetition is', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'acme-full', (d) => {
    edit(d, 'messages-000001.json', (x) => {
      x.zerver_message!.reverse();
      x.zerver_usermessage!.reverse();
    });
    edit(d, 'realm.json', (x) => { x.zerver_reaction!.reverse(); });
  });
  rmSync(join(directory, 'manifest.json'));
  const good = await verifyExport(directory, { jobs: 1 });
  t.equal(good.totals.errors, 0);
  t.match(good.findings.filter(({ message }) => message.startsWith('rows are not sorted')).map(({ table }) => table), ['zerver_message', 'zerver_usermessage', 'zerver_reaction']);

  edit(directory, 'realm.json', (x) => { x.zerver_reaction!.push({ ...x.zerver_reaction![7] }); });
  edit(directory, 'messages-000001.json', (x) => { x.zerver_usermessage!.push({ ...x.zerver_usermessage![7] }); });
  statistics(directory, 'realm', 'zerver_reaction', 1);
  statistics(directory, 'messages-000001', 'zerver_usermessage', 1);
  matchErrors(t, await errorsOf(t, directory), [
    ['realm.json', 'zerver_reaction', /^an id comes more than once \(row \d+\)$/], ['messages-*.json', 'zerver_usermessage', /^an id comes more than once \(row \d+\)$/],
  ]);
});

t.test('message ids rise from file to file', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'acme-full', (d) => {
    edit(d, 'messages-000001.json', (x) => {
      const of = (rows: Row[], ids: Set<unknown>): Row[] => rows.filter(({ message }) => ids.has(message));
      const halves = [x.zerver_message!.slice(400), x.zerver_message!.slice(0, 400)];
      halves.forEach((zerver_message, i) => {
        const tables = { zerver_message, zerver_usermessage: of(x.zerver_usermessage!, new Set(zerver_message.map(({ id }) => id))) };
        writeFileSync(join(d, `messages-00000${i + 2}.json`), JSON.stringify(tables));
        edit<Record<string, unknown>>(d, 'stats.json', (s) => ({ ...s, [`messages-00000${i + 2}`]: { zerver_message: zerver_message.length, zerver_usermessage: tables.zerver_usermessage.length } }));
      });
      x.zerver_message = [];
      x.zerver_usermessage = [];
    });
    edit<Record<string, unknown>>(d, 'stats.json', (s) => ({ ...s, 'messages-000001': { zerver_message: 0, zerver_usermessage: 0 } }));
  });
  await sign(directory);
  matchErrors(t, await errorsOf(t, directory), [['messages-000003.json', 'zerver_message', /^message ids do not rise from file to file/]]);
});

t.test('all of these at once', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'acme-full', (d) => { for (const [, change] of together) change(d); });
  const errors = await errorsOf(t, directory);
  let left: Finding[] = errors;
  for (const [name, , expected] of together) {
    await t.test(name, (t) => {
      left = matchSome(t, left, expected);
      t.end();
    });
  }
  t.same(left, [], 'and nothing else');
});
