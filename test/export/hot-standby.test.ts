// A standby is where a careful DBA exports from. It is read only, lags behind, and cancels what stands in its recovery's way.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { PRIMARY, startStandby } from '../testbed/standby-server.js';
import { createDatabaseFromDump } from '../testbed/test-database.js';
import { startPostgres } from '../../src/demo/postgres-server.js';
import { testData } from '../testbed/test-data.js';
import { runExport, startExport } from './export-process.js';
import { query } from './grown-database.js';
import { sessions } from './blocked-export.js';
import { differingPaths } from './same-tree.js';
import { setTimeout as sleep } from 'node:timers/promises';

t.setTimeout(240_000);

t.test('a hot standby', async (t) => {
  const root = t.testdir({});
  const primary = await startPostgres(PRIMARY);
  t.teardown(() => primary.stop());
  const url = await createDatabaseFromDump(primary.url('postgres'), testData('zulip-11/local', 'database.sql.gz'), 'zulip');
  const standby = await startStandby(primary, { max_standby_streaming_delay: '0' });
  t.teardown(() => standby.stop());
  const there = standby.url('zulip');

  t.same((await query(there, 'SELECT pg_is_in_recovery() AS recovering')).rows, [{ recovering: true }]);
  for (const [name, from] of [['primary', url], ['standby', there]] as const) {
    const { code, stderr } = await runExport(from, join(root, name));
    t.equal(code, 0, stderr);
  }
  t.same(differingPaths(join(root, 'primary', 'acme'), join(root, 'standby', 'acme')), [], 'gives the same export');

  await t.test('catches up with a base of its primary, and its primary with its', async (t) => {
    await query(url, 'UPDATE zerver_usermessage SET flags = flags | 2 WHERE id IN (SELECT id FROM zerver_usermessage ORDER BY id LIMIT 3)');
    const { code, stderr } = await runExport(url, join(root, 'fresh'));
    t.equal(code, 0, stderr);
    for (const [name, from, base] of [['there', there, 'primary'], ['here', url, 'standby']] as const) {
      const caught = await runExport(from, join(root, name), '--base', join(root, base, 'acme'));
      t.equal(caught.code, 0, caught.stderr);
      t.same(differingPaths(join(root, 'fresh', 'acme'), join(root, name, 'acme')), []);
      t.match(baseOf(join(root, name, 'acme')), { rows: 'by their versions' });
    }
  });

  await t.test('where a table was changed after the snapshot, the run ends by its name', async (t) => {
    const holder = new pg.Client({ connectionString: there });
    await holder.connect();
    try {
      await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      const { rows: [held] } = await holder.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
      await query(url, 'ALTER TABLE zulip.zerver_reaction ALTER COLUMN emoji_code TYPE varchar(10) USING left(emoji_code, 10)');
      const { rows: [written] } = await query(url, 'SELECT pg_current_wal_lsn()::text AS at');
      while ((await query(there, `SELECT pg_last_wal_replay_lsn() >= '${String(written?.at)}' AS there`)).rows[0]?.there !== true) await sleep(20);
      const { code, stderr } = await runExport(there, join(root, 'changed'), '--snapshot', held?.id as string);
      t.equal(code, 1);
      t.match(stderr, /^realmlift: TABLE_CHANGED \[snapshot, zerver_reaction\]: \w+\.zerver_reaction .*take a new snapshot\)\n$/);
      t.notOk(existsSync(join(root, 'changed', 'acme.partial')), 'before a row left');
    } finally {
      await holder.end();
    }
    t.match(await runExport(there, join(root, 'anew')), { code: 0 }, 'a new one sees it as it is');
  });

  await t.test('that cancels a query is told as that, with what to set', async (t) => {
    const output = join(root, 'cancelled');
    // Vacuum on the primary removes rows that the snapshot on the standby still sees.
    await query(url, 'CREATE TABLE zulip.doomed AS SELECT generate_series(1, 1000) AS n');
    const running = await startExport(there, output);
    while (running.process.exitCode === null && (await sessions(there, "application_name = 'realmlift worker'")) === 0) await sleep(5);
    await query(url, 'DELETE FROM zulip.doomed');
    await query(url, 'VACUUM zulip.doomed');
    const { code, stderr } = await running.ended;
    t.equal(code, 1, stderr);
    t.match(stderr, /^realmlift: RECOVERY_CONFLICT \[\w+.*max_standby_streaming_delay.*hot_standby_feedback/);
    t.equal(stderr.trimEnd().split('\n').length, 1);
  });

  await t.test('that was promoted has a history of its own', async (t) => {
    await query(there, 'SELECT pg_promote()');
    const alone = await runExport(there, join(root, 'alone'));
    t.equal(alone.code, 0, alone.stderr);
    const { code, stderr } = await runExport(there, join(root, 'promoted'), '--base', join(root, 'fresh', 'acme'));
    t.equal(code, 0, stderr);
    t.same(differingPaths(join(root, 'alone', 'acme'), join(root, 'promoted', 'acme')), []);
    t.match(baseOf(join(root, 'promoted', 'acme')), { rows: /^compared one by one: the server was promoted or restored since: timeline 1 then, 2 now/ });
  });
});

/** What the report says of the base. */
function baseOf(directory: string): unknown {
  return (JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as { base: unknown }).base;
}
