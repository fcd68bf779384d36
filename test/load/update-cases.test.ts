/** Updates of a loaded realm: files, kills, what is refused, and what a server does of itself. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { realmlift } from '../cli/command-line.js';
import { exportFrom, only } from '../export/test-source.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { avatarHash } from '../../src/plan/avatar-hash.js';
import { change, withClient } from '../testbed/database-client.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT, NEW_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { digests, emptyUploads, filesBelow, load, SERVER_JOBS, update } from './new-server.js';
import { differingLoads } from './same-realm.js';

const output = t.testdir();
const uploadsDir = join(output, 'uploads');
cpSync(await uploadsDirectory('zulip-11/local'), uploadsDir, { recursive: true });

const { first, second, other, older } = await withTestDatabase('zulip-11/local', async (url) => {
  const exported = async (name: string, realm = 'acme'): Promise<string> => only(await exportFrom({ dataset: 'zulip-11/local', url, openStore: () => openLocalStore({ uploadsDir }) }, join(output, name), [realm], { verify: false, force: true })).directory;
  // Somebody is idle, and lacks messages of channels.
  await change(url, `
    CREATE SCHEMA aside; SET session_replication_role = replica;
    UPDATE zerver_userprofile SET long_term_idle = true WHERE id = (SELECT um.user_profile_id FROM zerver_usermessage um JOIN zerver_userprofile u ON u.id = um.user_profile_id WHERE u.realm_id = 2 AND NOT u.is_bot GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1);
    CREATE TABLE aside.missed AS SELECT um.* FROM zerver_usermessage um JOIN zerver_userprofile u ON u.id = um.user_profile_id JOIN zerver_message m ON m.id = um.message_id WHERE u.long_term_idle AND u.realm_id = 2 AND m.is_channel_message ORDER BY um.id DESC LIMIT 20;
    DELETE FROM zerver_usermessage WHERE id IN (SELECT id FROM aside.missed)`);
  const [older, first, other] = [await exported('older'), await exported('first'), await exported('other', 'tiny')];
  // The old server's jobs do what those of the new one do.
  await change(url, ...SERVER_JOBS.filter((job) => job.startsWith('INSERT INTO zerver_usermessage')), `
    CREATE TEMP TABLE gone AS SELECT id FROM zerver_attachment WHERE realm_id = 2 ORDER BY id LIMIT 1;
    DELETE FROM zerver_attachment_messages WHERE attachment_id IN (SELECT id FROM gone); DELETE FROM zerver_attachment_scheduled_messages WHERE attachment_id IN (SELECT id FROM gone); DELETE FROM zerver_imageattachment WHERE path_id IN (SELECT path_id FROM zerver_attachment WHERE id IN (SELECT id FROM gone));
    DELETE FROM zerver_attachment WHERE id IN (SELECT id FROM gone);
    INSERT INTO zerver_attachment SELECT r.* FROM (SELECT a FROM zerver_attachment a WHERE realm_id = 2 AND content_type LIKE 'image/%' ORDER BY id LIMIT 1) AS old,
      LATERAL jsonb_populate_record(old.a, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_attachment), 'path_id', '2/ab/new/picture.png', 'file_name', 'picture.png', 'content_type', 'image/png')) AS r;
    INSERT INTO zerver_attachment_messages (attachment_id, message_id) SELECT max(id), (SELECT max(id) FROM zerver_message WHERE realm_id = 2) FROM zerver_attachment;
    UPDATE zerver_realm SET icon_source = 'U', icon_version = icon_version + 1, deactivated = true WHERE id = 2;
    UPDATE zerver_userprofile SET full_name = 'Zed', last_login = now() WHERE id = (SELECT min(id) FROM zerver_userprofile WHERE realm_id = 2 AND NOT is_bot);
    INSERT INTO analytics_realmcount (realm_id, property, end_time, value) VALUES (2, 'the day between', '2030-01-02 00:00+00', 5)`);
  await withClient(url, async (client) => {
    const { rows: [user] } = await client.query<{ id: number; version: number }>("UPDATE zulip.zerver_userprofile SET avatar_version = avatar_version + 1 WHERE id = (SELECT min(id) FROM zulip.zerver_userprofile WHERE realm_id = 2 AND avatar_source = 'U') RETURNING id, avatar_version AS version");
    const hash = (avatarVersion: number): string => join(uploadsDir, 'avatars/2', avatarHash({ userId: Number(user?.id), avatarVersion, email: '' }, AVATAR_SALT['zulip-11/local'], 697));
    for (const end of ['.original', '.png', '-medium.png']) renameSync(`${hash(Number(user?.version) - 1)}${end}`, `${hash(Number(user?.version))}${end}`);
    const picture = readdirSync(join(uploadsDir, 'avatars/2/realm')).find((name) => name.startsWith('icon')) ?? '';
    cpSync(`${hash(Number(user?.version))}.png`, join(uploadsDir, 'avatars/2/realm', picture));
    cpSync(`${hash(Number(user?.version))}.png`, join(uploadsDir, 'files/2/ab/new/picture.png'), { recursive: true });
  });
  return { older, first, other, second: await exported('second') };
});

/** Tables of messages, those that others refer to first. */
const MESSAGE_TABLES = ['zerver_message', 'zerver_usermessage', 'zerver_reaction', 'zerver_submessage', 'zerver_attachment_messages'] as const;

