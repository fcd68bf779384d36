/** A session in the queue's database, and a run whose work is there. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { RealmliftError } from '../../src/errors.js';
import type { FileStore } from '../../src/files/file-store.js';
import { filesDone, ROWS_DONE, ROWS_JOB } from '../../src/queue/exports/export-jobs.js';
import { ExportTrade } from '../../src/queue/exports/export-trade.js';
import type { Expected } from '../../src/queue/runs/expected.js';
import { requireAll } from '../../src/queue/exports/set-jobs.js';
import { RunPart } from '../../src/queue/run-part.js';
import { DONE_CHANNEL, openQueue } from '../../src/queue/runs/queue-schema.js';
import { QueuedRun } from '../../src/queue/runs/queued-run.js';
import { QueueSession } from '../../src/queue/runs/queue-session.js';
import { announcedRuns, type AnnouncedRun } from '../../src/queue/runs/runs.js';
import type { Trade } from '../../src/queue/runs/trade.js';
import { workForQueue } from '../../src/queue/worker-machine.js';
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

/** Runs `work` with a run that nobody takes part in, out of a source that is empty. */
async function withRun(queue: string, work: (run: QueuedRun) => Promise<void>): Promise<void> {
  await withEmptyDatabase((source) => withClient(source, async (client) => {
    const snapshot = { client, settings: connectionSettings(source, {}), id: 'none', held: [] as readonly string[] } as Snapshot;
    await QueuedRun.with({ settings: connectionSettings(queue, {}), silence: 1, onWarning: () => undefined, stop: undefined }, async (run) => {
      await run.open(snapshot);
      await run.announce(snapshot, { salt: null, files: '', output: '/', bucket: null, probe: { file: '', digest: '' } }, () => Promise.resolve(), () => Promise.resolve());
      await work(run);
      await run.end(true);
    });
  }));
}

async function untilSent(queue: string): Promise<void> {
  while ((await query(queue, 'SELECT FROM realmlift_jobs.job')).rowCount === 0) await sleep(5);
}

t.test('somebody removes what a run has in the queue: it ends, and does not wait for what nobody will do', async (t) => withEmptyDatabase(async (queue) => {
  for (const removed of ['DELETE FROM realmlift_jobs.job', 'DELETE FROM realmlift_queue.run', 'DROP SCHEMA realmlift_jobs, realmlift_queue CASCADE']) {
    await withRun(queue, async (run) => {
      const done = run.board.send('rows', {}, 1, run.lost, () => true);
      await untilSent(queue);
      await query(queue, removed);
      await t.rejects(done, { code: 'QUEUE_LOST', message: /is there no more/, hint: /did somebody clear it/ }, removed);
    });
    if (!removed.startsWith('DROP')) t.equal((await query(queue, 'SELECT FROM realmlift_queue.run UNION ALL SELECT FROM realmlift_jobs.job UNION ALL SELECT FROM realmlift_jobs.queue')).rowCount, 0, 'and leaves nothing there');
  }
}));

t.test('what the queue says of a job that no worker says is believed in nothing', async (t) => withEmptyDatabase((queue) => withRun(queue, async (run) => {
  const told = async (state: string, output: unknown, shape = ROWS_DONE): Promise<unknown> => {
    const done = run.board.send('rows', {}, 1, run.lost, shape).catch((error: unknown) => error);
    await untilSent(queue);
    await query(queue, `UPDATE realmlift_jobs.job SET state = '${state}', output = '${JSON.stringify(output)}'; NOTIFY ${DONE_CHANNEL}`);
    return done;
  };
  const sha256 = 'a'.repeat(64);
  const part = { path: 'messages-000001.json', size: 2, sha256, rows: { zerver_message: 1 }, clients: [1], ids: 'x', inode: 'y' };
  const done = { attempt: 'z', parts: [{ part, kept: false }], damaged: [], progress: [{ table: 'zerver_message', rows: 1, bytes: 2 }] };
  t.same(await told('completed', done), done);
  const wrong = [
    null, true, [], {}, { ...done, attempt: 1 }, { ...done, parts: {} }, { ...done, parts: [{}] }, { ...done, parts: [{ part: { ...part, rows: undefined }, kept: false }] }, { ...done, progress: null },
    { ...done, parts: [{ part: { ...part, size: '2' }, kept: false }] }, { ...done, parts: [{ part: { ...part, sha256: 'a' }, kept: false }] }, { ...done, parts: [{ part: { ...part, clients: [null] }, kept: false }] },
    { ...done, fault: {} }, { ...done, dealt: { spools: [{}], clients: [] } },
  ];
  for (const output of wrong) t.match(await told('completed', output), { code: 'QUEUE_DAMAGED', exit: 1 }, JSON.stringify(output));
  const file = { info: { size: 1, lastModified: 1.5, contentType: null, metadata: {} }, size: 1, sha256 };
  t.same(await told('completed', { attempt: 'z', files: [file, null] }, filesDone(2)), { attempt: 'z', files: [file, null] });
  for (const files of [[file], [file, null, null], [file, { ...file, info: { ...file.info, size: '1' } }]]) t.match(await told('completed', { attempt: 'z', files }, filesDone(2)), { code: 'QUEUE_DAMAGED' }, JSON.stringify(files));
  const error = { code: 'DISK_FULL', stage: 'package', message: 'no room', again: true, exit: 1 };
  t.match(await told('failed', { error }), { code: 'DISK_FULL', message: 'no room', exit: 1, again: true });
  for (const changed of [5, {}, { ...error, exit: 0 }, { ...error, code: 'no code' }, { ...error, hint: 5 }]) t.match(await told('failed', { error: changed }), { code: 'QUEUE_DAMAGED', exit: 1 }, JSON.stringify(changed));
  for (const output of [null, 5, { value: {} }]) t.match(await told('failed', output), { code: 'WORKERS_VANISHED' }, JSON.stringify(output));
})));

