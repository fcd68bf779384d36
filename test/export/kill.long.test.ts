/**
 * Kills exports at random moments, many times: the process, its sessions, the session that holds the snapshot; with and without
 * a base, and changes of the database meanwhile. Whatever happened, what is resumed last is the same bytes as a fresh export.
 *
 * KILL_ROUNDS says how often (default 40), KILL_SEED which moments: a failure prints the seed that repeats it as far as
 * processes can be repeated.
 */
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { compareExports } from '../testbed/compare-export.js';
import { CHANGES } from './database-changes.js';
import { journalLines, startExport, untilJournal, type ExportProcess } from './export-process.js';
import { query, withGrownDatabase } from './grown-database.js';
import { exported, killedAt } from './killed-export.js';
import { one, randomFrom, type Random } from './realm-history.js';
import { differingChecks, differingPaths } from './same-tree.js';

const ROUNDS = Number(process.env.KILL_ROUNDS ?? 40);
const SEED = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Interruptions of one export at most. */
const KILLS = 4;

const sessions = (condition: string): string =>
  `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name ${condition} ORDER BY random() LIMIT 1) AS one`;

/** Ways to end a run. */
const ENDS: readonly (readonly [string, (url: string, running: ExportProcess) => Promise<unknown>])[] = [
  ['SIGKILL', (_, { process: child }) => Promise.resolve(child.kill('SIGKILL'))],
  ['SIGTERM', (_, { process: child }) => Promise.resolve(child.kill('SIGTERM'))],
  ['the holder\'s session', (url) => query(url, sessions("= 'realmlift snapshot'"))],
  ['a worker\'s session', (url) => query(url, sessions("= 'realmlift worker'"))],
];

/** Interrupts one export a few times; how, in words. */
async function interrupt(url: string, output: string, words: readonly string[], random: Random, length: number): Promise<string[]> {
  const story: string[] = [];
  const kills = 1 + random(KILLS);
  for (let kill = 0; kill < kills && !existsSync(join(output, 'acme')); kill++) {
    const running = await startExport(url, output, ...words, ...(kill === 0 ? [] : ['--resume']));
    const moment = random(length);
    const [name, end] = one(ENDS, random);
    await Promise.race([sleep(moment), running.ended]);
    await end(url, running);
    const { code, signal, stderr } = await running.ended;
    story.push(`${name} after ${moment} ms (${signal ?? code}, ${journalLines(output).length} lines)`);
    if (code !== null && code !== 0) story.push(stderr.trim());
  }
  return story;
}

t.test(`random kills, KILL_SEED=${SEED}`, async (t) => {
  const root = t.testdir({});
  const random = randomFrom(SEED);
  await withGrownDatabase(async (url) => {
    for (let round = 1; round <= ROUNDS; round++) await aRound(t, url, join(root, `round-${round}`), round, random);
  });
});

async function aRound(t: Test, url: string, directory: string, round: number, random: Random): Promise<void> {
  const mode = one(['full', 'full', 'consent', 'public'], random);
  const words = ['--mode', mode, '--force', '--jobs', String(1 + random(3)), ...(random(2) === 0 ? ['--verify'] : [])];
  const [base, baseWords] = random(2) === 0 ? [undefined, []] : await aBase(t, url, join(directory, 'base'), words, random);
  const output = join(directory, 'out');
  const started = performance.now();
  const before = await exported(t, url, join(directory, 'before'), ...words);
  const story = await interrupt(url, output, [...words, ...baseWords], random, performance.now() - started);
  if (random(2) === 0 && !existsSync(join(output, 'acme'))) {
    story.push(await aChange(url, random), ...(await interrupt(url, output, [...words, ...baseWords, '--resume'], random, performance.now() - started)));
  }
  // One that was killed before it had begun is no unfinished one, and one that came to its end cannot be resumed.
  const actual = existsSync(join(output, 'acme')) ? join(output, 'acme') : await exported(t, url, output, ...words, ...baseWords, '--resume');
  const after = await exported(t, url, join(directory, 'after'), ...words);
  const expected = differingPaths(before, actual).length === 0 ? before : after;
  t.same(differingPaths(expected, actual), [], `round ${round}: ${[...words, ...baseWords].join(' ')}: ${story.join('; ')}`);
  if (words.includes('--verify')) t.same(differingChecks(expected, actual), []);
  t.same(compareExports(expected, actual), []);
  if (base !== undefined) t.same(differingPaths(`${base}-untouched`, base), [], 'the base is as it was');
  rmSync(directory, { recursive: true });
}

