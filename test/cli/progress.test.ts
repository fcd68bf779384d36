import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { ExportStory } from '../../src/cli/story/export-story.js';
import type { TerminalStream } from '../../src/cli/story/live-block.js';
import { withProgress } from '../../src/cli/story/progress.js';
import { logLine, stepLines } from '../../src/cli/story/story-lines.js';
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

const ALL = { verify: true, tarball: true, upload: true };

function steps(story: ExportStory): unknown[] {
  return story.steps.map(({ name, unit, done, total, bytes, ended, began }) => ({ name, unit, done, total, bytes, state: ended !== undefined ? 'done' : began !== undefined ? 'now' : 'ahead' }));
}

t.test('of one realm: its steps, and how far each is', (t) => {
  const story = new ExportStory(ALL);
  t.match(steps(story), ['tables', 'messages', 'files', 'package', 'verification', 'tarball', 'upload'].map((name) => ({ name, state: 'ahead' })));
  t.equal(story.note(), '');
  story.take({ kind: 'snapshot', id: 'x', takenAt: '', age: 300, joined: false });
  t.equal(story.note(), 'snapshot 5 min old');
  story.take({ target: 'acme', kind: 'started', resumed: 'not', tables: { recipient: 1, message: 3, public_realm: 1 } });
  story.take({ target: 'acme', kind: 'planned', messages: 5000, messageFiles: 5 });
  story.take({ target: 'acme', kind: 'files-wanted', files: 4, bytes: 1000 });
  story.take({ target: 'acme', kind: 'progress', table: 'zerver_usermessage', dataClass: 'message', rows: 700, bytes: 9000 });
  story.take({ target: 'acme', kind: 'part', part: { path: 'messages-000001.json', size: 1, sha256: '', rows: { zerver_message: 1000, zerver_usermessage: 9 } }, dataClass: 'message', kept: false });
  for (const path of ['x', 'y']) story.take({ target: 'acme', kind: 'part', part: { path, size: 1, sha256: '', rows: { zerver_huddle: 2 } }, dataClass: 'recipient', kept: true });
  story.take({ target: 'acme', kind: 'part', part: { path: 'z', size: 1, sha256: '', rows: {} }, dataClass: 'ledger', kept: false });
  story.take({ target: 'acme', kind: 'file', event: { kind: 'file', area: 'emoji', path: 'emoji/x', size: 40, sha256: '', record: {}, resumed: false } });
  t.match(steps(story).slice(0, 3), [
    { name: 'tables', unit: 'tables', done: 2, total: 2, state: 'done' },
    { name: 'messages', unit: 'messages', done: 1000, total: 5000, bytes: 9000, state: 'now' },
    { name: 'files', unit: 'files', done: 1, total: 4, bytes: 40, state: 'now' },
  ]);
  const { share = 0 } = story.overall();
  t.ok(share > 0.05 && share < 0.2, `${share}: most of the work is messages and what follows`);
  story.take({ target: 'acme', kind: 'packaging' });
  t.match(steps(story).slice(1, 4), [{ state: 'done' }, { state: 'done' }, { name: 'package', state: 'now' }]);
  story.take({ kind: 'let-go' });
  t.equal(story.note(), '');
  t.end();
});

t.test('of many realms: how many are done, and the rows of all', (t) => {
  const story = new ExportStory({ ...ALL, tarball: false, upload: false });
  story.take({ kind: 'targets', count: 300 });
  t.match(logLine(story, story.note()), /^0%; realms 0%, 0 of 300$/);
  story.take({ target: '', kind: 'started', resumed: 'not', tables: { recipient: 4 } });
  story.take({ target: '', kind: 'planned', messages: 1000, messageFiles: 300 });
  story.take({ target: '', kind: 'part', part: { path: 'm', size: 1, sha256: '', rows: { zerver_message: 1000 } }, dataClass: 'message', kept: false });
  t.ok(Math.abs((story.overall().share ?? 0) - 0.45) < 0.01, 'rows are half of it');
  for (let n = 0; n < 150; n++) story.take({ target: `r${n}`, kind: 'finished', directory: '' });
  t.ok(Math.abs((story.overall().share ?? 0) - 0.7) < 0.01);
  t.match(stepLines(story).at(-1), /^ {2}now {3}realms +50% {2}150 of 300/);
  t.end();
});

t.test('what an export prints', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    await t.test('as JSON: events and nothing else, without anybody\'s address', async (t) => {
      const { code, stderr } = await runExport(url, join(root, 'json'), '--json');
      t.equal(code, 0, stderr);
      const told = lines(stderr);
      t.same(told.filter(({ kind }) => kind !== 'progress' && kind !== 'part' && kind !== 'file').map(({ kind }) => kind).sort(), ['files-wanted', 'finished', 'let-go', 'packaging', 'planned', 'snapshot', 'started']);
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

t.test('warnings are told as they come, with --quiet too, and waits without it', async (t) => {
  for (const [mode, expected] of [['log', /^realmlift: something odd\nrealmlift: waiting for a lock on a lock .*\n$/], ['quiet', /^realmlift: something odd\n$/]] as const) {
    let written = '';
    const out = { write: (text: string) => { written += text; return true; } } as unknown as TerminalStream;
    await withProgress(mode, ALL, (onEvent) => {
      onEvent({ target: 'acme', kind: 'warning', text: 'something odd' });
      onEvent({ kind: 'waiting', table: undefined, since: '2026-01-01T00:00:00.000Z', seconds: 3, holders: [] });
      return Promise.resolve();
    }, out);
    t.match(written, expected);
  }
});

t.test('a log has a line now and then', async (t) => {
  let written = '';
  const out = { write: (text: string) => { written += text; return true; } } as unknown as TerminalStream;
  await withProgress('log', { ...ALL, verify: false }, async (onEvent) => {
    onEvent({ kind: 'snapshot', id: 'x', takenAt: '', age: 300, joined: true });
    onEvent({ target: 'acme', kind: 'started', resumed: 'not', tables: { recipient: 4, message: 3 } });
    onEvent({ target: 'acme', kind: 'planned', messages: 4000, messageFiles: 4 });
    onEvent({ target: 'acme', kind: 'part', part: { path: 'messages-000001.json', size: 1, sha256: '', rows: { zerver_message: 1000 } }, dataClass: 'message', kept: false });
    await sleep(10_500);
  }, out);
  t.match(written, /^realmlift: \d+%(?:, [^;]* left)?; tables 0%, 0 of 4; messages 25%, 1,000 of 4,000[^;]*; snapshot 5 min old\n$/);
});
