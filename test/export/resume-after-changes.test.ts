import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { compareExports } from '../testbed/compare-export.js';
import { CHANGES } from './database-changes.js';
import { runExport } from './export-process.js';
import { query, withGrownDatabase } from './grown-database.js';
import { exported, killedAt } from './killed-export.js';
import { differingPaths } from './same-tree.js';

t.test('what was finished out of a snapshot that is gone', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    const output = join(root, 'out');
    for (const [index, [name, change]] of Object.entries(CHANGES).entries()) {
      await t.test(`does not outlive ${name}`, async (t) => {
        rmSync(output, { recursive: true, force: true });
        rmSync(join(root, 'fresh'), { recursive: true, force: true });
        await killedAt(url, output, 95);
        await query(url, change);
        const fresh = await exported(t, url, join(root, 'fresh'));
        // Another interruption, in the midst of a second snapshot; kill.long.test.ts has them of all.
        if (index % 2 === 0) await killedAt(url, output, 115, '--resume');
        const actual = await exported(t, url, output, '--resume');
        t.same(differingPaths(fresh, actual), [], 'the same bytes');
        t.same(compareExports(fresh, actual), [], 'the same export');
      });
    }
  });
});

t.test('a snapshot that is held', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    const fresh = await exported(t, url, join(root, 'fresh'));
    const output = join(root, 'held');
    const holder = new pg.Client({ connectionString: url });
    await holder.connect();
    const { rows: [held] } = await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ').then(() => holder.query<{ id: string; at: string }>(
      `SELECT pg_export_snapshot() AS id, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`));
    try {
      await killedAt(url, output, 85, '--snapshot', held?.id ?? '');
      for (const change of Object.values(CHANGES)) await query(url, change);
      const actual = await exported(t, url, output, '--resume');
      t.same(differingPaths(fresh, actual), [], 'is gone on with, whatever happens meanwhile');
      t.match(JSON.parse(readFileSync(join(actual, 'manifest.json'), 'utf8')), { snapshot: { id: held?.id, taken_at: held?.at } });
    } finally {
      await holder.end();
    }
    t.match(await runExport(url, join(root, 'gone'), '--snapshot', held?.id ?? ''), { code: 3, stderr: /^realmlift: SNAPSHOT_UNKNOWN [^\n]*\n$/ }, 'and missed when it is gone');
  });
});
