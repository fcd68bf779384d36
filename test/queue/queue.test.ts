import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { realmlift } from '../cli/command-line.js';
import { query, withGrownDatabase } from '../export/grown-database.js';
import { exported } from '../export/killed-export.js';
import { differingPaths } from '../export/same-tree.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { withWorkers } from './worker-process.js';

t.test('an export by workers', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase((url) => withEmptyDatabase(async (queue) => {
    const alone = await exported(t, url, join(root, 'alone'));

    await t.test('is the same bytes as one by a single machine', async (t) => {
      const output = join(root, 'three');
      await withWorkers(3, url, queue, async (workers) => {
        const together = await exported(t, url, output, '--queue', queue);
        t.same(differingPaths(alone, together), [], 'the same bytes');
        t.same(readdirSync(output), ['acme'], 'and nothing beside it');
        t.notOk(existsSync(join(together, '.realmlift')), 'or in it');
        for (const worker of workers) t.match(worker.said(), /takes part in the run/);
      });
    });

    await t.test('of single users too', async (t) => {
      const { rows } = await query(url, "SELECT u.delivery_email AS address FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id WHERE r.string_id = 'acme' AND NOT u.is_bot AND u.is_active ORDER BY u.id LIMIT 2");
      const users = rows.flatMap(({ address }) => ['--user', address as string]);
      const exportUsers = async (output: string, ...words: string[]): Promise<void> => {
        const given = ['export-user', '--realm', 'acme', ...users, '--output', output, '--uploads-dir', await uploadsDirectory('zulip-11/local'), '--random-seed', 'test', '--quiet', ...words];
        const { code, stderr } = await realmlift(given, { env: { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] } });
        t.equal(code, 0, stderr);
      };
      await exportUsers(join(root, 'users'));
      await withWorkers(2, url, queue, async (workers) => {
        await exportUsers(join(root, 'queued-users'), '--queue', queue);
        t.ok(workers.some((worker) => worker.said().includes('takes part in the run')));
      });
      const made = readdirSync(join(root, 'users')).filter((name) => name.startsWith('acme-user-'));
      t.equal(made.length, 2);
      for (const name of made) t.same(differingPaths(join(root, 'users', name), join(root, 'queued-users', name)), [], 'the same bytes');
    });
  }));
});
