/** What arrives is what Zulip's own import brings, and nothing else on the new server changes. */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { buffer } from 'node:stream/consumers';
import t from 'tap';
import { loadExport } from '../../src/commands/load.js';
import { sampleExport } from '../pipe/sample-export.js';
import { change, withClient } from '../testbed/database-client.js';
import { exportFrom, only } from '../export/test-source.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { expectedExport, uploadsDirectory } from '../testbed/expected-export.js';
import { readArchive } from '../testbed/tar-archive.js';
import { testData } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { compareDatabases } from './compare-databases.js';
import { digests, emptyUploads, filesBelow, hearing, load, request, stoppedIn } from './new-server.js';

const output = t.testdir();
const { acme, globex, closed, consent } = await withTestDatabase('zulip-11/local', async (url) => {
  const exported = async (realm: string, mode: 'full' | 'consent' = 'full'): Promise<string> => (await sampleExport(url, { realm, mode, output: join(output, mode) }))[0] as string;
  return { acme: await exported('acme'), globex: await exported('globex'), closed: await exported('closed'), consent: await exported('globex', 'consent') };
});

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Uploads have names of their own on each server, and libvips and Zulip's version of it scale in other ways. */
function entry(path: string, content: Buffer): string {
  if (path.startsWith('files/')) return `files ${sha256(content)} ${path.split('/').at(-1) ?? ''}`;
  return path.endsWith('-medium.png') ? path : `${path} ${sha256(content)}`;
}

t.test("acme on a new server is the same as after Zulip's own import, row for row", async (t) => withTestDatabase('zulip-11/new-server', async (url) => withTestDatabase('zulip-11/after-import', async (real) => {
  const uploads = emptyUploads();
  const warnings: string[] = [];
  const result = await hearing({ warning: (text) => warnings.push(text) }, () => load(acme, url, uploads));
  t.match(result, { realmId: 2, realmName: 'acme', images: 6, files: 44, resumed: 0, deactivated: false, outside: 0 });
  t.same(warnings, []);
  const { differences, leftOld } = await compareDatabases(real, url);
  t.same(differences, []);
  t.same([...leftOld.keys()].sort(), ['zerver_imageattachment.thumbnail_metadata', 'zerver_message.content', 'zerver_message.edit_history', 'zerver_message.rendered_content', 'zerver_namedusergroup.creator_id']);

  const there: string[] = [];
  await readArchive(testData('zulip-11/after-import', 'uploads.tar.gz'), async (path, content) => {
    const bytes = await buffer(content);
    if (!path.startsWith('files/thumbnail/')) there.push(entry(path, bytes));
  });
  const here = readdirSync(uploads, { recursive: true, withFileTypes: true }).filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
  t.same(here.map((path) => entry(relative(uploads, path), readFileSync(path))).sort(), there.sort());
})));

