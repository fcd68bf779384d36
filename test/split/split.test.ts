/** A realm as a database of its own is that realm, and nobody else. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { NEEDS_PG_DUMP, dump, query } from '../backup/test-backup.js';
import { realmlift } from '../cli/command-line.js';
import { Canaries, travellingTables } from '../export/canaries.js';
import { compareExports } from '../testbed/compare-export.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { LONG } from '../testbed/long-tests.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { digests } from './digests.js';
import { exported, sourceAt, type LocalDataset } from './exported.js';
import { EVERY_REALM_AND_MODE, splitAndCompared, type Watched } from './realms-and-modes.js';

async function split(source: string, target: string, ...words: string[]): Promise<{ code: number | null; stderr: string }> {
  return realmlift(['split', '--realm', 'acme', '--target-url', target, ...words], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '' } });
}

/** Of the realm of the system bots: what a server needs to run. */
const OF_THE_SERVER = /^(zerver_realm|zerver_userprofile|zerver_subscription|zerver_usergroup|zerver_namedusergroup|zerver_realmuserdefault|zerver_realmauthenticationmethod)\./;
/** The program's own, and nobody's: kinds of objects, and the names of statistics. */
const NOBODYS = /^(django_content_type|auth_permission|analytics_fillstate)\./;

/** Canaries, and somebody of the system realm's staff; what of them must not be there afterwards. */
function canariesFor(t: Test, dataset: LocalDataset): Watched {
  const canaries = new Canaries();
  return {
    before: async (source) => {
      await query(source, `SET search_path = zulip; SET session_replication_role = replica; INSERT INTO zerver_userprofile SELECT (jsonb_populate_record(u, '{"id": 987654, "is_bot": false, "email": "staff@zulip.com", "delivery_email": "staff@zulip.com", "api_key": "12345678901234567890123456789012", "uuid": "6b0b4e5c-3f2e-4c47-9d2e-0a51c1b2a3d4", "recipient_id": null}')).* FROM zerver_userprofile u WHERE u.delivery_email = 'welcome-bot@zulip.com'`);
      await canaries.plant(source, await travellingTables(dataset));
    },
    after: async (source, target) => {
      const idOf = async (name: string): Promise<number | undefined> => (await query<{ id: number }>(source, `SELECT id FROM zulip.zerver_realm WHERE string_id = '${name}'`))[0]?.id;
      const [acme, system] = [await idOf('acme'), await idOf('zulipinternal')];
      const shown = [...canaries.in(await dump(target, '--data-only'))];
      t.ok(shown.length > 1000, `the search finds what belongs there (${shown.length})`);
      const strange = shown.filter(({ realm, place }) => realm !== acme && realm !== 0 && !(realm === system && OF_THE_SERVER.test(place)) && !NOBODYS.test(place));
      t.strictSame([...new Set(strange.map(({ place }) => place))], []);
      t.match(await query(target, `SELECT count(*)::int AS n FROM zulip.zerver_userprofile u JOIN zulip.zerver_realm r ON r.id = u.realm_id WHERE r.string_id = 'zulipinternal' AND NOT u.is_bot`), [{ n: 0 }]);
      t.strictSame(await query(target, 'SELECT count(*)::int AS n FROM zulip.zerver_message m JOIN zulip.zerver_userprofile u ON u.id = m.sender_id WHERE u.recipient_id IS NULL AND NOT u.is_mirror_dummy'), [{ n: 0 }], 'who writes has a recipient');
    },
  };
}

/** Who does not agree has neither a hidden address nor a colour of their own. */
function hiddenIn(t: Test): Watched {
  return {
    before: async (source) => { await query(source, `SET search_path = zulip; UPDATE zerver_userprofile SET email_address_visibility = 4; UPDATE zerver_subscription SET color = '#bada55'`); },
    after: async (source, target) => {
      const before = (await query<{ id: number }>(source, 'SELECT id FROM zulip.zerver_userprofile WHERE is_mirror_dummy')).map(({ id }) => id);
      const dummies = `FROM zulip.zerver_userprofile u JOIN zulip.zerver_realm r ON r.id = u.realm_id WHERE r.string_id = 'acme' AND u.is_mirror_dummy AND u.id NOT IN (${before.join()})`;
      const shown = await query<{ id: number; address: string }>(target, `SELECT u.id, u.delivery_email AS address ${dummies}`);
      t.ok(shown.length > 5, 'there are some');
      t.strictSame(shown.filter(({ address }) => !address.startsWith('exported-user-')), []);
      t.strictSame(await query(target, `SELECT s.id FROM zulip.zerver_subscription s WHERE s.color = '#bada55' AND s.user_profile_id IN (SELECT u.id ${dummies})`), []);
    },
  };
}

for (const each of EVERY_REALM_AND_MODE.filter(({ usual }) => usual || LONG)) {
  // In Zulip 12 beside the files of one realm, and in the modes that hide something.
  const watch = each.dataset !== 'zulip-12/local' || each.realm !== 'acme' ? undefined : each.words.length === 0 ? canariesFor : hiddenIn;
  t.test(`with files, exported as from the source: ${each.name}`, NEEDS_PG_DUMP, (t) => splitAndCompared(t, each, watch?.(t, each.dataset)));
}

// What the canaries ask for the realm of a reaction, Zulip 4 does not have; those of 11 are planted below.
t.test('zulip-8/local: no canary of a secret or of another realm, and nobody of the system realm but its bots', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-8/local', (source) => withEmptyDatabase(async (target) => {
    const watched = canariesFor(t, 'zulip-8/local');
    await watched.before(source);
    const done = await split(source, target);
    t.equal(done.code, 0, done.stderr);
    await watched.after(source, target);
  }));
});

