// The package as npm would publish it: what `files` lists is enough to export, and its types are there.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { VERSION } from '../../src/version.js';
import { compareExports } from '../testbed/compare-export.js';
import { expectedExport, uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..', '..');

interface PackageJson {
  readonly bin: Readonly<Record<string, string>>;
  readonly types: string;
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

t.test('the packed package', async (t) => {
  const directory = t.testdir({});
  // Without its scripts: they would build anew under the other tests.
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], { cwd: ROOT });
  await run('tar', ['xzf', join(directory, `realmlift-${VERSION}.tgz`)], { cwd: directory });
  const unpacked = join(directory, 'package');
  symlinkSync(join(ROOT, 'node_modules'), join(unpacked, 'node_modules'));
  const { bin, types, exports } = JSON.parse(readFileSync(join(unpacked, 'package.json'), 'utf8')) as PackageJson;
  const cli = join(unpacked, bin.realmlift ?? '');

  t.ok([types, ...Object.values(exports['.'] ?? {})].every((path) => existsSync(join(unpacked, path))), 'the entry points');
  t.notOk(existsSync(join(unpacked, 'dist', 'test')), 'no tests');
  t.match((await run(process.execPath, [cli, '--help'])).stdout, /export-user/);
  await withTestDatabase('zulip-11/local', async (url) => {
    const output = join(directory, 'out');
    await run(process.execPath, [cli, 'export', '--realm', 'globex', '--output', output, '--uploads-dir', await uploadsDirectory('zulip-11/local'), '--quiet'], {
      env: { ...process.env, DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] },
    });
    t.same(compareExports(await expectedExport('zulip-11/local', 'globex-full'), join(output, 'globex')), []);
  });
});