t.test('of what a worker dealt out no spool may be missing', (t) => {
  const spool = { path: 'rows-1', entriesAt: 0, directoryAt: 0, groups: 1, rows: 2, firstId: 1, lastId: 2 };
  const progress = [{ table: 'zerver_message', rows: 4, bytes: 9 }];
  requireAll('set-messages', { spools: [spool, spool], clients: [] }, progress);
  requireAll('set-rows-of-messages', { spools: [spool], clients: [] }, progress);
  for (const [kind, spools] of [['set-messages', [spool]], ['set-table', []], ['set-rows-of-messages', []]] as const) t.throws(() => requireAll(kind, { spools, clients: [] }, progress), { code: 'PART_NOT_THERE' }, kind);
  t.end();
});

t.test('two workers of one name and number are two, and each says what to do', async (t) => withEmptyDatabase((queue) => withRun(queue, async () => {
  const stop = new AbortController();
  const said: string[] = [];
  const ended = [1, 2].map(() => workForQueue({
    queue: connectionSettings(queue, {}), source: connectionSettings(queue, {}), jobs: 1, fileJobs: 1, openStore: () => Promise.reject(new RealmliftError('FILES_UNKNOWN', 'usage', 'no files', { hint: 'name them' })),
    uploads: () => ({ kind: 'directory', directory: '/' }), output: undefined, env: {}, salt: undefined, s3: {}, temporary: '/', oneRun: false, signal: stop.signal, onEvent: (text) => said.push(text),
  }));
  const seen = async (): Promise<number> => (await query(queue, "SELECT FROM realmlift_queue.worker WHERE refused = 'no files'")).rowCount ?? 0;
  while (said.filter((each) => /takes no part in the run \w+: no files \(name them\)$/.test(each)).length < 2) await sleep(10);
  await sleep(100);
  t.equal(await seen(), 2);
  stop.abort(new Error('stopped'));
  await Promise.all(ended.map((each) => t.rejects(each, /stopped/)));
})));

t.test('a worker to whom the queue gives no work says so, and why, also to the run', async (t) => withEmptyDatabase((queue) => withRun(queue, async () => {
  const session = await QueueSession.open(connectionSettings(queue, {}), 'nothing', () => undefined);
  const boss = await openQueue(session);
  const [announced] = await announcedRuns(session) as [AnnouncedRun];
  const trade: Trade = { threads: 1, batches: 1, ahead: 1, files: '', elsewhere: () => Promise.resolve(undefined), join: () => Promise.resolve(), do: () => Promise.reject(new Error('no work')), letGo: () => undefined, close: () => Promise.resolve() };
  const told: string[] = [];
  const part = new RunPart(announced, session, boss, trade, { name: 'one', onFailed: () => undefined, onHindered: ({ code }) => told.push(code) });
  const refused = async (): Promise<unknown> => (await query(queue, 'SELECT refused FROM realmlift_queue.worker')).rows[0]?.['refused'];
  await query(queue, 'ALTER TABLE realmlift_jobs.job RENAME COLUMN priority TO lost');
  await part.begin();
  while (typeof await refused() !== 'string') await sleep(5);
  t.same(told, ['SERVER_REFUSED']);
  await query(queue, 'ALTER TABLE realmlift_jobs.job RENAME COLUMN lost TO priority');
  // At its next beat.
  while (await refused() !== null) await sleep(5);
  await part.leave();
  await session.close();
})));

t.test('a job that no run says is refused by the worker before anything is done of it', async (t) => {
  const expected = { bucket: null, output: t.testdir() } as unknown as Expected;
  const trade = await ExportTrade.open(expected, { fileJobs: 1, openStore: () => Promise.resolve({ name: '', close: () => undefined } as unknown as FileStore), output: undefined, s3: {}, temporary: '/', takeThreads: () => { throw new Error('none'); } });
  const places = { finished: 'a', attempts: 'b' };
  const query = { table: 'zerver_client', select: 'SELECT 1', keys: ['id'], stripped: [] };
  const job = { segment: { kind: 'table', path: 'x', query }, schema: 'zulip', places };
  t.ok(ROWS_JOB(job));
  const never = new AbortController().signal;
  for (const damaged of [null, {}, { ...job, schema: 1 }, { ...job, places: {} }, { ...job, segment: null }, { ...job, segment: { ...job.segment, kind: 'other' } }, { ...job, segment: { ...job.segment, query: { ...query, keys: 'id' } } }, { ...job, segment: { kind: 'ids', table: 'x' } }, { ...job, segment: { kind: 'messages', messages: query } }]) {
    await t.rejects(trade.do('rows', damaged as object, never), { code: 'QUEUE_DAMAGED', hint: /only realmlift's role/ }, JSON.stringify(damaged));
  }
  for (const damaged of [{ places }, { places, files: [{}] }, { files: [] }]) await t.rejects(trade.do('files', damaged, never), { code: 'QUEUE_DAMAGED' }, JSON.stringify(damaged));
  await trade.close();
});