t.test("Zulip's own export arrives too, and a realm beside it with other ids", async (t) => withTestDatabase('zulip-11/new-server', async (url) => withTestDatabase('zulip-11/after-import', async (real) => {
  const uploads = emptyUploads();
  await load(await expectedExport('zulip-11/local', 'acme-full'), url, uploads);
  // It was not stripped of what is secret.
  t.same((await compareDatabases(real, url)).differences, ['zerver_botconfigdata.value: 1', 'zerver_userprofile.zoom_token: 1']);

  await t.test('nothing of the first changes while the second comes and somebody writes, and nobody collides', async (t) => withClient(url, async (client) => {
    await client.query('SET search_path = zulip');
    const { rows: tables } = await client.query<{ name: string; key: string; highest: string | null }>(`
      SELECT c.relname AS name, a.attname AS key, (xpath('/row/m/text()', query_to_xml(format('SELECT max(%I) AS m FROM %I', a.attname, c.relname), false, true, '')))[1]::text AS highest
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = CASE c.relname WHEN 'zerver_namedusergroup' THEN 'usergroup_ptr_id' ELSE 'id' END AND a.atttypid IN (20, 23)
      WHERE c.relnamespace = 'zulip'::regnamespace AND c.relkind = 'r'`);
    const added = Object.fromEntries(tables.map(({ name, key, highest }) => [name, `t.${key} > ${highest ?? 0}`]));
    const before = await digests(url, added);
    let writing = true;
    const written: number[] = [];
    const writer = withClient(url, async (other) => {
      await other.query('SET search_path = zulip');
      while (writing) {
        const { rows } = await other.query<{ id: number }>(`
          INSERT INTO zerver_message (type, subject, content, date_sent, has_attachment, has_image, has_link, sender_id, sending_client_id, realm_id, recipient_id, is_channel_message)
          SELECT type, subject, 'meanwhile', now(), false, false, false, sender_id, sending_client_id, realm_id, recipient_id, is_channel_message FROM zerver_message WHERE realm_id = 2 LIMIT 3 RETURNING id`);
        written.push(...rows.map(({ id }) => id));
        await other.query("INSERT INTO analytics_realmcount (realm_id, property, end_time, value) VALUES (2, 'meanwhile', clock_timestamp(), 1)");
        await other.query('INSERT INTO zerver_usermessage (user_profile_id, message_id, flags) SELECT (SELECT max(id) FROM zerver_userprofile WHERE realm_id = 2), id, 0 FROM unnest($1::int[]) AS id', [rows.map(({ id }) => id)]);
      }
    });
    const result = await load(globex, url, uploads, { subdomain: 'globex-two', realmName: 'Globex 日本' });
    writing = false;
    await writer;
    t.ok(written.length > 0, `${written.length} messages were written meanwhile`);
    t.same(await digests(url, added), before);
    t.equal((await client.query("SELECT FROM zerver_message WHERE content = 'meanwhile' AND realm_id = 2 AND id = ANY ($1)", [written])).rowCount, written.length);
    t.match((await client.query('SELECT name, string_id, deactivated FROM zerver_realm WHERE id = $1', [result.realmId])).rows, [{ name: 'Globex 日本', string_id: 'globex-two', deactivated: false }]);
    t.equal((await client.query('SELECT FROM zerver_message WHERE realm_id = $1', [result.realmId])).rowCount, result.rows.get('zerver_message'));
    for (const { name, key } of tables.filter((table) => table.key === 'id')) {
      const { rows: [row] } = await client.query<{ good: boolean }>(`SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('${name}', 'id')::regclass), 0) >= coalesce(max(${key}), 0) AS good FROM ${name}`);
      if (row?.good === false) t.fail(`the sequence of ${name} is behind its table`);
    }
  }));

  await t.test('users who did not consent and a deactivated realm', async (t) => {
    await t.rejects(load(consent, url, uploads, { subdomain: 'globex-three' }), { code: 'LOAD_REFUSED', message: /realm: .*on the new server already/, exit: 3, hint: 'realmlift import-check shows all checks' });
    await t.rejects(load(globex, url, uploads, { subdomain: 'globex-two' }), { code: 'LOAD_REFUSED', message: /subdomain: "globex-two" is taken/, hint: /^globex-two was loaded here before: --update brings it to the state of this export; / });
    const result = await load(closed, url, uploads, { subdomain: 'closed-two' });
    t.equal(result.deactivated, true);
    await withClient(url, async (client) => {
      t.equal((await client.query('SELECT FROM zulip.zerver_realm WHERE deactivated AND id = $1', [result.realmId])).rowCount, 1);
      t.equal((await client.query('SELECT FROM zulip.zerver_subscription s JOIN zulip.zerver_userprofile u ON u.id = s.user_profile_id WHERE s.is_user_active <> u.is_active')).rowCount, 0);
    });
  });
})));

