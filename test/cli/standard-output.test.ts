// `--output -`: the export as a tar that leaves while it is made, and of which nothing stays behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import { extract } from 'tar-stream';
import { verifyExport } from '../../src/verify/verify-export.js';
import { compareExports } from '../testbed/compare-export.js';
import { expectedExport, uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { CLI } from './command-line.js';

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
      }
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
  });
});
