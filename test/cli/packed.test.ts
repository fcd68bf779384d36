// The package as npm would publish it: what `files` lists is enough for an export, the demo and programs, and its types are whole.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { VERSION } from '../../src/version.js';
import { compareExports } from '../testbed/compare-export.js';
import { expectedExport, uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { BUNDLED_CLI_VARIABLE } from '../testbed/tested-cli.js';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..', '..');
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

interface PackageJson {
  readonly bin: Readonly<Record<string, string>>;
  readonly types: string;
  readonly man: readonly string[];
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** The types of what programs import, which `make test` compiles without. */
async function writeTypes(directory: string): Promise<void> {
  const compilerOptions = { noCheck: true, emitDeclarationOnly: true, incremental: false, tsBuildInfoFile: null, sourceMap: false, typeRoots: [join(ROOT, 'node_modules', '@types')] };
  writeFileSync(join(directory, 'types.json'), JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions, files: [join(ROOT, 'src', 'library.ts')] }));
  await run(process.execPath, [TSC, '-p', join(directory, 'types.json')]);
}

/** As npm would install it, outside of the repository, whose packages tsc and Node would find otherwise. */
async function install(directory: string): Promise<string> {
  if (process.env[BUNDLED_CLI_VARIABLE] === undefined) await run('npm', ['run', 'bundle'], { cwd: ROOT });
  else await writeTypes(directory);
  // Without its scripts: they would build anew under the other tests.
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], { cwd: ROOT });
  await run('tar', ['xzf', join(directory, `realmlift-${VERSION}.tgz`)], { cwd: directory });
  const unpacked = join(directory, 'node_modules', 'realmlift');
  mkdirSync(join(directory, 'node_modules'));
  await run('mv', [join(directory, 'package'), unpacked]);
  return unpacked;
}

/** The program that docs/library.md shows, with settings of ours. */
function program(settings: Readonly<Record<string, string>>): string {
  const code = /```ts\n(.*?)```/s.exec(readFileSync(join(ROOT, 'docs', 'library.md'), 'utf8'))?.[1] ?? '';
  return Object.entries(settings).reduce((text, [key, value]) => text.replace(new RegExp(`${key}: '[^']*'`), `${key}: ${JSON.stringify(value)}`), code);
}

const STRICT = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false, module: 'nodenext', target: 'es2022', types: [], outDir: 'built' };

t.test('the packed package', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'realmlift-packed-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const unpacked = await install(directory);
  const { bin, types, man, exports } = JSON.parse(readFileSync(join(unpacked, 'package.json'), 'utf8')) as PackageJson;
  const cli = join(unpacked, bin.realmlift ?? '');
  t.ok([types, ...Object.values(exports['.'] ?? {}), ...man, 'README.md', 'docs/report.png', 'examples/systemd/realmlift-backup.timer'].every((path) => existsSync(join(unpacked, path))), 'what it names is there');
  t.same(man.map((path) => path.replace('./docs/man/', '')), readdirSync(join(ROOT, 'docs', 'man')).sort(), 'every man page is named');
  t.notOk(existsSync(join(unpacked, 'dist', 'test')), 'no tests');
  t.same(readdirSync(unpacked, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.map')), [], 'no maps');

  await withTestDatabase('zulip-11/local', async (url) => {
    const uploads = await uploadsDirectory('zulip-11/local');
    const secrets = join(directory, 'zulip-secrets.conf');
    writeFileSync(secrets, `[secrets]\navatar_salt = ${AVATAR_SALT['zulip-11/local'] ?? ''}\n`);
    writeFileSync(join(directory, 'package.json'), '{"type": "module"}');
    writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions: STRICT, files: ['move.ts'] }));
    writeFileSync(join(directory, 'move.ts'), program({ database: url, realm: 'globex', output: join(directory, 'out'), uploadsDir: uploads, zulipSecrets: secrets }));
    await run(process.execPath, [TSC, '-p', directory]).catch((error: unknown) => { t.fail(`types: ${(error as { stdout: string }).stdout}`); });
    symlinkSync(join(ROOT, 'node_modules'), join(unpacked, 'node_modules'));
    t.match((await run(process.execPath, [join(directory, 'built', 'move.js')])).stdout, /out\/globex 297 is good\n$/, 'the program of the documentation');
    t.same(compareExports(await expectedExport('zulip-11/local', 'globex-full'), join(directory, 'out', 'globex')), []);
  });

  t.match((await run(process.execPath, [cli, '--help'])).stdout, /export-user/);
  // As on another Node, another machine, or with other flags.
  rmSync(join(unpacked, 'dist', 'bundle', `${process.version}-${process.platform}-${process.arch}`), { recursive: true });
  t.match((await run(process.execPath, [cli, '--help'])).stdout, /export-user/, 'what is compiled beforehand is not needed');
  const demo = await run(process.execPath, [cli, 'demo', '--output', join(directory, 'demo')], { cwd: directory });
  t.equal(demo.stdout, `file://${join(directory, 'demo', 'acme', 'report.html')}\n`);
  t.ok(existsSync(join(directory, 'demo', 'acme', 'report.html')));
});
