/** An export of the sample server, remapped onto a second one. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import t from 'tap';
import { SIDE_FILES } from '../../src/package/side-files.js';
import { takeOutputDirectory } from '../../src/package/output-directory.js';
import { journalPath } from '../../src/package/journal.js';
import { loadRegistry } from '../../src/plan/views/registry.js';
import { RecordedMaps } from '../../src/remap/recorded-maps.js';
import { remapExport } from '../../src/remap/remap-export.js';
import type { RemapRequest } from '../../src/remap/remap-request.js';
import { remapDirectory } from '../../src/commands/remap.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { MOVED, withNewServer } from '../pipe/new-server.js';
import { change, withClient } from '../testbed/database-client.js';
import { sampleExport } from '../pipe/sample-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';

type Row = Record<string, unknown> & { id: number; name: string };
type Tables = Record<string, Row[]>;

const salt = AVATAR_SALT['zulip-11/local'];
const NOTHING: RemapRequest = { all: false, target: undefined, idMap: undefined, idBase: undefined, realmName: undefined, subdomain: undefined, salt };
const output = t.testdir();
const fresh = (): string => join(mkdtempSync(join(output, 'remap-')), 'acme');
const acme = await withTestDatabase('zulip-11/local', async (url) => (await sampleExport(url, { realm: 'acme', output: join(output, 'source') }))[0] as string);
const old = await withTestDatabase('zulip-8/local', async (url) => (await sampleExport(url, { realm: 'acme', output: join(output, 'old'), dataset: 'zulip-8/local' }))[0] as string);

function tablesOf(directory: string): Tables {
  const files = readdirSync(directory).filter((name) => /^(realm|attachment|messages-\d+)\.json$/.test(name));
  return Object.assign({}, ...files.map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Tables)) as Tables;
}

/** All files but those that speak of the run. */
function data(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && !SIDE_FILES.has(entry.name)).map((entry) => join(entry.parentPath, entry.name)).sort();
  const told = files.map((file) => [relative(directory, file), createHash('sha256').update(readFileSync(file)).digest('hex')] as const);
  return Object.fromEntries(told.filter(([path]) => !/^(manifest|report|id_maps)\.json$/.test(path)));
}