function keyOf(table: (typeof MESSAGE_TABLES)[number]): string {
  return table === 'zerver_message' ? 'id' : 'message_id';
}

/** An update in a process of its own that is killed as soon as the query has a row, or that ends. */
async function killedUpdate(url: string, uploads: string, when: string): Promise<void> {
  await realmlift(['load', '--update', second, '--target-url', url, '--subdomain', 'acme', '--uploads-dir', uploads], {
    env: { ZULIP_AVATAR_SALT: NEW_SALT },
    meanwhile: (child) => withClient(url, async (client) => {
      while (child.exitCode === null && (await client.query(when)).rowCount === 0) await sleep(2);
      child.kill('SIGKILL');
    }),
  });
  // Its session may still be about to end.
  await withClient(url, (client) => client.query("SELECT pg_advisory_lock(0, hashtext('acme'))"));
}

t.test('files come, go and are replaced, killed at any moment', async (t) => withTestDatabase('zulip-11/new-server', async (url) => withTestDatabase('zulip-11/new-server', async (fresh) => {
  const [uploads, freshUploads] = [emptyUploads(), emptyUploads()];
  await t.rejects(update(second, url, uploads), { code: 'UPDATE_UNKNOWN', exit: 3, message: /nothing is known of a load of acme/ });
  await load(first, url, uploads);
  await load(second, fresh, freshUploads);
  await change(url, ...SERVER_JOBS);

  await t.test('what does not fit is refused, and nothing changes', async (t) => {
    const before = await digests(url);
    await t.rejects(update(other, url, uploads), { code: 'UPDATE_OF_ANOTHER', exit: 3, message: /not of the same realm/ });
    await t.rejects(update(older, url, uploads), { code: 'UPDATE_OF_ANOTHER', exit: 3, message: /older than/ });
    await t.rejects(update(second, url, uploads, { base: older }), { code: 'UPDATE_BASE', exit: 3, message: /is not the export that acme was loaded from/ });
    const remapped = join(output, 'remapped');
    cpSync(second, remapped, { recursive: true });
    writeFileSync(join(remapped, 'manifest.json'), readFileSync(join(second, 'manifest.json'), 'utf8').replace('"options": {', '"options": {"remapped": [{"ids": "all", "bots": true, "clients": true}],'));
    await t.rejects(update(remapped, url, uploads), { code: 'UPDATE_OF_ANOTHER', exit: 3, message: /has new ids for all rows/, hint: /a load gives new ids by itself/ });
    const damaged = join(output, 'damaged');
    cpSync(second, damaged, { recursive: true });
    truncateSync(join(damaged, 'manifest.json'), 3000);
    await t.rejects(update(damaged, url, uploads), { code: 'MANIFEST_DAMAGED', exit: 3 });
    await t.rejects(update(second, url, emptyUploads()), { code: 'LOAD_OF_ANOTHER', message: /the files of this load went to/ });
    await t.rejects(update(join(output, 'nowhere'), url, uploads), { code: 'NOT_AN_EXPORT' });
    const noFile = join(output, 'no-file');
    mkdirSync(join(noFile, 'manifest.json'), { recursive: true });
    await t.rejects(update(noFile, url, uploads), { code: 'NOT_AN_EXPORT' });
    await t.rejects(update(second, url, uploads, { base: noFile }), { code: 'UPDATE_BASE' });
    await change(url, "INSERT INTO django_migrations (app, name, applied) VALUES ('zerver', '9999_meanwhile', now())");
    await t.rejects(update(second, url, uploads), { code: 'TARGET_MIGRATED', exit: 3 });
    await change(url, "DELETE FROM django_migrations WHERE name = '9999_meanwhile'");
    await t.rejects(update(second, url, uploads, { subdomain: 'globex' }), { code: 'UPDATE_UNKNOWN' });
    renameSync(first, `${first}-moved`);
    await t.rejects(update(second, url, uploads), { code: 'UPDATE_BASE', message: /was loaded from is not in/, hint: /--base/ });
    t.match(await update(second, url, uploads, { base: `${first}-moved`, dryRun: true }), { differed: true, added: 0 });
    renameSync(`${first}-moved`, first);
    t.match(await update(first, url, uploads), { differed: false });
    t.same(await digests(url), before);
  });

  const before = await digests(url);
  const files = filesBelow(uploads);
  for (const [moment, when] of Object.entries({
    'the transaction has begun': "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'realmlift load' AND backend_xid IS NOT NULL",
    'files are copied': "SELECT FROM realmlift_loaded_acme.file WHERE kind = 'coming'",
    'old files are to be removed': "SELECT FROM realmlift_loaded_acme.file WHERE kind = 'going'",
  })) {
    await killedUpdate(url, uploads, when);
    const { rows: [state] } = await withClient(url, (client) => client.query<{ updated: boolean }>("SELECT EXISTS (SELECT FROM zulip.zerver_userprofile WHERE full_name = 'Zed') AS updated"));
    t.comment(`killed when ${moment}: ${state?.updated === true ? 'the new state' : 'the old state'}`);
    if (state?.updated === false) {
      t.same(await digests(url), before, 'all is as it was');
      const there = new Set(filesBelow(uploads));
      t.same(files.filter((file) => !there.has(file)), [], 'and so is every file');
    }
  }
  const { code, stderr, stdout } = await realmlift(['load', '--update', second, '--target-url', url, '--subdomain', 'acme', '--uploads-dir', uploads, '--json'], { env: { ZULIP_AVATAR_SALT: NEW_SALT } });
  t.equal(code, 0, stderr);
  t.match(JSON.parse(stdout), { subdomain: 'acme', realmId: 2 });
  // What the server made of the images that stay, it has.
  await change(url, "UPDATE zerver_imageattachment SET thumbnail_metadata = '[]'");
  t.same((await differingLoads(fresh, url)).filter((difference) => !difference.startsWith('zerver_message.search_tsvector')), []);
  t.same(filesBelow(uploads), filesBelow(freshUploads));
  await withClient(url, async (client) => t.same((await client.query('SELECT FROM realmlift_loaded_acme.file')).rowCount, 0));
  t.match(await update(second, url, uploads), { differed: false, added: 0 });

  await change(url, 'UPDATE zerver_userprofile SET last_login = now() WHERE id = (SELECT max(id) FROM zerver_userprofile WHERE realm_id = 2)');
  t.match(await update(second, url, uploads), { differed: false, used: true }, 'the realm is in use');
})));

