/** What long commands show on a real pseudo-terminal of 80 and of 40 columns. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { NEEDS_PG_DUMP, withPlace } from '../backup/test-backup.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT, NEW_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { CLI } from '../testbed/tested-cli.js';

t.setTimeout(300_000);

const root = t.testdir({});

interface Seen {
  readonly code: number | null;
  /** Of the block that is written over, each state that was to be seen: its lines. */
  readonly frames: readonly (readonly string[])[];
  readonly text: string;
}

/** Runs a command on a terminal of its own. @param words a shell's */
async function onTerminal(columns: number, words: readonly string[], env: Readonly<Record<string, string>>, also = ''): Promise<Seen> {
  const log = join(root, `${columns}-${words[0] ?? ''}`);
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const child = spawn('script', ['-qefc', `stty cols ${columns} rows 24; ${also}'${process.execPath}' '${CLI}' ${quoted}`, log], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...env, TERM: 'xterm-256color' } });
  const [code] = await once(child, 'close') as [number | null];
  // The terminal's driver puts a return before each line end.
  const text = readFileSync(log, 'utf8').replaceAll('\r\n', '\n').replace(/^Script started.*\n/, '').replace(/\nScript done.*\n?$/, '');
  const frames = [...text.matchAll(/\r\x1b\[J([^\x1b\r]+)(?:\x1b\[\d+A)?\r/g)].map((match) => (match[1] as string).split('\n'));
  return { code, frames, text };
}

/** Widths at which the time left was seen: what ends within a second or two may end before it can be told. */
const withTimeLeft = new Set<number>();

function looks(t: Test, columns: number, { code, frames, text }: Seen, ...steps: string[]): void {
  t.equal(code, 0, text);
  t.ok(frames.length > 1, `${frames.length} states were to be seen at ${columns}`);
  t.same(frames.flat().filter((line) => line.length >= columns), [], 'nothing wraps');
  t.ok(frames.every(([first = '']) => /^ {0,2}\d+% {2}/.test(first)), 'the share of the whole comes first');
  if (frames.some(([first = '']) => /^ {0,2}\d+% {2}\d+ s left/.test(first))) withTimeLeft.add(columns);
  const lines = frames.flat();
  // Whether done, under way or ahead: short ones come and go between two looks.
  for (const step of steps) t.ok(lines.some((line) => line.slice(8).startsWith(step.slice(0, columns - 12))), step);
  t.equal(frames.at(-1)?.length, frames[0]?.length, 'the steps are known from the beginning');
}

const installed = ((): boolean => {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux');
  } catch {
    return false;
  }
})();

t.test('on terminals of 80 and 40 columns', installed ? NEEDS_PG_DUMP : { skip: 'script (of util-linux) is not installed' }, async (t) => withTestDatabase('zulip-11/local', async (url) => withPlace(async ({ directory, recipient, identityFile }) => {
  const uploads = await uploadsDirectory('zulip-11/local');
  const env = { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] };
  for (const columns of [80, 40]) {
    const output = join(directory, String(columns));
    const acme = join(output, 'acme');
    const backups = join(directory, `backups-${columns}`);
    await t.test(`export, ${columns}`, async (t) => looks(t, columns, await onTerminal(columns, ['export', '--realm', 'acme', '--output', output, '--uploads-dir', uploads, '--tarball'], env), 'tables', 'messages', 'files', 'package', 'verification', 'tarball'));
    await t.test(`load, ${columns}`, async (t) => withTestDatabase('zulip-11/new-server', async (target) => {
      const place = join(output, 'uploads');
      mkdirSync(place);
      looks(t, columns, await onTerminal(columns, ['load', acme, '--target-url', target, '--subdomain', 'acme', '--uploads-dir', place], { ZULIP_AVATAR_SALT: NEW_SALT }), 'verification', 'reading', 'all other rows', 'uploaded files', 'last step');
    }));
    // The same lines in the same block: narrate.test.ts has them at both widths.
    if (columns === 80) continue;
    await t.test(`verify, ${columns}`, async (t) => {
      const seen = await onTerminal(columns, ['verify', acme], {});
      t.equal(seen.code, 0);
      t.same(seen.frames.flat().filter((line) => line.length >= columns), []);
      t.match(seen.text, /good/);
    });
    await t.test(`backup, ${columns}`, async (t) => looks(t, columns, await onTerminal(columns, ['backup', '--to', backups, '--recipient', recipient, '--uploads-dir', uploads], env), 'rows', 'uploaded files'));
    await t.test(`restore, ${columns}`, async (t) => withEmptyDatabase(async (target) => looks(t, columns, await onTerminal(columns, ['restore', backups, '--identity', identityFile, '--database-url', target, '--prove'], {}), 'schema', 'restored rows', 'indexes and constraints', 'comparison')));
  }
  t.same(withTimeLeft, new Set([80, 40]), 'the time left comes second');
  await t.test('made narrower meanwhile, without colours where they are not wanted, and a stream is refused', async (t) => {
    const words = ['verify', join(directory, 'backups-40'), '--identity', identityFile];
    const narrowed = await onTerminal(90, words, { NO_COLOR: '1' }, '(sleep 0.6; stty cols 40 </dev/tty) & ');
    t.equal(narrowed.code, 0, narrowed.text);
    t.notMatch(narrowed.text, /\x1b\[[\d;]*m/);
    for (const stream of [['export', '--realm', 'acme', '--output', '-', '--uploads-dir', uploads], ['pipe', join(directory, '80', 'acme')], ['split', '--realm', 'acme', '--output', '-'], ['report', join(directory, '80', 'acme'), '--output', '-']]) {
      const refused = await onTerminal(80, stream, env);
      t.equal(refused.code, 2, stream.join(' '));
      t.match(refused.text, /standard output is a terminal/);
    }
  });
})));
