/** A session in the queue's database, and a run whose work is there. */
import { once } from 'node:events';
import t from 'tap';
import { QueuedRun } from '../../src/queue/runs/queued-run.js';
import { QueueSession } from '../../src/queue/runs/queue-session.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { query } from '../export/grown-database.js';
import { withClient } from '../testbed/database-client.js';
import { withEmptyDatabase } from '../testbed/test-database.js';

t.setTimeout(120_000);

t.test('a machine that is frozen in a transaction does not hold up the others', async (t) => withEmptyDatabase(async (url) => {
  await query(url, 'CREATE TABLE public.job AS SELECT 1 AS id');
  const session = await QueueSession.open(connectionSettings(url, {}), 'nothing', () => undefined);
  let others = (): void => undefined;
  const done = new Promise<void>((resolve) => { others = resolve; });
  let isHeld = (): void => undefined;
  const held = new Promise<void>((resolve) => { isHeld = resolve; });
  const frozen = session.transaction(async (statements) => {
    await statements.executeSql('SELECT FROM public.job FOR UPDATE');
    isHeld();
    await done;
    await statements.executeSql('DELETE FROM public.job');
  });
  await held;
  await query(url, 'UPDATE public.job SET id = 2');
  others();
  await t.rejects(frozen, { code: 'QUEUE_LOST' });
  // The server's last word may come before the end of the connection.
  if (!session.lost.aborted) await once(session.lost, 'abort');
  t.match(session.lost.reason, { code: 'QUEUE_LOST' });
  t.match((await query(url, 'SELECT id FROM public.job')).rows, [{ id: 2 }]);
  await session.close();
}));

t.test('somebody removes what a run has in the queue: it ends, and does not wait for what nobody will do', async (t) => withEmptyDatabase((source) => withEmptyDatabase((queue) => withClient(source, async (client) => {
  const snapshot = { client, settings: connectionSettings(source, {}), id: 'none', held: [] as readonly string[] } as Snapshot;
  const announcement = { salt: null, files: '', output: '/', bucket: null, probe: { file: '', digest: '' } };
  for (const removed of ['DELETE FROM realmlift_jobs.job', 'DELETE FROM realmlift_queue.run', 'DROP SCHEMA realmlift_jobs, realmlift_queue CASCADE']) {
    await QueuedRun.with({ settings: connectionSettings(queue, {}), silence: 1, onWarning: () => undefined, stop: undefined }, async (run) => {
      await run.open(snapshot);
      await run.announce(snapshot, announcement, () => Promise.resolve(), () => Promise.resolve());
      const done = run.board.send('rows', {}, 1, run.lost);
      for (let sent = 0; sent === 0;) sent = (await query(queue, 'SELECT FROM realmlift_jobs.job')).rowCount ?? 0;
      await query(queue, removed);
      await t.rejects(done, { code: 'QUEUE_LOST', message: /is there no more/, hint: /did somebody clear it/ }, removed);
    });
  }
}))));
