/** A session in the queue's database. */
import { once } from 'node:events';
import t from 'tap';
import { QueueSession } from '../../src/queue/runs/queue-session.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { query } from '../export/grown-database.js';
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