/** An export, of which a copy lies beside it, and what happened since; the words that name it. */
async function aBase(t: Test, url: string, output: string, words: readonly string[], random: Random): Promise<[string, string[]]> {
  const base = await exported(t, url, output, ...words);
  cpSync(base, `${base}-untouched`, { recursive: true, preserveTimestamps: true });
  if (random(4) > 0) await aChange(url, random);
  return [base, ['--base', base]];
}

/** What happened, in a word. */
async function aChange(url: string, random: Random): Promise<string> {
  const [name, change] = one(Object.entries(CHANGES), random);
  await query(url, change);
  return name;
}

/** Lines that the journal of a whole run had when it was last seen: its last ones are there for a moment. */
async function linesSeen(url: string, output: string): Promise<number> {
  const running = await startExport(url, output);
  let seen = 0;
  while (await untilJournal(running, output, seen + 1)) seen = journalLines(output).length;
  return seen;
}

t.test('killed at every line of the journal', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    const fresh = await exported(t, url, join(root, 'fresh'));
    const most = await linesSeen(url, join(root, 'seen'));
    for (let lines = 1; lines <= most; lines += 3) {
      const output = join(root, 'out');
      const written = await killedAt(url, output, lines);
      const actual = existsSync(join(output, 'acme')) ? join(output, 'acme') : await exported(t, url, output, '--resume');
      t.same(differingPaths(fresh, actual), [], `killed after ${written} lines`);
      rmSync(output, { recursive: true });
    }
  });
});

t.test('several realms of one run, killed at random moments', async (t) => {
  const root = t.testdir({});
  const random = randomFrom(SEED);
  const realms = ['acme', 'closed', 'globex', 'tiny'];
  await withGrownDatabase(async (url) => {
    const alone = join(root, 'alone');
    for (const realm of realms) await exported(t, url, alone, '--realm', realm);
    const started = performance.now();
    await exported(t, url, join(root, 'together'), ...realms.flatMap((realm) => ['--realm', realm]));
    const length = performance.now() - started;
    for (let round = 1; round <= ROUNDS / 4; round++) {
      const output = join(root, 'out');
      const left = (): string[] => realms.filter((realm) => !existsSync(join(output, realm)));
      const story: string[] = [];
      for (let kill = 0; kill <= random(KILLS) && left().length > 0; kill++) {
        const running = await startExport(url, output, ...left().flatMap((realm) => ['--realm', realm]), '--resume');
        const moment = random(length);
        const [name, end] = one(ENDS, random);
        await Promise.race([sleep(moment), running.ended]);
        await end(url, running);
        const { code, signal } = await running.ended;
        story.push(`${name} after ${moment} ms (${signal ?? code}), left ${left().join(' ')}`);
      }
      if (left().length > 0) await exported(t, url, output, ...left().flatMap((realm) => ['--realm', realm]), '--resume');
      for (const realm of realms) t.same(differingPaths(join(alone, realm), join(output, realm)), [], `round ${round}: ${realm}: ${story.join('; ')}`);
      t.same(readdirSync(output).filter((name) => name.startsWith('.') || name.endsWith('.partial')), [], 'nothing is left of them');
      rmSync(output, { recursive: true });
    }
  });
});
