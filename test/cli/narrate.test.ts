import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { painter } from '../../src/cli/story/colour.js';
import type { TerminalStream } from '../../src/cli/story/live-block.js';
import { narrate } from '../../src/cli/story/narrate.js';
import { headline, logLine, percent, stepLines } from '../../src/cli/story/story-lines.js';
import { Story } from '../../src/cli/story/story.js';
import { tellAhead, tellPhase, tellPiece, tellProgress, tellWaiting, tellWarning, withNarrator } from '../../src/narration.js';
import { counted, rounded, size, time, timeLeft } from '../../src/numbers.js';
import { TerminalScreen } from '../testbed/terminal-screen.js';

/** Standard error as it is on a terminal, or where it is none. */
class Output extends EventEmitter {
  readonly isTTY: boolean;
  columns: number;
  readonly rows = 24;
  written = '';
  screen: TerminalScreen;
  /** The screen after each write. */
  readonly seen: string[][] = [];

  constructor(columns: number, isTTY = true) {
    super();
    this.isTTY = isTTY;
    this.columns = columns;
    this.screen = new TerminalScreen(columns);
  }

  write(text: string): boolean {
    this.written += text;
    this.screen.write(text);
    this.seen.push([...this.screen.lines]);
    return true;
  }
}

const stream = (output: Output): TerminalStream => output as unknown as TerminalStream;

async function work(): Promise<string> {
  tellAhead([{ name: 'a step with a name of a few words', weight: 3 }, { name: 'indexes', weight: 1 }]);
  tellPhase('a step with a name of a few words', 'bytes', 4 * 2 ** 30);
  tellProgress(2 ** 30);
  await sleep(600);
  tellWarning('something\x1b[2Jodd');
  tellPhase('indexes', 'steps', 3);
  tellProgress(3);
  await sleep(300);
  return 'done';
}

t.test('on a terminal: the whole first, then its steps; nothing wraps, what was warned of stays, and the block goes', async (t) => {
  for (const columns of [40, 80]) {
    const out = new Output(columns);
    t.equal(await narrate({}, work, stream(out)), 'done');
    t.notOk(out.screen.wrapped, `at ${columns} columns`);
    const during = out.seen.find((lines) => /^ *18%/.test(lines[0] ?? '')) ?? [];
    t.match(during[0], /^ 18% {2}\d+ s left/, 'a quarter of three quarters, and the time left');
    t.match(during[1], /^ {2}now {3}a step with a name of a few/);
    t.match(during[2], /^ {8}indexes$/, 'what is ahead');
    if (columns === 80) t.match(during[1], / {2}25% {2}1\.0 GiB of 4\.0 GiB/);
    t.ok(out.seen.some((lines) => /^ {2}done {2}a step/.test(lines[2] ?? '')), 'below the warning, what is done');
    t.same(out.screen.lines, ['realmlift: something\ufffd[2Jodd'.slice(0, columns), ''], 'only the warning is left');
  }
});

