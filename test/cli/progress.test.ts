import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { withProgress } from '../../src/cli/progress.js';
import { ProgressTally } from '../../src/cli/progress-tally.js';
import type { ExportEvent } from '../../src/export/events.js';
import { runExport } from '../export/export-process.js';
import { withTestDatabase } from '../testbed/test-database.js';

interface Told {
  readonly time: string;
  readonly kind: string;
  readonly target?: string;
  readonly rows?: number;
  readonly table?: string;
  readonly code?: string;
}

function lines(stderr: string): Told[] {
  return stderr.trimEnd().split('\n').map((line) => JSON.parse(line) as Told);
}

t.test('what is done and what is left', (t) => {
  const tally = new ProgressTally();
  t.same(tally.classes(), []);
  t.equal(tally.age(), undefined);
  tally.take({ kind: 'snapshot', id: 'x', takenAt: '', age: 90, joined: false });
  t.ok((tally.age() ?? 0) >= 90);
  for (const target of ['acme', 'globex']) {
    tally.take({ target, kind: 'started', resumed: 'not', tables: { recipient: 3, message: 3 } });
    tally.take({ target, kind: 'planned', messages: 5000, messageFiles: 5 });
  }
  const path = 'messages-000001.json';
  tally.take({ target: 'acme', kind: 'progress', table: 'zerver_usermessage', dataClass: 'message', rows: 700, bytes: 9000 });
  tally.take({ target: 'acme', kind: 'part', part: { path, size: 1, sha256: '', rows: { zerver_message: 1000, zerver_usermessage: 9 } }, dataClass: 'message', kept: false });
  tally.take({ target: 'globex', kind: 'part', part: { path: 'x', size: 1, sha256: '', rows: { zerver_huddle: 2 } }, dataClass: 'recipient', kept: true });
  tally.take({ target: 'globex', kind: 'part', part: { path: 'y', size: 1, sha256: '', rows: {} }, dataClass: 'ledger', kept: false });
  tally.take({ target: 'acme', kind: 'file', event: { kind: 'file', area: 'emoji', path: 'emoji/x', size: 40, sha256: '', record: {}, resumed: false } });
  t.match(tally.classes(), [
    { name: 'recipient', unit: 'tables', done: 1, total: 6 },
    { name: 'message', unit: 'messages', done: 1000, total: 10_000, rows: 700, bytes: 9000 },
    { name: 'files', unit: 'files', done: 1, total: undefined, bytes: 40, left: undefined },
  ]);
  t.end();
});

t.test('what an export prints', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    await t.test('as JSON: events and nothing else, without anybody\'s address', async (t) => {
      const { code, stderr } = await runExport(url, join(root, 'json'), '--json');
      t.equal(code, 0, stderr);
      const told = lines(stderr);
      t.same(told.filter(({ kind }) => kind !== 'progress' && kind !== 'part' && kind !== 'file').map(({ kind }) => kind), ['snapshot', 'started', 'planned', 'let-go', 'packaging', 'finished']);
      const rows = told.reduce((sum, each) => sum + (each.table === 'zerver_usermessage' ? (each.rows ?? 0) : 0), 0);
      const stats = told.filter(({ kind }) => kind === 'part').flatMap((each) => (each as unknown as { part: { rows?: Record<string, number> } }).part.rows?.zerver_usermessage ?? []);
      t.equal(rows, stats.reduce((sum, count) => sum + count, 0), 'progress adds up to the rows of the parts');
      t.ok(rows > 0);
      t.notMatch(stderr, /@/, 'no address');
    });

    await t.test('as JSON: an error too', async (t) => {
      const { code, stderr } = await runExport(url, join(root, 'json'), '--json');
      t.equal(code, 1);
      t.match(lines(stderr).at(-1), { kind: 'failed', code: 'OUTPUT_EXISTS', stage: 'package' });
    });
  });
});

/** A terminal that remembers what was written to it. */
class Screen extends PassThrough {
  readonly isTTY = true;
  readonly columns = 160;
  readonly rows = 50;
  text = '';

  constructor() {
    super();
    this.on('data', (chunk: Buffer) => { this.text += chunk.toString(); });
  }
}

const EVENTS: readonly ExportEvent[] = [
  { kind: 'snapshot', id: 'x', takenAt: '', age: 300, joined: true },
  { target: 'acme', kind: 'started', resumed: 'not', tables: { recipient: 4, message: 3 } },
  { target: 'acme', kind: 'planned', messages: 4000, messageFiles: 4 },
  { target: 'acme', kind: 'progress', table: 'zerver_usermessage', dataClass: 'message', rows: 12_345, bytes: 3 << 20 },
  { target: 'acme', kind: 'part', part: { path: 'messages-000001.json', size: 1, sha256: '', rows: { zerver_message: 1000 } }, dataClass: 'message', kept: false },
  { target: 'acme', kind: 'warning', text: 'something odd' },
];

t.test('bars on a terminal', async (t) => {
  const screen = new Screen();
  await withProgress('bars', async (onEvent) => {
    for (const event of EVENTS) onEvent(event);
    await sleep(600);
  }, screen);
  t.match(screen.text, /recipient +\[-+\] +0% 0 of 4 tables/);
  t.match(screen.text, /message +\[=+-+\] +25% 1,000 of 4,000 messages, 12,345 rows, 3\.0 MiB/);
  t.match(screen.text, /snapshot 5 min old/);
  t.match(screen.text, /realmlift: something odd\n/);
});

t.test('a log has a line now and then, and quiet means warnings alone', async (t) => {
  const log = new Screen();
  await withProgress('log', async (onEvent) => {
    for (const event of EVENTS) onEvent(event);
    await sleep(10_500);
  }, log);
  t.match(log.text, /^realmlift: something odd\nrealmlift: recipient 0 of 4 tables; message 1,000 of 4,000 messages, 12,345 rows, 3\.0 MiB; snapshot 5 min old\n$/);
  const quiet = new Screen();
  await withProgress('quiet', (onEvent) => {
    for (const event of EVENTS) onEvent(event);
    return Promise.resolve();
  }, quiet);
  t.equal(quiet.text, 'realmlift: something odd\n');
});