/** As a DBA would do it with tables that have grown large. */
function partitioned(table: string): string {
  return `
    CREATE TEMP TABLE keys AS SELECT conname, conrelid::regclass::text AS rel, pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND (confrelid = '${table}'::regclass OR conrelid = '${table}'::regclass);
    DO $$ DECLARE k record; BEGIN FOR k IN SELECT * FROM keys LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.rel, k.conname); END LOOP; END $$;
    ALTER TABLE ${table} RENAME TO whole;
    CREATE TABLE ${table} (LIKE whole INCLUDING DEFAULTS INCLUDING IDENTITY) PARTITION BY RANGE (id);
    CREATE TABLE ${table}_old PARTITION OF ${table} FOR VALUES FROM (MINVALUE) TO (100);
    CREATE TABLE ${table}_new PARTITION OF ${table} FOR VALUES FROM (100) TO (MAXVALUE);
    INSERT INTO ${table} OVERRIDING SYSTEM VALUE SELECT * FROM whole;
    ALTER TABLE ${table} ADD PRIMARY KEY (id);
    DROP TABLE whole;
    DO $$ DECLARE k record; BEGIN FOR k IN SELECT * FROM keys LOOP EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.rel, k.conname, k.def); END LOOP; END $$;
    DROP TABLE keys;`;
}

t.test('into a database of a role that is no superuser, and as a script, is the same, without a canary', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', (source) => withEmptyDatabase((target) => withEmptyDatabase(async (scripted) => {
    const role = `split_${randomBytes(4).toString('hex')}`;
    const name = new URL(target).pathname.slice(1);
    await query(source, `CREATE ROLE ${role} LOGIN PASSWORD 'x'; CREATE FOREIGN DATA WRAPPER none; CREATE SERVER other FOREIGN DATA WRAPPER none; CREATE USER MAPPING FOR ${role} SERVER other OPTIONS (password 'canary-of-a-mapping'); CREATE POLICY mine ON zulip.zerver_realm TO ${role} USING (true)`);
    try {
      const watched = canariesFor(t, 'zulip-11/local');
      await watched.before(source);
      const script = join(t.testdir(), 'acme.sql');
      const env = { DATABASE_URL: source, PATH: process.env.PATH ?? '' };
      const written = await realmlift(['split', '--realm', 'acme', '--output', script], { env });
      t.match(written, { code: 0, stderr: /stayed, since they belong to the old server and its roles: 1 of USER MAPPING/ });
      t.notMatch(readFileSync(script, 'utf8'), 'canary-of-a-mapping');
      await promisify(execFile)('psql', ['--no-psqlrc', '--quiet', `--dbname=${scripted}`, `--file=${script}`], { maxBuffer: 1e9 });

      await query(source, 'DROP SERVER other CASCADE; DROP FOREIGN DATA WRAPPER none');
      await query(target, `ALTER DATABASE "${name}" OWNER TO ${role}`);
      const as = new URL(target);
      [as.username, as.password] = [role, 'x'];
      const done = await split(source, as.href);
      t.equal(done.code, 0, done.stderr);
      t.strictSame(await digests(scripted), await digests(target));
      await watched.after(source, target);
      t.match(await query(target, `SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'zulip'::regnamespace`), [{ owner: role }]);
    } finally {
      const maintenance = new URL(source);
      maintenance.pathname = '/postgres';
      await query(maintenance.href, `DROP DATABASE "${name}" WITH (FORCE)`);
      await query(source, `DROP OWNED BY ${role} CASCADE`);
      await query(maintenance.href, `DROP ROLE ${role}`);
      await query(maintenance.href, `CREATE DATABASE "${name}"`);
    }
  })));
});

t.test('several realms, one of them deactivated, out of tables in partitions, and a salt of the new server', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', async (source) => {
    const env = { DATABASE_URL: source, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'], PATH: process.env.PATH ?? '' };
    const uploads = await uploadsDirectory('zulip-11/local');
    for (const table of ['zerver_message', 'zerver_usermessage', 'zerver_reaction']) await query(source, `SET search_path = zulip; ${partitioned(table)}`);
    await withEmptyDatabase(async (target) => {
      const place = t.testdir();
      const secrets = join(place, 'new-secrets.conf');
      await writeFile(secrets, `[secrets]\navatar_salt = ${'5'.repeat(64)}\n`);
      const files = join(place, 'files');
      const realms = ['acme', 'globex', 'closed'];
      const done = await realmlift(['split', ...realms.flatMap((realm) => ['--realm', realm]), '--target-url', target, '--uploads-dir', uploads, '--files-dir', files, '--target-zulip-secrets', secrets], { env });
      t.ok(done.code === 0 || done.code === 4, done.stderr);
      t.notMatch(done.stderr, /stayed|unknown/, 'no row is left out, and no partition is told');
      t.match(await query(target, `SELECT string_agg(string_id, ' ' ORDER BY string_id) AS realms FROM zulip.zerver_realm`), [{ realms: 'acme closed globex zulipinternal' }]);
      for (const realm of realms) {
        const expected = await exported(sourceAt('zulip-11/local', source), join(place, 'source'), realm, { force: true });
        const found = await exported(sourceAt('zulip-11/local', target, files), join(place, 'split'), realm, { salt: '5'.repeat(64), force: true });
        t.strictSame(compareExports(expected, found).filter((each) => !each.startsWith('avatars')), [], realm);
        const avatars = (directory: string): number => (JSON.parse(readFileSync(join(directory, 'avatars/records.json'), 'utf8')) as unknown[]).length;
        t.equal(avatars(found), avatars(expected), 'avatars under their new names');
      }
    });
  });
  t.match(await realmlift(['split', '--realm', 'acme'], { env: { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' } }), { code: 2, stderr: /--target-url URL or --output FILE/ });
});
