/** What stands in the way of an update, what happens while it runs, and that nobody else on the new server notices. */
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { realmlift as limited } from '../backup/command-line.js';
import { realmlift } from '../cli/command-line.js';
import { exportFrom, only } from '../export/test-source.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { patientTransaction } from '../../src/load/server/patient-transaction.js';
import { readTargetTables } from '../../src/load/server/target-tables.js';
import { realmCensus } from '../../src/load/server/realm-census.js';
import { avatarHash } from '../../src/plan/avatar-hash.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { change, withClient } from '../testbed/database-client.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT, NEW_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { digests, emptyUploads, filesBelow, hearing, load, request, stoppedAtCommit, stoppedIn, update } from './new-server.js';
import { loadExport } from '../../src/commands/load.js';
import { updateLoad } from '../../src/commands/update.js';
import { differingLoads } from './same-realm.js';

const output = t.testdir();
const uploadsDir = join(output, 'uploads');
cpSync(await uploadsDirectory('zulip-11/local'), uploadsDir, { recursive: true });

/** Of a file: larger than what else is written. */
const CONTENT = 'new'.repeat(100_000);

interface Owner { readonly id: number; readonly version: number }

function avatarFile({ id, version }: Owner): string {
  return join(uploadsDir, 'avatars/2', `${avatarHash({ userId: id, avatarVersion: version, email: '' }, AVATAR_SALT['zulip-11/local'], 697)}.original`);
}

/** The states of one realm, with a message and a file more each time. Of the avatars of four people one stays no image, one becomes one, one is none any more, and one that was none is gone. */
const [tiny, broken, still, mended] = await withTestDatabase('zulip-11/local', async (url) => {
  const exported = async (name: string, realm = 'acme'): Promise<string> => only(await exportFrom({ dataset: 'zulip-11/local', url, openStore: () => openLocalStore({ uploadsDir }) }, join(output, name), [realm], { verify: false, force: true })).directory;
  const more = async (n: number): Promise<void> => {
    await change(url, `
      INSERT INTO zerver_message SELECT r.* FROM (SELECT m FROM zerver_message m WHERE realm_id = 2 ORDER BY id LIMIT 1) AS old, LATERAL jsonb_populate_record(old.m, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_message), 'content', 'number ${n}')) AS r;
      INSERT INTO zerver_attachment SELECT r.* FROM (SELECT a FROM zerver_attachment a WHERE realm_id = 2 ORDER BY id LIMIT 1) AS old,
        LATERAL jsonb_populate_record(old.a, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_attachment), 'path_id', '2/a${n}/new/${n}.txt', 'file_name', '${n}.txt', 'content_type', 'text/plain', 'size', ${CONTENT.length})) AS r;
      INSERT INTO zerver_attachment_messages (attachment_id, message_id) SELECT max(id), (SELECT max(id) FROM zerver_message WHERE realm_id = 2) FROM zerver_attachment`);
    mkdirSync(join(uploadsDir, `files/2/a${n}/new`), { recursive: true });
    writeFileSync(join(uploadsDir, `files/2/a${n}/new/${n}.txt`), CONTENT);
  };
  const { rows: owners } = await withClient(url, (client) => client.query<Owner>("SELECT id::float8, avatar_version::float8 AS version FROM zulip.zerver_userprofile WHERE realm_id = 2 AND avatar_source = 'U' ORDER BY id LIMIT 4"));
  const [becomes, stays, goes, breaks] = owners as [Owner, Owner, Owner, Owner];
  const kept = join(output, 'kept');
  cpSync(avatarFile(becomes), kept);
  const tiny = await exported('tiny', 'tiny');
  for (const owner of [becomes, stays, goes]) writeFileSync(avatarFile(owner), 'no image');
  const broken = await exported('broken');
  await more(1);
  const still = await exported('still');
  await more(2);
  cpSync(kept, avatarFile(becomes));
  writeFileSync(avatarFile(breaks), 'no image either');
  await change(url, `UPDATE zerver_userprofile SET avatar_source = 'G' WHERE id = ${goes.id}`);
  return [tiny, broken, still, await exported('mended')] as const;
});

const stoppedAtUpdatesCommit = (next: string, url: string, uploads: string): Promise<unknown> => stoppedAtCommit(
  url, 'INSERT', (stop) => updateLoad(next, { ...request(url, uploads), base: undefined }, stop).catch((error: unknown) => error), "query LIKE '%realmlift_loaded_acme%file%'",
);

t.test('avatars that are no images, stay none, are some, are none any more, or are gone', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  await load(broken, url, uploads);
  for (const next of [still, mended]) {
    if (next === still) await stoppedAtUpdatesCommit(next, url, uploads);
    // As an update leaves it that is killed behind its transaction, in which this file was none of the realm's.
    if (next === mended) await change(url, "INSERT INTO realmlift_loaded_acme.file VALUES ('going', 'files', '2/a2/new/2.txt')");
    t.match(await update(next, url, uploads), { differed: next !== still });
    await withTestDatabase('zulip-11/new-server', async (fresh) => {
      const freshUploads = emptyUploads();
      await load(next, fresh, freshUploads);
      t.same(await differingLoads(fresh, url), []);
      t.same(filesBelow(uploads), filesBelow(freshUploads));
    });
  }
}));