t.test('onto a second server', (t) => withNewServer(async (url) => {
  const target = connectionSettings(url, {});

  await t.test('every id is above those of the new server, dense and in order, and the way back gives the export to the byte', async (t) => {
    const there = fresh();
    const { header, highest } = await remapDirectory(acme, there, { ...NOTHING, all: true, target, realmName: 'Acme "2"', subdomain: 'acme2' }, true);
    t.match(header, { realm: 'acme2', options: { remapped: [{ ids: 'all', bots: true, clients: true, was: 'acme' }] } });
    const [before, after] = [tablesOf(acme), tablesOf(there)];
    t.match(after.zerver_realm, [{ name: 'Acme "2"', string_id: 'acme2' }]);
    t.same(after.zerver_message?.map(({ id }) => id), before.zerver_message?.map((_, index) => MOVED.messages + 1 + index), 'the sequence counts, not the rows');
    for (const table of ['zerver_stream', 'zerver_reaction', 'zerver_userprofile']) t.ok(Math.min(...(after[table] as Row[]).map(({ id }) => id)) > Math.max(...(before[table] as Row[]).map(({ id }) => id)), table);
    t.equal(highest.get('zerver_message'), MOVED.messages + (before.zerver_message?.length ?? 0));
    const maps = JSON.parse(readFileSync(join(there, 'id_maps.json'), 'utf8')) as Record<string, Record<string, number>>;
    t.same(Object.values(maps.zerver_usermessage ?? {}), after.zerver_usermessage?.map(({ id }) => id).sort((a, b) => a - b));
    const mobile = before.zerver_client?.find(({ name }) => name === 'ZulipMobile') as Row;
    t.equal(maps.zerver_client?.[mobile.id], mobile.id + MOVED.client, 'a client is that of the name');
    const website = after.zerver_client?.find(({ name }) => name === 'website') as Row;
    t.notOk(after.zerver_client?.some((row) => row !== website && row.id >= website.id), 'and one that the new server does not have comes above all');

    const back = fresh();
    await remapExport(there, back, {
      assignment: { bots: undefined, clients: undefined, nextClient: undefined, all: undefined }, recorded: new RecordedMaps(join(there, 'id_maps.json'), true),
      registry: loadRegistry(), catalog: undefined, salt, realmName: String(before.zerver_realm?.[0]?.name), subdomain: 'acme', files: 'copy',
    });
    t.same(data(back), data(acme));
  });

  await t.test('bots and clients alone: the same by map and by database, and wherever they stand', async (t) => {
    const [byDatabase, byMap] = [fresh(), fresh()];
    await change(url, "INSERT INTO zerver_client (id, name) OVERRIDING SYSTEM VALUE VALUES (999, 'website')");
    await remapDirectory(acme, byDatabase, { ...NOTHING, target }, true);
    const before = tablesOf(acme);
    const idMap = join(output, 'ids.json');
    writeFileSync(idMap, JSON.stringify({
      bots: Object.fromEntries((before.zerver_userprofile_crossrealm as Row[]).map((bot) => [String(bot.email), { user: bot.id + MOVED.bot, recipient: bot.recipient_id as number + MOVED.recipient }])),
      clients: Object.fromEntries((before.zerver_client as Row[]).map(({ id, name }) => [name, name === 'website' ? 999 : id + MOVED.client])),
    }));
    await remapDirectory(acme, byMap, { ...NOTHING, idMap }, true);
    t.same(data(byMap), data(byDatabase));
    const after = tablesOf(byMap);
    const bots = new Map((before.zerver_userprofile_crossrealm as Row[]).map(({ id }) => [id, id + MOVED.bot]));
    let sent = 0;
    for (const [index, { sender, sending_client: client, id }] of (before.zerver_message as Row[]).entries()) {
      const row = after.zerver_message?.[index] as Row;
      const to = bots.get(sender as number);
      if (to !== undefined) sent++;
      if (row.id !== id || row.sender !== (to ?? sender)) t.fail(`sender of message ${id}`);
      const name = before.zerver_client?.find((each) => each.id === client)?.name;
      if (row.sending_client !== after.zerver_client?.find((each) => each.name === name)?.id) t.fail(`client of message ${id}`);
    }
    t.ok(sent > 0, `${sent} messages of system bots`);
    t.same(after.zerver_userprofile, before.zerver_userprofile);
    t.same(after.zerver_usermessage, before.zerver_usermessage);
  });

  await t.test('what cannot be is refused, and nothing is at the output path', async (t) => {
    const refused = async (input: string, request: Partial<RemapRequest>): Promise<unknown> => {
      const there = fresh();
      const error = await remapDirectory(input, there, { ...NOTHING, all: true, ...request }, true).then(() => undefined, (each: unknown) => each);
      t.notOk(existsSync(there) || existsSync(`${there}.partial`));
      return error;
    };
    const changed = (file: string, from: string, to: string): string => {
      const directory = fresh();
      cpSync(acme, directory, { recursive: true });
      writeFileSync(join(directory, file), readFileSync(join(directory, file), 'utf8').replace(from, to));
      return directory;
    };
    const idMap = (content: object): string => {
      const file = join(mkdtempSync(join(output, 'map-')), 'ids.json');
      writeFileSync(file, JSON.stringify(content));
      return file;
    };
    t.match(await refused(acme, {}), { code: 'ID_BASE_MISSING', exit: 2 });
    t.match(await refused(acme, { all: false, idBase: 5 }), { code: 'USAGE', exit: 2 });
    t.match(await refused(acme, { target, idMap: 'x' }), { code: 'USAGE', exit: 2 });
    t.match(await refused(acme, { idBase: 5000, subdomain: 'Ac me' }), { code: 'USAGE', exit: 2 });
    t.match(await refused(acme, { idBase: 5000, realmName: 'x'.repeat(41) }), { code: 'USAGE', exit: 2 });
    t.match(await refused(acme, { idBase: 2 ** 31 - 100 }), { code: 'ID_RANGE', table: /^zerver_/, message: /ends at 2147483647/ });
    t.match(await refused(acme, { idBase: 0 }), { code: 'ID_COLLISION' });
    t.match(await refused(acme, { idBase: 5000, idMap: idMap({ bots: {}, clients: {} }) }), { code: 'ID_MAP', message: /no ids for system bots/ });
    t.match(await refused(old, { target }), { code: 'TARGET_VERSION', exit: 3 });
    t.match(await refused(changed('messages-000001.json', '"content":"', '"content":"!'), { target }), { code: 'EXPORT_CHANGED' });
    t.match(await refused(changed('realm.json', '"acme"', '"acne"'), { target }), { code: 'EXPORT_CHANGED', message: /realm\.json/ });
    t.match(await refused(changed('uploads/records.json', '"size":', '"size":1'), { target }), { code: 'EXPORT_CHANGED', message: /uploads\/records\.json/ });
    t.match(await refused(output, { target }), { code: 'NOT_AN_EXPORT', exit: 2 });
    t.match(await refused(acme, { target: connectionSettings(`${url}_none`, {}) }), { code: 'DATABASE_UNKNOWN', message: /^the new server: no such database/, hint: /--target-url/ });
    t.match(await refused(acme, { target: connectionSettings(url.replace(/\/[^/]*$/, '/postgres'), {}) }), { code: 'NOT_ZULIP', hint: /--target-url/ });
    await change(url, 'ALTER TABLE zerver_stream RENAME can_add_subscribers_group_id TO can_add_group_id');
    t.match(await refused(acme, { target }), { code: 'TARGET_VERSION', message: /zerver_stream has no can_add_subscribers_group/ });
    await change(url, "ALTER TABLE zerver_stream RENAME can_add_group_id TO can_add_subscribers_group_id; UPDATE django_migrations SET name = '0697_another' WHERE name LIKE '0697%'");
    t.match(await refused(acme, { target }), { code: 'TARGET_VERSION', message: /other migrations .* of zerver/ });
    const role = `reader_${process.pid}`;
    await change(url, `CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA zulip TO ${role}`);
    const reader = new URL(url);
    [reader.username, reader.password] = [role, 'x'];
    t.match(await refused(acme, { target: connectionSettings(reader.href, {}) }), { code: 'RIGHT_MISSING' });
    await change(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
}));

t.test('a hidden address stays as it was where another has the new one: of a user who really has it, or whose own stays', async (t) => {
  const { directory, first } = await withTestDatabase('zulip-11/local', async (url) => {
    const { rows: users } = await withClient(url, (client) => client.query<{ id: number }>("SELECT id FROM zulip.zerver_userprofile WHERE realm_id = (SELECT id FROM zulip.zerver_realm WHERE string_id = 'acme') ORDER BY id"));
    const [first, last] = [users[0]?.id ?? 0, users.at(-1)?.id ?? 0];
    await change(url, `
      UPDATE zerver_userprofile SET email = 'person' || id || '@acme.example', delivery_email = 'person' || id || '@acme.example' WHERE id BETWEEN ${first} AND ${last};
      UPDATE zerver_userprofile SET email = 'user' || id || '@acme.zulip.example' WHERE id BETWEEN ${first} AND ${first + 3} OR id = ${first + 6};
      UPDATE zerver_userprofile SET email = 'User${first + 4}@acme.zulip.example', delivery_email = email WHERE id = ${last}`);
    return { first, directory: (await sampleExport(url, { realm: 'acme', output: join(output, 'hidden') }))[0] as string };
  });
  const there = fresh();
  // Each gets the id of the next.
  await remapDirectory(directory, there, { ...NOTHING, all: true, idBase: first }, true);
  const emails = tablesOf(there).zerver_userprofile?.map(({ email }) => String(email)) ?? [];
  t.equal(new Set(emails.map((email) => email.toLowerCase())).size, emails.length);
  t.same(emails.filter((email) => email.startsWith('user')), [0, 1, 2, 3, 7].map((n) => `user${first + n}@acme.zulip.example`));
});

t.test('what a killed remapping left is begun again, and an unfinished export is not touched', async (t) => {
  const there = fresh();
  const killed = takeOutputDirectory(join(there, '..'), 'acme', 'remove');
  writeFileSync(join(killed.partial, 'realm.json'), '{');
  writeFileSync(join(killed.run, 'ids-0'), 'x');
  killed.release();
  await remapDirectory(acme, there, { ...NOTHING, all: true, idBase: 5000 }, false);
  t.notOk(existsSync(`${there}.partial`));

  const other = fresh();
  const unfinished = takeOutputDirectory(join(other, '..'), 'acme', 'refuse');
  writeFileSync(journalPath(unfinished.run), '');
  unfinished.release();
  await t.rejects(remapDirectory(acme, other, { ...NOTHING, all: true, idBase: 5000 }, false), { code: 'OUTPUT_RESUMABLE', hint: /export --resume/ });
  t.ok(existsSync(journalPath(unfinished.run)));
});