t.test('a terminal that becomes narrower: the block is written anew at once, and it is cleared from its first line on', async (t) => {
  const out = new Output(100);
  await narrate({}, async () => {
    tellPhase('a step with quite a long name, so that it fills the line', 'bytes', 4 * 2 ** 30);
    tellProgress(2 ** 30);
    await sleep(300);
    out.columns = 40;
    out.screen = new TerminalScreen(40);
    out.emit('resize');
    t.notOk(out.screen.wrapped);
    t.ok(out.screen.lines.every((line) => line.length < 40));
    await sleep(300);
  }, stream(out));
  t.notOk(out.screen.wrapped);
  // The cursor is left where the block begins: a terminal that breaks its lines anew moves both.
  t.match(out.written, /\r\x1b\[J[^\r]*\n[^\r]*\x1b\[1A\r/);
  t.equal(out.listenerCount('resize'), 0);
});

t.test('in a log nothing before ten seconds but warnings and waits; quiet is quiet', async (t) => {
  const wait = { table: 'zulip.zerver_message', since: '2026-01-01T00:00:00.000Z', seconds: 3, holders: [] };
  for (const [options, waits] of [[{}, 'realmlift: waiting for a lock on zulip.zerver_message since 00:00:00Z (3 s)\n'], [{ quiet: true }, '']] as const) {
    const out = new Output(80, false);
    t.equal(await narrate(options, async () => {
      tellWaiting(wait);
      return work();
    }, stream(out)), 'done');
    t.equal(out.written, `${waits}realmlift: something\ufffd[2Jodd\n`);
  }
});

t.test('as JSON an object as a step begins, one a second, and whatever else is told', async (t) => {
  const out = new Output(80);
  await narrate({ json: true }, async () => {
    tellPhase('rows', 'parts', 4);
    tellProgress(1, 700);
    tellWarning('odd');
    tellWaiting({ table: undefined, since: '2026-01-01T00:00:00.000Z', seconds: 3, holders: [] });
    await sleep(1200);
  }, stream(out));
  const told = out.written.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(told, [{ kind: 'progress', step: 'rows', done: 0, total: 4 }, { kind: 'warning', text: 'odd' }, { kind: 'waiting', seconds: 3 }, { kind: 'progress', step: 'rows', unit: 'parts', done: 1, total: 4, bytes: 700, percent: 25 }]);
  t.ok(told.every(({ time }) => typeof time === 'string'));
});

t.test('what was stopped ends at its next step', async (t) => {
  const stop = new AbortController();
  await t.rejects(narrate({ quiet: true }, () => {
    tellPhase('rows', 'parts', 4);
    stop.abort(new Error('stopped'));
    tellProgress(1);
    return Promise.resolve(t.fail('not reached'));
  }, stream(new Output(80, false)), stop.signal), { message: 'stopped' });
});

t.test('a piece whose size is guessed is all done when it is done, and not before', async (t) => {
  const told: number[] = [];
  const none = (): void => undefined;
  await withNarrator({ ahead: none, phase: none, total: none, warning: none, waiting: none, advance: (count) => told.push(count) }, () => {
    const piece = tellPiece(100);
    piece.more(60);
    piece.more(600);
    piece.more(1);
    piece.done();
    return Promise.resolve();
  });
  t.same(told, [60, 35, 5]);
});

t.test('lines', (t) => {
  const story = new Story();
  story.ahead([{ name: 'tables', weight: 1 }, { name: 'files', weight: 3 }]);
  story.begin('tables', 'tables').expect(1);
  const [tables] = story.steps;
  if (tables === undefined) return t.end();
  tables.done = 1;
  tables.end();
  const files = story.begin('files', 'files');
  files.expect(1200);
  files.done = 600;
  files.bytes = 3 << 20;
  t.match(headline(story, 'snapshot 5 min old'), /^ 62% {2}.*\[#{12}-{8}\] {2}[\d.]+ s so far {2}snapshot 5 min old$/);
  t.match(stepLines(story), [/^ {2}done {2}tables {2}1 {2}0\.0 s$/, /^ {2}now {3}files {3}50% {2}600 of 1,200 {2}3\.0 MiB/]);
  t.match(logLine(story, ''), /^62%.*files 50%, 600 of 1,200, 3\.0 MiB/);
  files.done = 1;
  t.match(headline(story, ''), /^ 62%/, 'what was told is not taken back');
  t.equal(percent(0.9999), '99%');
  t.equal(percent(1), '100%');
  t.end();
});

t.test('numbers: rounded, and with the right plural', (t) => {
  t.same([counted(1, 'file'), counted(0, 'file'), counted(1200, 'file')], ['1 file', '0 files', '1,200 files']);
  t.same([size(1), size(0.4), size(1536), size(3 * 2 ** 30)], ['1 B', '0 B', '1.5 KiB', '3.0 GiB']);
  t.same([time(1.23), time(45.4), time(720), time(12_000)], ['1.2 s', '45 s', '12 min', '3 h 20 min']);
  t.same([timeLeft(0.3), timeLeft(7.2), timeLeft(45.4)], ['1 s', '8 s', '45 s']);
  t.same([rounded(1.26), rounded(3), rounded(12_345), rounded(987)], ['1.3', '3', '12,000', '990']);
  t.end();
});

t.test('colours on terminals alone, and never with NO_COLOR', (t) => {
  t.equal(painter({ isTTY: true }, {})('red', 'lost'), '\x1b[31mlost\x1b[39m');
  for (const [terminal, env] of [[{ isTTY: false }, {}], [{}, {}], [{ isTTY: true }, { NO_COLOR: '1' }], [{ isTTY: true }, { TERM: 'dumb' }]] as const) t.equal(painter(terminal, env)('red', 'lost'), 'lost');
  t.equal(painter({ isTTY: true }, { NO_COLOR: '' })('red', 'x'), '\x1b[31mx\x1b[39m', 'an empty one says nothing');
  t.end();
});
