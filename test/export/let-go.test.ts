/** The snapshot and all sessions are let go when the rows are copied, however long the files take. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { gated } from '../files/gated-store.js';
import { sessions } from './blocked-export.js';
import { query } from './grown-database.js';
import { differingPaths } from './same-tree.js';
import { exportFrom, exportRealm, withSource } from './test-source.js';

t.setTimeout(120_000);

t.test('while files are still to come, the server has no session of ours', async (t) => {
  await withSource('zulip-11/local', async (source) => {
    const root = t.testdir({});
    const before = await exportRealm(source, join(root, 'before'), 'acme', { randomSeed: 'x' });
    for (const realms of [['acme'], ['acme', 'globex', 'tiny', 'closed']]) {
      let open: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => { open = resolve; });
      const output = join(root, String(realms.length));
      const running = exportFrom(source, output, realms, { randomSeed: 'x', openStore: async () => gated(await source.openStore(), () => gate) });
      let seen = 0;
      for (let quiet = 0; quiet < 20; await sleep(20)) {
        const now = await sessions(source.url);
        seen = Math.max(seen, now);
        quiet = seen > 0 && now === 0 ? quiet + 1 : 0;
      }
      t.ok(seen > 2, `there were ${seen}`);
      await query(source.url, 'ALTER TABLE zerver_message ADD COLUMN IF NOT EXISTS more integer');
      open();
      for (const outcome of await running) t.notOk('error' in outcome && outcome.error);
      t.same(differingPaths(before, join(output, 'acme')), [], 'and the export is the same');
      await query(source.url, 'ALTER TABLE zerver_message DROP COLUMN more');
    }
  });
});

t.test('^C still stops a run that has let go', async (t) => {
  await withSource('zulip-11/local', async (source) => {
    const stop = new AbortController();
    const gate = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => { resolve(); }));
    const running = exportFrom(source, join(t.testdir({}), 'out'), ['acme'], {
      signal: stop.signal, openStore: async () => gated(await source.openStore(), () => gate),
      onEvent: (event) => { if (event.kind === 'let-go') stop.abort(new Error('stopped')); },
    });
    await t.rejects(running, { message: 'stopped' });
  });
});
