// `realmlift install`, and the source that is never written to.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type pg from 'pg';
import t from 'tap';
import { SIDE_FILES } from '../../src/package/side-files.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { withPostgres } from '../../src/demo/postgres-server.js';
import { AVATAR_SALT, testData } from '../testbed/test-data.js';
import { withClient } from '../testbed/database-client.js';
import { createDatabaseFromDump } from '../testbed/test-database.js';
import { filesBelow } from '../files/pull-fixture.js';
import { realmliftHere as realmlift } from './command-here.js';
import type { Ended } from './command-line.js';

const PASSWORD = 'of the role';

const query = <R extends pg.QueryResultRow>(url: string, sql: string): Promise<R[]> => withClient(url, async (client) => (await client.query<R>(sql)).rows);

/** SHA-256 of every file, but of those that tell of the run itself. */
function content(directory: string): Record<string, string> {
  return Object.fromEntries(filesBelow(directory).filter((path) => !['manifest.json', 'report.json', ...SIDE_FILES].includes(basename(path))).sort()
    .map((path) => [path, createHash('sha256').update(readFileSync(join(directory, path))).digest('hex')]));
}

/** Everything of the server that a write would change: the write-ahead log's position, and what was done to the rows of each database. */
async function traces(url: string): Promise<unknown> {
  return query(url, `
    SELECT pg_current_wal_insert_lsn() AS wal, (SELECT sum(tup_inserted + tup_updated + tup_deleted) FROM pg_stat_database) AS rows,
           (SELECT count(*) FROM pg_class) AS relations, (SELECT count(*) FROM pg_roles) AS roles`);
}

