/** A realm as a database of its own is that realm, and nobody else. */
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { NEEDS_PG_DUMP, dump, query } from '../backup/test-backup.js';
import { realmlift } from '../cli/command-line.js';
import { Canaries, travellingTables } from '../export/canaries.js';
import { exportRealm, type TestSource } from '../export/test-source.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { compareExports } from '../testbed/compare-export.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT, testData } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';

t.setTimeout(600_000);

const DATASETS = ['zulip-4/local', 'zulip-8/local', 'zulip-11/local', 'zulip-12/local'] as const;
type Dataset = (typeof DATASETS)[number];

function sourceAt(dataset: Dataset, url: string, uploads?: string): TestSource {
  return { dataset, url, openStore: async () => openLocalStore({ uploadsDir: uploads ?? (await uploadsDirectory(dataset)) }) };
}

async function split(source: string, target: string, ...words: string[]): Promise<{ code: number | null; stderr: string }> {
  return realmlift(['split', '--realm', 'acme', '--target-url', target, ...words], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '' } });
}

/** Differences of two exports, without those that are drawn at random. */
function differences(expected: string, actual: string): string[] {
  return compareExports(expected, actual).filter((each) => !/zerver_subscription\.color|exported-user-|^consented_user_ids/.test(each));
}

for (const dataset of DATASETS) {
  t.test(`${dataset}: the export of the split is that of the source, files included`, NEEDS_PG_DUMP, async (t) => {
    await withTestDatabase(dataset, (source) => withEmptyDatabase(async (target) => {
      const place = t.testdir();
      const files = join(place, 'files');
      const uploads = await uploadsDirectory(dataset);
      const done = await realmlift(['split', '--realm', 'acme', '--target-url', target, '--uploads-dir', uploads, '--files-dir', files], { env: { DATABASE_URL: source, ZULIP_AVATAR_SALT: AVATAR_SALT[dataset], PATH: process.env.PATH ?? '' } });
      t.ok(done.code === 0 || done.code === 4, done.stderr);
      const expected = await exportRealm(sourceAt(dataset, source), join(place, 'source'), 'acme');
      t.strictSame(compareExports(expected, await exportRealm(sourceAt(dataset, target, files), join(place, 'split'), 'acme')), []);
      for (const same of ['SELECT app, name FROM zulip.django_migrations ORDER BY id', 'SELECT * FROM zulip.django_content_type ORDER BY id', 'SELECT last_value FROM zulip.zerver_message_id_seq']) {
        t.strictSame(await query(target, same), await query(source, same), same);
      }
      const constraints = `SELECT conrelid::regclass::text AS t, conname AS n, convalidated AS v FROM pg_constraint WHERE connamespace = 'zulip'::regnamespace ORDER BY 1, 2`;
      t.strictSame(await query(target, constraints), await query(source, constraints), 'all foreign keys hold');
      t.match(await query(target, `SELECT count(*)::int AS n FROM zulip.zerver_realm`), [{ n: 2 }], 'beside it the system realm alone');
      const bots = `SELECT u.id, u.delivery_email, r.id AS recipient FROM zulip.zerver_userprofile u JOIN zulip.zerver_recipient r ON r.id = u.recipient_id WHERE u.delivery_email LIKE '%@zulip.com' ORDER BY u.id`;
      t.strictSame(await query(target, bots), await query(source, bots), 'with its bots');
      t.match(await query(target, `SELECT count(DISTINCT api_key) = count(*) AS own, bool_and(password LIKE '!%') AS unusable FROM zulip.zerver_userprofile`), [{ own: true, unusable: true }]);
      t.match(await split(source, target), { code: 1, stderr: /DATABASE_NOT_EMPTY/ });
    }));
  });
}

for (const dataset of ['zulip-11/local', 'zulip-8/local'] as const) {
  t.test(`${dataset}: no canary of a secret or of another realm`, NEEDS_PG_DUMP, async (t) => {
    await withTestDatabase(dataset, (source) => withEmptyDatabase(async (target) => {
      const canaries = new Canaries();
      await canaries.plant(source, await travellingTables(dataset));
      const acme = (await query<{ id: number }>(source, `SELECT id FROM zulip.zerver_realm WHERE string_id = 'acme'`))[0]?.id;
      const done = await split(source, target);
      t.equal(done.code, 0, done.stderr);
      const shown = [...canaries.in(await dump(target, '--data-only'))];
      t.ok(shown.length > 1000, `the search finds what belongs there (${shown.length})`);
      const system = new Set((await query<{ id: number }>(source, `SELECT id FROM zulip.zerver_realm WHERE string_id = 'zulipinternal'`)).map(({ id }) => id));
      // Django's list of kinds of objects is the program's, and nobody's.
      t.strictSame([...new Set(shown.filter(({ realm }) => realm !== acme && realm !== 0 && !system.has(realm ?? -1)).map(({ place }) => place))].filter((place) => !/^(django_content_type|auth_permission)\./.test(place)), []);
    }));
  });
}

