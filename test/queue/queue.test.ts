import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { realmlift } from '../cli/command-line.js';
import { runExport } from '../export/export-process.js';
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

    await t.test('of which somebody has the queue say that they wrote elsewhere: nothing there is removed or moved', async (t) => {
      const precious = join(root, 'precious');
      mkdirSync(precious);
      writeFileSync(join(precious, 'file'), '');
      const elsewhere = '../../../../precious';
      // Of files the attempt, of rows the part; both from acme.partial/.realmlift/attempts.
      for (const [kind, place, path] of [['files', '{attempt}', elsewhere], ['rows', '{parts,0,part,path}', '../../precious/file']]) {
        await query(queue, `
          CREATE FUNCTION public.mislead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.name LIKE '${kind}-%' AND NEW.state = 'completed' THEN NEW.output := jsonb_set(NEW.output, '${place}', '"${path}"'); END IF; RETURN NEW;
          END $$;
          CREATE TRIGGER mislead BEFORE UPDATE ON realmlift_jobs.job FOR EACH ROW EXECUTE FUNCTION public.mislead()`);
        await withWorkers(1, url, queue, async () => {
          const { code, stderr } = await runExport(url, join(root, `misled-${kind}`), '--queue', queue);
          t.equal(code, 1);
          t.match(stderr, new RegExp(`PART_NOT_THERE \\[queue\\]: .*${path}`));
        });
        await query(queue, 'DROP FUNCTION public.mislead() CASCADE');
        t.same(readdirSync(precious), ['file']);
      }
    });
  }));
});
