import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { line, narrate, Step } from '../../src/cli/narrate.js';
import { tellPhase, tellProgress } from '../../src/narration.js';

/** A stream that keeps what is written, as wide as a terminal. */
function terminal(columns: number): NodeJS.WriteStream & { readonly written: string } {
  const stream = new PassThrough();
  let written = '';
  stream.on('data', (chunk: Buffer) => { written += chunk.toString(); });
  return Object.defineProperties(stream, { columns: { value: columns }, written: { get: () => written } }) as unknown as NodeJS.WriteStream & { readonly written: string };
}

/** As on a terminal, whatever the tests' own standard error is. */
async function onTerminal<T>(work: () => Promise<T>): Promise<T> {
  const was = Object.getOwnPropertyDescriptor(process.stderr, 'isTTY');
  Object.defineProperty(process.stderr, 'isTTY', { value: true, configurable: true });
  try {
    return await work();
  } finally {
    if (was === undefined) Reflect.deleteProperty(process.stderr, 'isTTY');
    else Object.defineProperty(process.stderr, 'isTTY', was);
  }
}

async function work(): Promise<string> {
  tellPhase('a step with a name of a few words', 'bytes', 4 * 2 ** 30);
  tellProgress(2 ** 30);
  await sleep(600);
  tellPhase('indexes', 'steps', 3);
  tellProgress(3);
  return 'done';
}

t.test('on a terminal one line that never wraps, and one for each step that is done', async (t) => {
  for (const columns of [40, 80]) {
    const out = terminal(columns);
    t.equal(await onTerminal(() => narrate({}, work, out)), 'done');
    const shown = out.written.split(/[\r\n]/).map((each) => each.replace('\x1b[2K', ''));
    t.ok(shown.every((each) => each.length < columns), `at ${columns}`);
    t.ok(shown.some((each) => each.startsWith('a step with a name of a few words  25%')), 'the share first');
    t.match(out.written, /\r\x1b\[2Kindexes: 3 of 3 steps in /);
    t.match(out.written, /\r\x1b\[2K$/, 'nothing stays on the last line');
  }
});

t.test('in a log nothing before ten seconds; as JSON an object a second; quiet is quiet', async (t) => {
  for (const [options, pattern] of [[{}, /^$/], [{ quiet: true }, /^$/], [{ json: true }, /^\{.*"step":"a step.*"done":0.*\}\n\{.*"step":"indexes".*\}\n$/]] as const) {
    const out = terminal(80);
    t.equal(await narrate(options, work, out), 'done');
    t.match(out.written, pattern);
  }
  const out = terminal(80);
  await narrate({ json: true }, async () => {
    tellPhase('rows', 'parts', 4);
    tellProgress(1);
    await sleep(1200);
  }, out);
  t.match(JSON.parse(out.written.trimEnd().split('\n').at(-1) ?? ''), { kind: 'progress', step: 'rows', unit: 'parts', done: 1, total: 4 });
});

t.test('share, time left, amount and rate, the most important first', (t) => {
  const step = new Step('rows', 'bytes', 100 * 2 ** 20);
  step.pace(performance.now());
  step.done = 25 * 2 ** 20;
  t.match(line(step), /^rows {2}25% {2}\d+ s left {2}25\.0 MiB of 100\.0 MiB {2}[\d.]+ \w+\/s$/);
  const unknown = new Step('files', 'files', undefined);
  unknown.done = 1200;
  t.equal(line(unknown), 'files  1,200 files');
  t.end();
});
