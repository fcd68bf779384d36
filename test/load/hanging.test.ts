/** Who stops a load while the new server does not answer waits for a few seconds, and not for it. */
import t from 'tap';
import { loadExport } from '../../src/commands/load.js';
import { updateLoad } from '../../src/commands/update.js';
import { EXIT, RealmliftError } from '../../src/errors.js';
import { undoLoad } from '../../src/load/undo-load.js';
import { sampleExport } from '../pipe/sample-export.js';
import { FaultyConnection } from '../snapshot/faulty-connection.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { emptyUploads, load, request, undo, update } from './new-server.js';

t.setTimeout(180_000);

/** Milliseconds; a session that is silent for no reason would be given up later. */
const SOON = 12_000;

const acme = (await withTestDatabase('zulip-11/local', (url) => sampleExport(url, { realm: 'acme', output: t.testdir() })))[0] as string;

t.test('stopped while nothing comes over the connection', async (t) => withTestDatabase('zulip-11/new-server', async (database) => {
  const uploads = emptyUploads();
  /** Hangs all connections when so many pieces were sent, and stops the work. */
  const stopped = async (pieces: number, hint: RegExp | undefined, work: (url: string, stop: AbortSignal) => Promise<unknown>): Promise<void> => {
    const proxy = await FaultyConnection.open(database);
    const stop = new AbortController();
    let sent = 0;
    let since = Infinity;
    proxy.onSent = () => {
      if (++sent !== pieces) return;
      proxy.deaf = true;
      proxy.hang();
      since = performance.now();
      stop.abort(new RealmliftError('STOPPED', 'load', 'stopped', { exit: EXIT.interrupted }));
    };
    try {
      await t.rejects(work(proxy.url, stop.signal), { code: 'STOPPED', exit: EXIT.interrupted, ...(hint === undefined ? {} : { hint }) }, `after ${pieces} pieces`);
      t.ok(performance.now() - since < SOON, `after ${Math.round(performance.now() - since)} ms`);
    } finally {
      proxy.close();
    }
  };
  let begun = false;
  const loading = (url: string, stop: AbortSignal): Promise<unknown> => loadExport(acme, request(url, uploads), stop, () => { begun = true; });

  await stopped(250, /--resume goes on, --undo removes/, loading);
  t.ok(begun, 'whoever leaves it behind knows that it has begun');
  await stopped(20, undefined, (url, stop) => undoLoad(request(url, uploads), stop));
  await undo(database, uploads);
  begun = false;
  for (const pieces of [1, 50, 70]) await stopped(pieces, undefined, loading);
  t.notOk(begun);
  await load(acme, database, uploads);
  await stopped(20, undefined, (url, stop) => updateLoad(acme, { ...request(url, uploads), base: undefined }, stop));
  t.match(await update(acme, database, uploads), { differed: false, used: false });
}));
