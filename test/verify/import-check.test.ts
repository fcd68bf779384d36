import { cpSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { isValidAddress } from '../../src/arrival/email-address.js';
import { RowValues } from '../../src/arrival/row-values.js';
import { subdomainFault } from '../../src/arrival/subdomain.js';
import { checkImport, verdict, type ImportCheck } from '../../src/arrival/import-check.js';
import { realmState } from '../../src/load/source/realm-state.js';
import { withTableFiles } from '../../src/pipe/opened-tables.js';
import { TableFile } from '../../src/pipe/table-file.js';
import { openReadableExport } from '../../src/pipe/readable-export.js';
import { loadRegistry } from '../../src/plan/views/registry.js';
import { withTarget } from '../../src/remap/target-server.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { realmliftHere as realmlift } from '../cli/command-here.js';
import { withNewServer } from '../pipe/new-server.js';
import { change } from '../testbed/database-client.js';
import { expectedExport } from '../testbed/expected-export.js';
import { sampleExport } from '../pipe/sample-export.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { edit, first, ourExport, sign, type Row, type Tables } from './our-export.js';

const output = t.testdir();
const [acme, user] = await withTestDatabase('zulip-11/local', async (url) => [
  ...await sampleExport(url, { realm: 'acme', output }), ...await sampleExport(url, { realm: 'acme', users: ['owner@acme.example'], mode: 'user', output }),
]) as [string, string];
const zulips = await expectedExport('zulip-11/local', 'acme-full');

type Told = Record<ImportCheck['name'], string>;

async function checks(directory: string, target?: string, subdomain?: string): Promise<Told> {
  const found = await checkImport(directory, { target: target === undefined ? undefined : connectionSettings(target, {}), subdomain, uploadsDir: undefined });
  return Object.fromEntries(found.map(({ name, outcome, what }) => [name, `${outcome}: ${what}`])) as Told;
}

/** What is not good; the announcements of the sample realm are as they are. */
function bad(told: Told): Partial<Told> {
  return Object.fromEntries(Object.entries(told).filter(([name, what]) => name !== 'announcements' && !what.startsWith('good: ')));
}

t.test('without the new server much remains unknown', async (t) => {
  const told = await checks(acme, undefined, 'acme2');
  for (const name of ['manifest', 'rows', 'files', 'kind', 'disk', 'addresses', 'history', 'emoji', 'reactions', 'groups'] as const) t.match(told[name], /^good: /, name);
  for (const name of ['version', 'migrations', 'columns', 'values', 'subdomain', 'realm', 'bots', 'sequences', 'indexes', 'ids', 'unique', 'taken'] as const) t.match(told[name], /^unknown: --target-url /, name);
  t.match(await checks(user), { kind: /^failed: a single user's export/ });
  await t.rejects(checkImport(acme, { target: undefined, subdomain: undefined, uploadsDir: join(output, 'none') }).then((all) => {
    if (all.some(({ name, outcome }) => name === 'disk' && outcome === 'failed')) throw new Error('no such directory');
  }), { message: 'no such directory' });
});

t.test('a new server is good: with system bots, and before the import makes them', (t) => withTestDatabase('zulip-11/new-server', async (target) => {
  for (const directory of [acme, zulips]) t.same(bad(await checks(directory, target, 'roundtrip')), {}, directory);
  const told = await realmlift(['import-check', acme, '--target-url', target, '--subdomain', 'roundtrip']);
  t.match(told, { code: 0, stdout: /\nthe import can start, but read what is said of announcements\n$/ });
  t.match(told.stdout, /\nWARNING announcements +the import may end with an AssertionError and exit code 1 although the realm is whole/);
  await change(target, "DO $$ DECLARE each text; BEGIN FOR each IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'zulip' AND tablename ~ '^(zerver|analytics)_' LOOP EXECUTE 'TRUNCATE zulip.' || each || ' CASCADE'; END LOOP; END $$");
  t.same(bad(await checks(acme, target, 'roundtrip')), {});
  t.match((await checks(acme, target, 'roundtrip')).bots, /^good: a new server without any realm/);
  const remap = await realmlift(['remap', acme, '--output', join(output, 'remapped'), '--target-url', target]);
  t.match(remap, { code: 3, stderr: /TARGET_BOTS .*create_internal_realm/ });
}));

t.test('what the new server would stumble over', (t) => withNewServer(async (target) => {
  await change(target, "UPDATE zerver_realm SET string_id = 'old', uuid = gen_random_uuid() WHERE string_id = 'acme'");
  t.same(bad(await checks(acme, target, 'acme2')), {});
  t.match(await checks(acme, target), { subdomain: /^failed: "acme" is reserved/ });
  t.match(await checks(acme, target, 'globex'), { subdomain: /^failed: "globex" is taken/ });
  await change(target, `
    SET session_replication_role = replica;
    UPDATE zerver_realm SET uuid = (SELECT '312bc420-2971-47fe-bd92-70ed687178fb'::uuid) WHERE string_id = 'old';
    DELETE FROM zerver_userprofile WHERE delivery_email = 'welcome-bot@zulip.com';
    SELECT setval(pg_get_serial_sequence('zerver_stream', 'id'), 2147483645);
    SELECT setval(pg_get_serial_sequence('zerver_realmauditlog', 'id'), 1);
    CREATE UNIQUE INDEX topics_by_case ON zulip.zerver_usertopic (user_profile_id, stream_id, lower(topic_name)) WHERE visibility_policy > 0;
    ALTER TABLE zerver_stream DROP COLUMN can_add_subscribers_group_id CASCADE;
    DELETE FROM django_migrations WHERE app = 'zerver' AND name LIKE '069%'`);
  t.match(await checks(acme, target, 'acme2'), {
    version: /^failed: the export is of Zulip 11\.0-dev\+git, the new server of Zulip 10 /, migrations: /^failed: other migrations .* of zerver/,
    columns: /^failed: the new server's zerver_stream has no can_add_subscribers_group/, subdomain: /^good/,
    realm: /^failed: this realm is on the new server already, as "old"/, sequences: /^failed: the sequences of .*zerver_realmauditlog/,
    bots: /^failed: the new server lacks the system bots welcome-bot@zulip\.com/, ids: /^failed: the ids of zerver_stream would pass 2147483647/,
  });
}));

/** A copy of the sample export, changed and with a manifest that fits. */
async function changed(t: Test, change: (directory: string) => void): Promise<string> {
  const directory = join(t.testdir(), 'changed');
  cpSync(acme, directory, { recursive: true });
  change(directory);
  await sign(directory);
  return directory;
}

/** Gives the second group of direct messages the subscribers of the first. */
function sameGroup(tables: Tables): void {
  const subscriptions = tables['zerver_subscription'] ?? [];
  const [one, other] = (tables['zerver_recipient'] ?? []).filter((row) => row['type'] === 3).map((row) => row['id']);
  const users = subscriptions.filter((row) => row['recipient'] === one).map((row) => row['user_profile']);
  const rows = subscriptions.filter((row) => row['recipient'] === other);
  rows.forEach((row, at) => { row['user_profile'] = users[at % users.length]; });
  const template = rows[0] as Row;
  users.slice(rows.length).forEach((id, at) => subscriptions.push({ ...template, id: 900_000 + at, user_profile: id }));
}

t.test('rows over which the import stumbles', (t) => withTestDatabase('zulip-11/new-server', async (target) => {
  const directory = await changed(t, (copy) => {
    edit(copy, 'messages-000001.json', (tables) => { first(tables, 'zerver_message')['edit_history'] = JSON.stringify([{ user_id: 999_999, timestamp: 1 }]); });
    edit(copy, 'realm.json', (tables) => {
      first(tables, 'zerver_userprofile')['delivery_email'] = '';
      first(tables, 'zerver_realmemoji')['author'] = null;
      for (const row of tables['zerver_userprofile'] ?? []) if (row['role'] === 100) row['is_active'] = false;
      first(tables, 'zerver_reaction', (row) => row['reaction_type'] === 'realm_emoji')['emoji_name'] = 'renamed';
      const [one, other] = tables['zerver_stream'] as [Row, Row];
      other['name'] = String(one['name']).toUpperCase();
      sameGroup(tables);
    });
    truncateSync(join(copy, 'migration_status.json'), 1000);
  });
  const told = await checks(directory, target, 'roundtrip');
  t.match(told.migrations, /^failed: migration_status\.json is not the status of migrations/);
  for (const name of ['addresses', 'emoji', 'reactions', 'history', 'unique', 'groups'] as const) t.match(told[name], /^failed: zerver_\w+ \d+/, name);
  t.match(told.unique, /zerver_stream \d+, \d+: they have the same .*upper/);
  const known = await changed(t, (directory) => {
    edit(directory, 'realm.json', (tables) => { tables['zerver_realmauditlog']?.push({ ...first(tables, 'zerver_realmauditlog'), id: 1_000_000, event_type: 206 }); });
  });
  t.match(await checks(known, target, 'roundtrip'), { announcements: /^good/ }, 'a realm that was exported before');
}));

t.test('moments that differ by a microsecond', (t) => withTestDatabase('zulip-11/new-server', async (target) => {
  await change(target, "CREATE UNIQUE INDEX by_moment ON zulip.zerver_realmauditlog ((event_time AT TIME ZONE 'UTC')) WHERE event_type = 9999");
  const times = [1_700_000_000.123456, 1_700_000_000.123457];
  const directory = await changed(t, (copy) => edit(copy, 'realm.json', (tables) => {
    const row = first(tables, 'zerver_realmauditlog');
    tables['zerver_realmauditlog']?.push(...times.map((time, at) => ({ ...row, id: 900_000 + at, event_type: 9999, event_time: time })));
    first(tables, 'zerver_realm')['scheduled_deletion_date'] = times[0];
  }));
  t.match(await checks(directory, target, 'roundtrip'), { unique: /^good/ });
  const source = await openReadableExport(directory);
  t.equal(await withTableFiles((open) => realmState(open(source), 2).scheduledDeletion), '2023-11-14T22:13:20.123456+00');
}));

t.test('values that no column takes', (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const registry = loadRegistry();
  const file = join(t.testdir(), 'realm.json');
  const rows = Object.assign({}, ...['realm.json', 'messages-000001.json'].map((name) => JSON.parse(readFileSync(join(acme, name), 'utf8')) as Tables)) as Tables;
  await withTarget(connectionSettings(url, {}), registry, async (client, target) => {
    const fault = async (table: string, key: string, ...values: readonly string[]): Promise<string | undefined> => {
      const members = Object.entries(first(rows, table)).filter(([name]) => name !== key).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
      writeFileSync(file, `{"${table}":[${values.map((value) => `{${[...members, `"${key}":${value}`].join()}}`).join()}]}`);
      const opened = TableFile.open(file, { path: 'realm.json', size: statSync(file).size });
      const looked = await RowValues.create(client, target, registry);
      looked.look(opened);
      opened.close();
      return looked.fault;
    };
    for (const [table, key, what, bad, good] of [
      ['zerver_realm', 'digest_weekday', 'is not written as a whole number', ['1.0', '1e3', '-0.5'], ['1', '-1', '32767', '-32768']],
      ['zerver_recipient', 'type_id', 'is beyond 2147483647, where its column ends', ['2147483648', '99999999999999999999'], ['2147483647', '-2147483648']],
      ['zerver_recipient', 'type_id', 'is below -2147483648, where its column begins', ['-2147483649'], []],
      ['zerver_recipient', 'type', 'is below 0, where its column begins', ['-1'], ['0']],
      ['zerver_realm', 'digest_weekday', 'is no number', ['"1"', 'true', '{}'], []],
      ['zerver_realm', 'digest_weekday', 'is null and may not be', ['null'], []],
      ['zerver_recipient', 'type', 'is beyond 32767, where its column ends', ['32768'], ['32767']],
      ['zerver_realmauditlog', 'id', 'is beyond 9223372036854775807, where its column ends', ['9223372036854775808'], []],
      ['zerver_realm', 'deactivated', 'is neither true nor false', ['"true"', '1', '[]'], ['true', 'false']],
      ['zerver_realm', 'string_id', 'is longer than 40 characters', [`"${'ä'.repeat(41)}"`, `"${'😀'.repeat(41)}"`], [`"${'😀'.repeat(40)}"`, `"${'\\u00e4'.repeat(40)}"`]],
      ['zerver_realm', 'string_id', 'is no text', ['[]', '{"a":1}'], ['""']],
      ['zerver_realm', 'description', 'holds a character that PostgreSQL cannot store (U+0000 or half a surrogate pair)', ['"a\\u0000"', '"\\ud83d"', '"\\ud83d\\n"', '"\\ude00\\ud83d"', '"\\ud83d\\ud83d\\ude00"'], ['"\\\\u0000"', '"\\ud83d\\ude00\\u0041"']],
      ['zerver_realmauditlog', 'extra_data', 'holds a character that PostgreSQL cannot store (U+0000 or half a surrogate pair)', ['{"a":["\\u0000"]}', '{"\\u0000":1}'], ['{}', '[1.5]']],
      ['zerver_realm', 'date_created', 'is no moment', ['"x"', '"2020-02-31T00:00:00Z"', 'true', '1e300', '253402300800', '-62135596801'], ['1.5', '"2020-02-29T00:00:00Z"', '-1']],
      ['zerver_message', 'search_tsvector', 'is no tsvector', ['5', '"a"', `"'a"`, `"'a' b"`, `"'a':"`, `"'a':0"`, `"'a':1,"`, `"'a':1  'b'"`, `"'a' "`, `"'a'b'"`, `"'a\\\\'"`],
        ['""', 'null', `"'a'"`, `"'a':1A,16383 'b''c':2B 'd\\\\\\\\e' '\\"\\n' 'ü':3"`]],
      ['zerver_realm', 'uuid', 'is no UUID', ['"x"', '5', '""'], ['"312bc420-2971-47fe-bd92-70ed687178fb"']],
    ] as const) {
      const row = key === 'id' ? '(row 1 of realm.json)' : String(first(rows, table)['id']);
      for (const value of bad) t.equal(await fault(table, key, value), `${table} ${row}: its ${key} ${what}`, value);
      if (good.length > 0) t.equal(await fault(table, key, ...good), undefined, `${table}.${key} takes ${good.join()}`);
    }
    t.match(await fault('zerver_realm', 'digest_weekday', '1', '2,"unheard":3'), /^zerver_realm \d+: it has the key unheard, which the first row of the table has not$/);
    t.match(await fault('zerver_realm', 'digest_weekday', '1', '2,"digest_weekday":3'), /^zerver_realm \d+: it has a key twice$/);
  });
}));

t.test('addresses that differ by case, among users and dummies', (t) => withTestDatabase('zulip-11/new-server', async (target) => {
  const directory = await changed(t, (copy) => edit(copy, 'realm.json', (tables) => {
    first(tables, 'zerver_userprofile_mirrordummy')['delivery_email'] = String(first(tables, 'zerver_userprofile')['delivery_email']).toUpperCase();
  }));
  t.match(await checks(directory, target, 'roundtrip'), { unique: /^failed: zerver_userprofile \d+, \d+: they have the same .*upper.*delivery_email/ });
}));

t.test('values that the new server allows once and has already', (t) => withTestDatabase('zulip-11/new-server', async (target) => {
  const uuid = '11111111-2222-4333-8444-555555555555';
  let user: Row = {};
  const directory = await changed(t, (copy) => edit(copy, 'realm.json', (tables) => { user = first(tables, 'zerver_userprofile'); }));
  const address = String(user['delivery_email']).toUpperCase();
  // A stranger's row, in another realm: the index of a realm's addresses lets both be.
  await change(target, `UPDATE zulip.zerver_userprofile SET delivery_email = '${address}', uuid = '${uuid}' WHERE id = (SELECT min(id) FROM zulip.zerver_userprofile WHERE delivery_email NOT IN ('welcome-bot@zulip.com', 'notification-bot@zulip.com', 'emailgateway@zulip.com'))`);
  t.same(bad(await checks(directory, target, 'roundtrip')), {}, 'unique within the realm alone');
  await change(target, 'CREATE UNIQUE INDEX once ON zulip.zerver_userprofile (lower(delivery_email)) WHERE realm_id IS NOT NULL');
  t.match(bad(await checks(directory, target, 'roundtrip')), { unique: undefined, taken: new RegExp(`^failed: zerver_userprofile ${String(user['id'])}: the new server has a row with the same lower.* its index once forbids`) });
  await change(target, 'DROP INDEX zulip.once');
  edit(directory, 'realm.json', (tables) => { tables['zerver_userprofile']?.forEach((row, at) => { row['uuid'] = row['id'] === user['id'] ? uuid : `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`; }); });
  await sign(directory);
  t.match((await checks(directory, target, 'roundtrip')).taken, new RegExp(`^failed: zerver_userprofile ${String(user['id'])}: .* same uuid already`));
}));

t.test('an attachment that lists a message twice', async (t) => {
  let id: unknown;
  const directory = await changed(t, (copy) => edit(copy, 'attachment.json', (tables) => {
    const row = first(tables, 'zerver_attachment', ({ messages }) => (messages as number[]).length > 0);
    const messages = row['messages'] as number[];
    id = row['id'];
    messages.push(messages[0] as number);
  }));
  t.equal((await checks(directory)).unique, `failed: zerver_attachment ${String(id)}: its list of messages names one twice`);
});

t.test('edits by unknown users, as each version has them', async (t) => {
  for (const [version, edits, fault] of [
    ['4.11', { user_id: 999_999, prev_subject: 'a', timestamp: 1 }, /the import leaves the id/], ['8.4', { user_id: 999_999, prev_topic: 'a', topic: 'b', timestamp: 1 }, /the import leaves the id/],
    ['11.0', { user_id: 999_999, prev_content: 'a', timestamp: 1 }, /whom the export does not have$/],
    // Before March 2017 nobody noted who it was.
    ['4.11', { prev_subject: 'a', timestamp: 1 }, undefined], ['8.4', { user_id: null, prev_topic: 'a', timestamp: 1 }, undefined], ['9.4', { user_id: null, prev_topic: 'a', timestamp: 1 }, /whom the export does not have$/],
  ] as const) {
    const directory = await ourExport(t, 'zulip-4/local', 'acme-full', (copy) => edit(copy, 'messages-000001.json', (tables) => { first(tables, 'zerver_message')['edit_history'] = JSON.stringify([edits]); }));
    await sign(directory, { zulip_version: version });
    t.match((await checks(directory)).history, fault === undefined ? /^good/ : fault, `${version} ${JSON.stringify(edits)}`);
  }
});

t.test('what is damaged or packed is said to be', async (t) => {
  const [upload] = readdirSync(join(acme, 'uploads'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name !== 'records.json');
  const copy = await changed(t, () => undefined);
  writeFileSync(join((upload?.parentPath ?? '').replace(acme, copy), upload?.name ?? ''), 'other');
  const damaged = await realmlift(['import-check', copy]);
  t.match(damaged, { code: 1, stderr: '', stdout: /^FAILED +manifest +uploads\/.* another size\n/ });
  t.match(damaged.stdout, /\nFAILED +files +uploads\/.*\n- +kind +the export is damaged.*\ndo not start the import: 2 of 4 checks failed \(manifest, files\)\n$/);
  const packed = join(t.testdir(), 'acme.tar.gz');
  writeFileSync(packed, Buffer.from([0x1f, 0x8b, 8, 0]));
  for (const command of ['verify', 'pipe', 'import-check']) {
    t.match(await realmlift([command, packed]), { code: 2, stderr: /EXPORT_PACKED .*tar -xf \S+acme\.tar\.gz -C \S+ makes \S+\/acme: name that/ }, command);
  }
});

t.test('subdomains as Zulip takes them', (t) => {
  for (const [subdomain, why] of Object.entries({ ab: 'shorter', Acme: 'other characters', '-acme2': 'begins or ends', 'acme2-': 'begins or ends', ['a'.repeat(41)]: 'longer', bots: 'reserved', bot: 'reserved', ac_me: 'other characters' })) {
    t.match(subdomainFault(subdomain, false), why, subdomain);
  }
  for (const subdomain of ['acme2', '', 'a-b', 'a'.repeat(40)]) t.equal(subdomainFault(subdomain, false), undefined, subdomain);
  t.equal(subdomainFault('bots', true), undefined, 'a reserved one that is allowed');
  t.end();
});

t.test('addresses as Django takes them', (t) => {
  for (const address of ['a@b.example', 'A.b+c@localhost', '"a.\\ b"@b.example', 'user@[127.0.0.1]', 'a@bücher.example', "o'neil@x.example"]) t.ok(isValidAddress(address), address);
  for (const address of ['', 'a', 'a@', '@b.example', 'a b@b.example', 'a@b', 'a.@b.example', 'a@-b.example', 'a@b.example-', `a@${'b.'.repeat(160)}example`, 'ä@b.example', 'a@b.example\n']) t.notOk(isValidAddress(address), address);
  t.end();
});

t.test('the verdict', (t) => {
  t.match(verdict([{ name: 'rows', outcome: 'good', what: '' }]), { good: true, line: 'the import can start: nothing speaks against it' });
  t.match(verdict([{ name: 'rows', outcome: 'good', what: '' }, { name: 'ids', outcome: 'unknown', what: '' }]), { good: true, line: 'nothing speaks against the import so far; not known yet: ids' });
  t.end();
});
