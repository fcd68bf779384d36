// `--output -`: the export as a tar that leaves while it is made, and of which nothing stays behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { extract } from 'tar-stream';
import { thisProcess } from '../../src/process-owner.js';
import { verifyExport } from '../../src/verify/verify-export.js';
import { compareExports } from '../testbed/compare-export.js';
import { expectedExport, uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { CLI } from '../testbed/tested-cli.js';

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** Streams an export to `read`, with `temporary` as TMPDIR. */
async function stream(url: string, temporary: string, words: readonly string[], read: (tar: Readable) => Promise<void>): Promise<Ended> {
  const uploads = await uploadsDirectory('zulip-11/local');
  const child = spawn(process.execPath, [CLI, 'export', '--output', '-', '--uploads-dir', uploads, '--jobs', '2', '--quiet', ...words], {
    env: { ...process.env, DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'], TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close') as Promise<[number | null]>, read(child.stdout)]);
  return { code, stderr };
}

t.test('a tar to standard output', async (t) => {
  const root = t.testdir({ unpacked: {}, temporary: {} });
  const [unpacked, temporary] = [join(root, 'unpacked'), join(root, 'temporary')];
  await withTestDatabase('zulip-11/local', async (url) => {
    await t.test('holds whole exports, each with its manifest behind all else', async (t) => {
      const names: string[] = [];
      const ended = await stream(url, temporary, ['--realm', 'acme', '--realm', 'globex'], async (tar) => {
        const entries = extract();
        const unpacking = pipeline(tar, entries);
        for await (const entry of entries) {
          names.push(entry.header.name);
          const target = join(unpacked, entry.header.name);
          await mkdir(dirname(target), { recursive: true });
          await pipeline(entry, createWriteStream(target));
        }
        await unpacking;
      });
      t.equal(ended.code, 0, ended.stderr);
      for (const realm of ['acme', 'globex']) {
        t.same(compareExports(await expectedExport('zulip-11/local', `${realm}-full`), join(unpacked, realm)), []);
        t.equal((await verifyExport(join(unpacked, realm))).totals.errors, 0);
        t.equal(names.filter((name) => name.startsWith(`${realm}/`)).at(-1), `${realm}/manifest.json`);
        t.match(await readFile(join(unpacked, realm, 'report.html'), 'utf8'), new RegExp(`Finished, but not read again.*<pre>tar -xf ${realm}\\.tar</pre>.*realmlift report ${realm}<`, 's'), 'its page says how to go on');
      }
      t.same(names.slice(-2), ['report.html', 'manifest.json'], 'and the page of all');
      t.equal(new Set(names).size, names.length, 'no file twice');
      t.equal(names.at(-1), 'manifest.json', 'the manifest of the run');
      t.ok((await stat(join(unpacked, 'manifest.json'))).size > 0);
      t.same(await readdir(temporary), []);
    });

    await t.test('a reader that goes away ends the run without a word', async (t) => {
      const ended = await stream(url, temporary, ['--realm', 'acme'], async (tar) => {
        await once(tar, 'readable');
        tar.destroy();
      });
      t.equal(ended.code, 1);
      t.equal(ended.stderr, '');
      t.same(await readdir(temporary), [], 'nothing is left behind');
    });

    await t.test('an export that fails leaves no end of the archive', async (t) => {
      let bytes = 0;
      const ended = await stream(url, temporary, ['--realm', 'nowhere'], async (tar) => {
        for await (const chunk of tar) bytes += (chunk as Buffer).length;
      });
      t.equal(ended.code, 3);
      t.match(ended.stderr, /REALM_UNKNOWN/);
      t.equal(bytes, 0);
      t.same(await readdir(temporary), []);
    });

    await t.test('a killed stream leaves nothing behind: a guard removes it, or the next start', async (t) => {
      for (const format of ['directory', 'ndjson']) {
        const uploads = await uploadsDirectory('zulip-11/local');
        const child = spawn(process.execPath, [CLI, 'export', '--output', '-', '--uploads-dir', uploads, '--quiet', '--realm', 'acme', '--format', format], {
          env: { ...process.env, DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'], TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'inherit'],
        });
        // A directory may go while it is being listed.
        await until(async () => (await readdir(temporary, { recursive: true }).catch(() => [])).some((path) => path.includes('acme.partial')));
        child.kill('SIGKILL');
        await once(child, 'exit');
        await until(async () => (await readdir(temporary)).length === 0);
        t.pass(format);
      }
      const [left, used, others] = ['realmlift-stream-left', 'realmlift-stream-used', 'realmlift-of-another'].map((name) => join(temporary, name)) as [string, string, string];
      for (const directory of [left, used, others]) {
        await mkdir(directory);
        await writeFile(join(directory, 'private'), 'private');
      }
      const { pid } = process;
      await writeFile(join(left, '.realmlift-owner'), JSON.stringify({ ...thisProcess(), started: 'before the machine was started again' }));
      await writeFile(join(used, '.realmlift-owner'), JSON.stringify({ pid, host: hostname() }));
      t.equal((await stream(url, temporary, ['--realm', 'nowhere'], (tar) => Promise.resolve(void tar.resume()))).code, 3);
      t.strictSame(await readdir(temporary), ['realmlift-of-another', 'realmlift-stream-used'], 'what a living process has, and what is nobody\'s, stays');
      for (const directory of [used, others]) await rm(directory, { recursive: true });
    });

    await t.test('what cannot be written is said in one line', async (t) => {
      const uploads = await uploadsDirectory('zulip-11/local');
      const shell = async (script: string, env: Record<string, string> = {}): Promise<Ended> => {
        const child = spawn('/bin/sh', ['-c', script, 'sh', process.execPath, CLI, 'export', '--uploads-dir', uploads, '--quiet', '--realm', 'acme', '--output'], {
          env: { ...process.env, DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'], TMPDIR: temporary, ...env }, stdio: ['ignore', 'ignore', 'pipe'],
        });
        const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close') as Promise<[number | null]>]);
        return { code, stderr };
      };
      const out = join(root, 'out');
      for (const more of ['', ' --format ndjson']) t.match(await shell(`"$@" -${more} >/dev/full`), { code: 1, stderr: /^realmlift: OUTPUT_FULL \[package\]: standard output [^\n]*ENOSPC[^\n]*\n$/ }, more);
      for (const words of ['--help', '--version', 'export --help', 'completion bash']) t.match(await shell(`"$1" '${CLI}' ${words} >/dev/full`), { code: 1, stderr: /^realmlift: OUTPUT_FULL / }, words);
      t.match(await shell(`"$@" '${out}' 2>/dev/full`), { code: 0 }, 'a full standard error ends no export');
      t.match(await shell(`"$@" '${out}-1'`, { TMPDIR: '/nowhere' }), { code: 1, stderr: /^realmlift: TMPDIR_UNUSABLE \[usage\]: [^\n]*\/nowhere: there is no such file or directory \(ENOENT\) \([^\n]*TMPDIR\)\n$/ });
      t.match(await shell(`"$@" -`, { TMPDIR: '/dev/null' }), { code: 1, stderr: /^realmlift: TMPDIR_UNUSABLE [^\n]*\n$/ });
      t.match(await shell(`"$@" /proc/export`), { code: 1, stderr: /^realmlift: (OUTPUT_UNWRITABLE|DISK_FAILED) [^\n]*\n$/ });
      t.match(await shell(`ulimit -n 64; "$@" '${out}-2'`), { code: 1, stderr: /^realmlift: TOO_MANY_FILES \[usage\]: [^\n]*ulimit -n[^\n]*\n$/ });
      t.same(await readdir(temporary), []);
    });
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await holds());) {
    if (Date.now() > deadline) throw new Error('it did not come about');
    await sleep(20);
  }
}

/** Work that fails while some of it goes on writing into its temporary directory. */
const LEFT_BEHIND = `
  import { writeFile } from 'node:fs/promises';
  import { setTimeout as sleep } from 'node:timers/promises';
  const { withTemporaryDirectory } = await import(process.argv[1]);
  let writing = true;
  const write = async (directory, name) => { while (writing) await writeFile(directory + '/' + name++, '').catch(() => undefined); };
  await withTemporaryDirectory('left', async (directory) => {
    for (let each = 0; each < 8; each++) void write(directory, each * 1e9);
    await sleep(50);
    throw new Error('its own');
  }).catch((error) => process.stdout.write(error.message));
  writing = false;`;

t.test('a temporary directory into which work that was left behind still writes', async (t) => {
  const temporary = t.testdir({});
  const module = join(import.meta.dirname, '..', '..', 'src', 'temporary-directory.js');
  const child = spawn(process.execPath, ['--input-type=module', '-e', LEFT_BEHIND, module], { env: { ...process.env, TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'inherit'] });
  t.equal(await text(child.stdout), 'its own', 'the error of the work, and not that of removing it');
  for (let waited = 0; (await readdir(temporary)).length > 0 && waited < 100; waited++) await sleep(50);
  t.same(await readdir(temporary), [], 'the guard removes what is left');
});
