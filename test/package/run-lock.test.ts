import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import t from 'tap';
import { lockRun } from '../../src/package/run-lock.js';

/** Number of a process that lives no more. */
function deadPid(): number {
  return spawnSync(process.execPath, ['--eval', '']).pid;
}

t.test('one run at a time', (t) => {
  const directory = t.testdir({});
  const unlock = lockRun(directory, 'acme');
  t.throws(() => lockRun(directory, 'acme'), { code: 'OUTPUT_BUSY', message: `another run (process ${process.pid} on ${hostname()}) writes acme` });
  unlock();
  t.same(readdirSync(directory), []);
  lockRun(directory, 'acme')();
  t.end();
});

t.test('the lock of a dead owner is taken over, that of another host is not', (t) => {
  const directory = t.testdir({});
  const dead = join(directory, 'dead');
  mkdirSync(dead);
  writeFileSync(join(dead, 'lock-4'), JSON.stringify({ pid: deadPid(), host: hostname() }));
  const unlock = lockRun(dead, 'acme');
  t.throws(() => lockRun(dead, 'acme'), { code: 'OUTPUT_BUSY' });
  unlock();

  const reused = join(directory, 'reused');
  mkdirSync(reused);
  writeFileSync(join(reused, 'lock-1'), JSON.stringify({ pid: process.pid, host: hostname(), started: 'before the last boot' }));
  lockRun(reused, 'acme')();

  const elsewhere = join(directory, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'lock-1'), JSON.stringify({ pid: deadPid(), host: 'another.example' }));
  t.throws(() => lockRun(elsewhere, 'acme'), { code: 'OUTPUT_BUSY', hint: /lock-1/ });
  t.end();
});

t.test('of many that find a dead owner at once, one takes its place', async (t) => {
  const directory = t.testdir({});
  writeFileSync(join(directory, 'lock-1'), JSON.stringify({ pid: deadPid(), host: hostname() }));
  const module = new URL('../../src/package/run-lock.js', import.meta.url).href;
  const program = `
    import { lockRun } from ${JSON.stringify(module)};
    process.stdin.once('data', () => {
      try { lockRun(${JSON.stringify(directory)}, 'acme'); process.stdout.write('owner'); } catch { process.stdout.write('refused'); }
      process.stdin.once('data', () => process.exit());
    });
    process.stdout.write('ready ');`;
  const children = Array.from({ length: 6 }, () => spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['pipe', 'pipe', 'inherit'] }));
  await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
  for (const { stdin } of children) stdin.write('go\n');
  const answers = await Promise.all(children.map(async ({ stdout }) => String((await once(stdout, 'data'))[0])));
  t.equal(answers.filter((answer) => answer === 'owner').length, 1, answers.join(', '));
  for (const child of children) child.stdin.end('end\n');
});
