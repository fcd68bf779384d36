import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { withGrownDatabase } from '../export/grown-database.js';
import { exported } from '../export/killed-export.js';
import { differingPaths } from '../export/same-tree.js';
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
  }));
});