t.test('a script that psql loads, under consent, and public', NEEDS_PG_DUMP, async (t) => {
  const psql = (url: string, file: string): Promise<{ stderr: string }> => promisify(execFile)('psql', ['--no-psqlrc', '--quiet', `--dbname=${url}`, `--file=${file}`], { maxBuffer: 1e9 });
  for (const dataset of ['zulip-11/local', 'zulip-12/local'] as const) {
    await withTestDatabase(dataset, async (source) => {
      const env = { DATABASE_URL: source, PATH: process.env.PATH ?? '' };
      for (const mode of ['full', 'consent', 'public'] as const) {
        await withEmptyDatabase(async (target) => {
          const place = t.testdir();
          const script = join(place, 'acme.sql');
          const done = await realmlift(['split', '--realm', 'acme', '--mode', mode, '--force', '--output', script], { env });
          t.equal(done.code, 0, done.stderr);
          t.strictSame(readdirSync(place), ['acme.sql']);
          await psql(target, script);
          const expected = await exportRealm(sourceAt(dataset, source), join(place, 'source'), 'acme', { mode, force: true });
          // Whoever did not agree is a placeholder there, and nobody has to be asked again.
          t.strictSame(differences(expected, await exportRealm(sourceAt(dataset, target), join(place, 'split'), 'acme')), [], `${dataset} ${mode}`);
          await t.rejects(psql(target, script), /already exists/);
        });
      }
    });
  }
});

t.test('approved users, several realms, and a salt of the new server', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', async (source) => {
    const env = { DATABASE_URL: source, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'], PATH: process.env.PATH ?? '' };
    const uploads = await uploadsDirectory('zulip-11/local');
    await withEmptyDatabase(async (target) => {
      const place = t.testdir();
      const secrets = join(place, 'new-secrets.conf');
      await writeFile(secrets, `[secrets]\navatar_salt = ${'5'.repeat(64)}\n`);
      const files = join(place, 'files');
      const done = await realmlift(['split', '--realm', 'acme', '--realm', 'globex', '--target-url', target, '--uploads-dir', uploads, '--files-dir', files, '--new-zulip-secrets', secrets], { env });
      t.ok(done.code === 0 || done.code === 4, done.stderr);
      t.match(await query(target, `SELECT string_agg(string_id, ' ' ORDER BY string_id) AS realms FROM zulip.zerver_realm`), [{ realms: 'acme globex zulipinternal' }]);
      for (const realm of ['acme', 'globex']) {
        const expected = await exportRealm(sourceAt('zulip-11/local', source), join(place, 'source'), realm);
        const found = await exportRealm(sourceAt('zulip-11/local', target, files), join(place, 'split'), realm, { salt: '5'.repeat(64) });
        t.strictSame(compareExports(expected, found).filter((each) => !each.startsWith('avatars')), [], realm);
        const avatars = (directory: string): number => (JSON.parse(readFileSync(join(directory, 'avatars/records.json'), 'utf8')) as unknown[]).length;
        t.equal(avatars(found), avatars(expected), 'avatars under their new names');
      }
    });
    await withEmptyDatabase(async (target) => {
      const approved = testData('zulip-11/local', 'acme-approved.txt');
      t.equal((await split(source, target, '--users', approved)).code, 0);
      const [scrubbed] = await query<{ n: number }>(target, `SELECT count(*)::int AS n FROM zulip.zerver_userprofile u JOIN zulip.zerver_realm r ON r.id = u.realm_id WHERE r.string_id = 'acme' AND u.is_mirror_dummy`);
      t.ok((scrubbed?.n ?? 0) > 3);
    });
  });
  t.match(await realmlift(['split', '--realm', 'acme'], { env: { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' } }), { code: 2, stderr: /--target-url URL or --output FILE/ });
});