t.test('a role that can read only the views exports the same bytes, and the server is as it was', async (t) => {
  const directory = t.testdir({});
  const uploads = await uploadsDirectory('zulip-11/local');
  // A server of its own: its write-ahead log is nobody else's.
  await withPostgres(async (server) => {
    const url = await createDatabaseFromDump(server.url('postgres'), testData('zulip-11/local', 'database.sql.gz'), 'zulip');
    const as = new URL(url);
    as.username = 'realmlift';
    as.password = PASSWORD;
    const run = (name: string, from: string, ...words: string[]): Promise<Ended> =>
      realmlift(['export', '--realm', 'acme', '--output', join(directory, name), '--uploads-dir', uploads, '--random-seed', 'same', '--no-verify', ...words], { DATABASE_URL: from, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] });
    const MODES = [['full'], ['consent', '--mode', 'consent'], ['public', '--mode', 'public', '--force']] as const;

    await t.test('an export writes nothing to the server', async (t) => {
      // What the server does on its own at the first use of fresh tables is done before.
      await query(url, 'VACUUM');
      await query(url, 'CHECKPOINT');
      const before = await traces(url);
      for (const [name, ...words] of MODES) {
        const { code, stderr } = await run(name, url, ...words);
        t.equal(code, 0, stderr);
      }
      t.strictSame(await traces(url), before);
    });

    let printed = '';
    await t.test('--dry-run prints the SQL and changes nothing', async (t) => {
      const before = await traces(url);
      const { code, stdout, stderr } = await realmlift(['install', '--dry-run'], { DATABASE_URL: url });
      t.strictSame([code, stderr], [0, '']);
      t.match(stdout, /^BEGIN;\n/);
      t.match(stdout, /\nCREATE VIEW realmlift\."zerver_stream" AS\n {2}SELECT "id", "name", /);
      t.match(stdout, /\nGRANT SELECT ON ALL TABLES IN SCHEMA realmlift TO "realmlift";\nCOMMIT;\n$/);
      t.notMatch(stdout, /"(password|api_key|zoom_token|token)"/);
      t.strictSame(await traces(url), before);
      printed = stdout;
    });

    await t.test('install runs just that, again and again', async (t) => {
      for (let time = 1; time <= 2; time++) {
        const { code, stdout, stderr } = await realmlift(['install'], { DATABASE_URL: url });
        t.strictSame([code, stdout], [0, '']);
        t.match(stderr, /^realmlift: views made in the schema realmlift; realmlift may read them\n$/);
      }
      await query(url, `ALTER ROLE realmlift PASSWORD '${PASSWORD}'`);
      await query(url, printed);
    });

    await t.test('the role reads nothing but the views, and no secret', async (t) => {
      await withClient(as.href, async (client) => {
        const denied = async (sql: string, code = '42501'): Promise<void> => { await t.rejects(client.query(sql), { code }, sql); };
        const { rows: tables } = await client.query<{ name: string }>("SELECT relname AS name FROM pg_class WHERE relnamespace = 'zulip'::regnamespace AND relkind = 'r'");
        t.ok(tables.length > 100);
        for (const { name } of tables) await denied(`SELECT * FROM zulip.${name}`);
        for (const column of ['password', 'api_key', 'uuid', 'zoom_token']) await denied(`SELECT ${column} FROM realmlift.zerver_userprofile`, '42703');
        await denied('SELECT token FROM realmlift.zerver_service', '42703');
        await denied('SELECT value FROM realmlift.zerver_botconfigdata', '42703');
        await denied('SELECT * FROM realmlift.zerver_pushdevicetoken', '42P01');
        await denied('UPDATE realmlift.zerver_stream SET name = name');
        await denied('DELETE FROM realmlift.zerver_message');
        await denied('CREATE TABLE realmlift.more (id int)');
        t.ok((await client.query('SELECT id FROM realmlift.zerver_message')).rowCount);
      });
    });

    await t.test('its exports are the same', async (t) => {
      for (const [name, ...words] of MODES) {
        const { code, stderr } = await run(`${name}-by-views`, as.href, ...words);
        t.equal(code, 0, stderr);
        t.strictSame(content(join(directory, `${name}-by-views`, 'acme')), content(join(directory, name, 'acme')), name);
        t.match(stderr, /\n {2}uploads .*not all was listed/, 'rows of the archive claim files too, and are not to be read');
      }
      const user = ['--user', 'owner@acme.example'];
      for (const [name, from] of [['user', url], ['user-by-views', as.href]] as const) {
        const { code, stderr } = await realmlift(['export-user', '--realm', 'acme', ...user, '--output', join(directory, name), '--uploads-dir', uploads], { DATABASE_URL: from, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] });
        t.equal(code, 0, stderr);
      }
      t.strictSame(content(join(directory, 'user-by-views')), content(join(directory, 'user')), 'single user');
    });

    await t.test('views that are older than the schema are said to be so', async (t) => {
      await query(url, 'DROP VIEW realmlift.zerver_savedsnippet');
      const { code, errors } = await run('stale', as.href);
      t.equal(code, 1);
      t.equal(errors.length, 1);
      t.match(errors[0], /^realmlift: RIGHT_MISSING \[plan, \w+\]: .*\(the views in realmlift are older than the schema: run realmlift install again\)$/);
      await query(url, 'CREATE VIEW realmlift.zerver_savedsnippet AS SELECT id, title, content, date_created, realm_id FROM zulip.zerver_savedsnippet; GRANT SELECT ON realmlift.zerver_savedsnippet TO realmlift');
      const narrow = await run('narrow', as.href);
      t.equal(narrow.code, 1);
      t.match(narrow.errors, [/^realmlift: RIGHT_MISSING \[plan, zerver_savedsnippet\]: .*\(the view realmlift\.zerver_savedsnippet lacks the column user_profile_id: run realmlift install again, or leave it out with --strip/]);
      t.notOk(existsSync(join(directory, 'narrow', 'acme')));
    });

    await t.test('what install is told to strip is in no view', async (t) => {
      const mistyped = await realmlift(['install', '--dry-run', '--strip', 'zerver_userprofile.avatar_hsah'], { DATABASE_URL: url });
      t.match(mistyped, { code: 2, stdout: '', stderr: /^realmlift: COLUMN_UNKNOWN \[plan\]: .*zerver_userprofile\.avatar_hsah/ }, 'and a name that no column has is no promise');
      const { stdout } = await realmlift(['install', '--dry-run', '--role', 'o"dd', '--strip', 'zerver_userprofile.avatar_hash'], { DATABASE_URL: url });
      t.notMatch(stdout, '"avatar_hash"');
      await query(url, stdout.replaceAll('o""dd', 'realmlift').replaceAll("o\"dd", 'realmlift'));
      t.match(await run('unstripped', as.href), { code: 1, stderr: /lacks the column avatar_hash: .*--strip zerver_userprofile\.avatar_hash/ });
      t.equal((await run('stripped', as.href, '--strip', 'zerver_userprofile.avatar_hash')).code, 0);
      t.match(stdout, 'CREATE ROLE "o""dd" LOGIN');
      await query(url, 'ALTER TABLE zulip.zerver_stream ADD COLUMN push_token text');
      const undecided = await realmlift(['install'], { DATABASE_URL: url });
      t.equal(undecided.code, 3);
      t.match(undecided.errors, [/^realmlift: SECRET_UNDECIDED \[plan\]: .*zerver_stream\.push_token/]);
    });
  });
});