t.test('into an empty server, indexes made afterwards are those that were there', async (t) => withTestDatabase('zulip-11/new-server', async (url) => withTestDatabase('zulip-11/after-import', async (real) => {
  // What a definition does not tell: statistics, room left in the index of a constraint, an index that was never finished, a key that nobody checks.
  await change(url, `
    CREATE INDEX odd_expression ON zerver_message (lower(subject), date_sent DESC) INCLUDE (sender_id) WITH (fillfactor = 70) WHERE id > 0;
    CREATE INDEX odd_statistics ON zerver_message (upper(subject)); ALTER INDEX odd_statistics ALTER COLUMN 1 SET STATISTICS 500;
    CREATE INDEX odd_unfinished ON zerver_usermessage (flags); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'odd_unfinished'::regclass;
    ALTER TABLE zerver_usermessage ADD CONSTRAINT odd_room UNIQUE (message_id, user_profile_id) WITH (fillfactor = 50), ADD CONSTRAINT odd_later UNIQUE (user_profile_id, message_id) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE zerver_usermessage DISABLE TRIGGER ALL`);
  await withClient(url, (client) => client.query(`DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid IN ('zulip.zerver_message'::regclass, 'zulip.zerver_usermessage'::regclass) LOOP EXECUTE format('COMMENT ON INDEX %s IS %L', name, 'index ' || name); END LOOP;
    FOR name IN SELECT format('%I ON %s', conname, conrelid::regclass) FROM pg_constraint WHERE conrelid IN ('zulip.zerver_message'::regclass, 'zulip.zerver_usermessage'::regclass) LOOP EXECUTE format('COMMENT ON CONSTRAINT %s IS %L', name, 'constraint ' || name); END LOOP;
  END $$`));
  const before = await digests(url);
  const uploads = emptyUploads();
  const cut = request(url, uploads, { indexesLaterFrom: 0 });
  await t.rejects(stoppedIn('all other rows', (stop) => loadExport(acme, cut, stop)));
  t.not((await digests(url)).schema, before['schema'], 'a run that was stopped leaves the tables bare');

  const phases: string[] = [];
  await hearing({ phase: (name) => phases.push(name) }, () => load(acme, url, uploads, { indexesLaterFrom: 0, resume: true }));
  t.ok(phases.includes('indexes'));
  t.same((await compareDatabases(real, url)).differences, []);
  t.equal((await digests(url)).schema, before['schema']);
})));

t.test('of tables that are partitioned indexes stay: those of the partitions would not come back', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  await change(url, `
    ALTER TABLE zerver_usermessage RENAME TO old; ALTER TABLE old ALTER id DROP IDENTITY IF EXISTS;
    CREATE TABLE zerver_usermessage (LIKE old, PRIMARY KEY (id, message_id), UNIQUE (user_profile_id, message_id)) PARTITION BY RANGE (message_id);
    DROP TABLE old;
    ALTER TABLE zerver_usermessage ALTER id ADD GENERATED BY DEFAULT AS IDENTITY;
    ALTER TABLE zerver_usermessage ADD FOREIGN KEY (message_id) REFERENCES zerver_message DEFERRABLE INITIALLY DEFERRED, ADD FOREIGN KEY (user_profile_id) REFERENCES zerver_userprofile DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE zerver_usermessage_1 PARTITION OF zerver_usermessage FOR VALUES FROM (MINVALUE) TO (100);
    CREATE TABLE zerver_usermessage_2 PARTITION OF zerver_usermessage FOR VALUES FROM (100) TO (MAXVALUE);
    CREATE INDEX ON zerver_usermessage (flags)`);
  const before = await digests(url);
  const uploads = emptyUploads();
  await load(acme, url, uploads, { indexesLaterFrom: 0 });
  t.equal((await digests(url)).schema, before['schema']);
}));

t.test("Zulip 4's own export, whose messages begin again and whose records are in no order", async (t) => withTestDatabase('zulip-4/local', async (url) => {
  const exports = {
    ours: only(await exportFrom({ dataset: 'zulip-4/local', url, openStore: async () => openLocalStore({ uploadsDir: await uploadsDirectory('zulip-4/local') }) }, join(output, 'ours-4'), ['acme'], { verify: false, force: true })).directory,
    theirs: await expectedExport('zulip-4/local', 'acme-full'),
  };
  const arrived = async (subdomain: keyof typeof exports): Promise<unknown> => {
    const uploads = emptyUploads();
    const { realmId, outside } = await load(exports[subdomain], url, uploads, { subdomain });
    const { rows } = await withClient(url, (client) => client.query<{ content: string }>('SELECT m.content, (SELECT count(*) FROM zulip.zerver_usermessage WHERE message_id = m.id) AS received FROM zulip.zerver_message m JOIN zulip.zerver_userprofile u ON u.id = m.sender_id WHERE u.realm_id = $1 ORDER BY m.id', [realmId]));
    const withoutIds = ({ content, ...more }: { content: string }): object => ({ ...more, content: content.replace(/(\/user_uploads\/|\|)\d+/g, '$1') });
    return { outside, messages: rows.map(withoutIds), files: filesBelow(uploads).map((file) => file.replace(/\/\d+\//, '/')).sort() };
  };
  const ours = await arrived('ours');
  t.same(await arrived('theirs'), ours);
  t.match(ours, { outside: 1 }, 'that of an entry of the audit log stays; the address of a mirror dummy does not');
}));