t.test('beside others', async (t) => withTestDatabase('zulip-11/new-server', async (url) => withClient(url, async (client) => {
  const uploads = emptyUploads();
  await client.query('SET search_path = zulip');
  await load(tiny, url, uploads, { subdomain: 'tiny' });
  await t.rejects(stoppedIn('uploaded files', (stop) => loadExport(broken, request(url, uploads), stop)));
  await t.rejects(update(still, url, uploads), { code: 'LOAD_UNFINISHED', exit: 3, hint: /--resume/ });
  await load(broken, url, uploads, { resume: true });
  const before = await digests(url);
  const files = filesBelow(uploads);

  await t.test('what is known of the load', async (t) => {
    const refused = async (what: string, expected: { code: string; exit?: number; message?: RegExp; hint?: RegExp }, statements: readonly [string, string], choices: Parameters<typeof update>[3] = {}): Promise<void> => {
      await client.query(statements[0]);
      t.match(await update(still, url, uploads, choices).then(() => undefined, (error: unknown) => error), expected, what);
      await client.query(statements[1]);
      t.same(await digests(url), before, `${what}: nothing has changed`);
    };
    const record = 'realmlift_loaded_acme';
    await refused('a table is gone', { code: 'UPDATE_UNKNOWN', exit: 3, message: /realmlift_loaded_acme, lacks its tables ids/ }, [`ALTER TABLE ${record}.ids RENAME TO old_ids`, `ALTER TABLE ${record}.old_ids RENAME TO ids`]);
    await refused('nothing in it', { code: 'UPDATE_UNKNOWN', message: /has 0 rows in its table run/ }, [`CREATE TEMP TABLE run AS TABLE ${record}.run; DELETE FROM ${record}.run`, `INSERT INTO ${record}.run TABLE pg_temp.run`]);
    await refused('counts are gone', { code: 'UPDATE_UNKNOWN', message: /does not say any more what was loaded/ }, [`CREATE TEMP TABLE written AS TABLE ${record}.written; DELETE FROM ${record}.written`, `INSERT INTO ${record}.written TABLE pg_temp.written`]);
    await refused('of another version', { code: 'UPDATE_UNKNOWN', message: /was left by another version of realmlift/ }, [`UPDATE ${record}.run SET identity = jsonb_set(identity, '{format}', '99')`, `UPDATE ${record}.run SET identity = jsonb_set(identity, '{format}', '1')`]);
    await refused('the schema is gone', { code: 'UPDATE_UNKNOWN', message: /nothing is known of a load of acme/ }, [`ALTER SCHEMA ${record} RENAME TO elsewhere`, `ALTER SCHEMA elsewhere RENAME TO ${record}`]);
    const realm = "(SELECT id FROM zerver_realm WHERE name = 'acme')";
    await refused('renamed', { code: 'UPDATE_UNKNOWN', message: /loaded as acme has another subdomain now, elsewhere/, hint: /change_realm_subdomain/ }, [`UPDATE zerver_realm SET string_id = 'elsewhere' WHERE id = ${realm}`, `UPDATE zerver_realm SET string_id = 'acme' WHERE id = ${realm}`]);
    await refused('deleted', { code: 'UPDATE_UNKNOWN', message: /is not on the new server any more/ }, [`UPDATE ${record}.run SET identity = jsonb_set(identity, '{realmId}', '9999')`, `UPDATE ${record}.run SET identity = jsonb_set(identity, '{realmId}', to_jsonb(${realm}))`]);
    await refused('no salt', { code: 'SALT_MISSING', exit: 2 }, ['SELECT 1', 'SELECT 1'], { salt: undefined });
    // Beside what it has, it lacks what an update writes.
    const { host, pathname } = new URL(url);
    await client.query(`DROP ROLE IF EXISTS updater; CREATE ROLE updater LOGIN PASSWORD 'u'; GRANT USAGE ON SCHEMA zulip TO updater; GRANT SELECT ON ALL TABLES IN SCHEMA zulip TO updater; GRANT SELECT ON ALL SEQUENCES IN SCHEMA zulip TO updater`);
    const asUpdater = { target: connectionSettings(`postgresql://updater:u@${host}${pathname}`, {}) };
    await refused('another role', { code: 'RIGHT_MISSING', message: /belongs to another role/ }, ['SELECT 1', 'SELECT 1'], asUpdater);
    await refused('a role without rights', { code: 'RIGHT_MISSING', hint: /GRANT SELECT, INSERT, UPDATE, DELETE ON/ }, [`ALTER SCHEMA ${record} OWNER TO updater; GRANT SELECT ON ALL TABLES IN SCHEMA ${record} TO updater`, `REVOKE ALL ON ALL TABLES IN SCHEMA ${record} FROM updater; ALTER SCHEMA ${record} OWNER TO CURRENT_USER`], asUpdater);
    await client.query('DROP OWNED BY updater; DROP ROLE updater');
  });

  await t.test('its files cannot be written', async (t) => {
    const inTheWay = join(uploads, 'files/3/a1');
    mkdirSync(dirname(inTheWay), { recursive: true });
    writeFileSync(inTheWay, 'a file');
    await t.rejects(update(still, url, uploads), { code: 'OUTPUT_UNSAFE', message: /files\/3\/a1 is not a directory/ });
    rmSync(inTheWay);
    t.same(await digests(url), before);
    t.same(filesBelow(uploads), files);
  });

  await t.test('the disk of its files is full', async (t) => {
    const words = ['load', '--update', still, '--target-url', url, '--subdomain', 'acme', '--uploads-dir', uploads];
    // It counts blocks of 512 bytes.
    const full = await limited(words, { ZULIP_AVATAR_SALT: NEW_SALT }, `-f ${Math.floor(CONTENT.length / 512) - 1}`);
    t.match(full, { code: 1, stderr: /DISK_FULL \[package\]: \S+\/files\/\S+ is larger/ });
    t.same(await digests(url), before);
    t.same(filesBelow(uploads), files);
  });

  await t.test('^C in the midst', async (t) => {
    const { code, stderr } = await withClient(url, async (holder) => {
      await holder.query('BEGIN; SELECT FROM zulip.zerver_userprofile ORDER BY id DESC LIMIT 1 FOR UPDATE');
      return realmlift(['load', '--update', still, '--target-url', url, '--subdomain', 'acme', '--uploads-dir', uploads, '--json'], {
        env: { ZULIP_AVATAR_SALT: NEW_SALT },
        meanwhile: async (child) => new Promise((resolve) => {
          child.stderr?.on('data', (chunk: Buffer) => {
            if (child.killed || !chunk.toString().includes('"kind":"waiting"')) return;
            child.kill('SIGINT');
            // It asks nothing of the session that waits.
            setTimeout(() => { void holder.query('ROLLBACK').then(() => resolve()); }, 200);
          });
          child.once('close', () => resolve());
        }),
      });
    });
    t.equal(code, 130, stderr);
    t.match(stderr, /STOPPED/);
    t.same(await digests(url), before);
  });

  await t.test('somebody holds a row of it', async (t) => {
    const told: string[] = [];
    await withClient(url, async (holder) => {
      await holder.query("SET application_name = 'a long report'; BEGIN; SELECT FROM zulip.zerver_userprofile ORDER BY id DESC LIMIT 1 FOR UPDATE");
      await t.rejects(patientTransaction(connectionSettings(url, {}), client, async () => client.query('SELECT FROM zerver_userprofile FOR UPDATE'), 1), {
        code: 'LOCK_TIMEOUT', stage: 'load', message: /^nothing was changed: another session kept what is needed for 1 s: .* held by pid \d+ \(a long report, idle in its transaction/, again: true, hint: /let that transaction end/,
      });
      const { changed } = await hearing({ waiting: ({ holders }) => {
        told.push(...holders.map(({ application }) => application));
        void holder.query('ROLLBACK');
      } }, () => update(still, url, uploads, { dryRun: false }));
      t.ok(changed > 0);
      t.same(told, ['a long report']);
      t.equal((await client.query('SELECT FROM realmlift_loaded_acme.file')).rowCount, 0, 'what came for an update that failed is forgotten');
    });
  });

  await t.test('two at once, and nobody else notices', async (t) => {
    const tables = await readTargetTables(client, 'zulip');
    const { rows: [other] } = await client.query<{ id: number; now: string }>("SELECT id, txid_current()::text AS now FROM zerver_realm WHERE string_id = 'tiny'");
    const neighbours = await realmCensus(client, tables, other?.id ?? 0, other?.now, 'all');
    const results = await Promise.allSettled([update(mended, url, uploads), update(mended, url, uploads)]);
    const done = results.filter(({ status }) => status === 'fulfilled').map((result) => (result as PromiseFulfilledResult<{ differed: boolean }>).value.differed);
    t.same([...done].sort(), done.length === 1 ? [true] : [false, true]);
    for (const result of results) if (result.status === 'rejected') t.match(result.reason, { code: 'LOAD_RUNNING', exit: 3 });
    t.same(await realmCensus(client, tables, other?.id ?? 0, other?.now, 'all'), neighbours);
    t.ok(neighbours.some(({ table, rows, younger }) => table === 'zerver_usermessage' && rows > 0 && younger === 0));
    t.ok(readdirSync(join(uploads, 'files')).length > 1);
  });
})));