// A message whose transaction was open while the earlier export was made, and one that was restored, are older than some that were loaded.
t.test('messages that come between those that were there', async (t) => {
  const exports = await withTestDatabase('zulip-11/local', async (source) => {
    const exported = async (name: string): Promise<string> => only(await exportFrom({ dataset: 'zulip-11/local', url: source, openStore: () => openLocalStore({ uploadsDir }) }, join(output, name), ['acme'], { verify: false, force: true })).directory;
    await change(source, `
      CREATE SCHEMA aside; SET session_replication_role = replica;
      CREATE TABLE aside.late AS SELECT m.id FROM (SELECT m.id, row_number() OVER (ORDER BY m.id) AS n FROM zerver_message m WHERE m.realm_id = 2) AS m
        WHERE n = 40 OR m.id IN (SELECT message_id FROM zerver_reaction) AND n % 3 = 0 OR m.id IN (SELECT message_id FROM zerver_attachment_messages);
      ${MESSAGE_TABLES.map((table) => `CREATE TABLE aside.${table} AS SELECT * FROM ${table} WHERE ${keyOf(table)} IN (SELECT id FROM aside.late); DELETE FROM ${table} WHERE ${keyOf(table)} IN (SELECT id FROM aside.late)`).join('; ')}`);
    const before = await exported('before');
    await change(source, `SET session_replication_role = replica; ${MESSAGE_TABLES.map((table) => `INSERT INTO ${table} SELECT * FROM aside.${table}`).join('; ')}`);
    return [before, await exported('after')] as const;
  });
  await withTestDatabase('zulip-11/new-server', async (url) => withTestDatabase('zulip-11/new-server', async (fresh) => {
    const uploads = emptyUploads();
    await load(exports[0], url, uploads);
    const { renumbered, added } = await update(exports[1], url, uploads);
    t.ok(renumbered > 100 && added > 20, `${renumbered} renumbered, ${added} added`);
    await load(exports[1], fresh, emptyUploads());
    t.same(await differingLoads(fresh, url), []);
    t.match(await update(exports[1], url, uploads), { differed: false });
  }));
});

t.test('--base is for updates', async (t) => {
  const { code, stderr } = await realmlift(['load', first, '--target-url', 'postgresql://nobody@localhost:1/none', '--subdomain', 'acme', '--uploads-dir', output, '--base', older]);
  t.equal(code, 2);
  t.match(stderr, /--base names the export that a realm was loaded from, for --update/);
});
