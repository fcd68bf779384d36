/**
 * The databases of the bench: the sample data grown to one of two shapes. Built once and kept, in the server of DATABASE_URL
 * or else in an embedded one whose files lie in out/bench-SCALE (in /var/tmp/realmlift-bench-SCALE where the user that
 * PostgreSQL runs as cannot enter the clone).
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, readFile, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { withClient } from '../test/testbed/database-client.js';
import { loadDump } from '../test/testbed/dump-loader.js';
import { postgresBinaries, postgresIdentity } from '../test/testbed/postgres-binaries.js';
import type { Identity } from '../test/testbed/postgres-binaries.js';
import { freePort } from '../test/testbed/postgres-server.js';
import { testData } from '../test/testbed/test-data.js';

/** What the sample data is grown to: by which file, and what the result is called. */
export const SHAPES = {
  interleaved: { file: 'grow-realms.sql', title: 'four equal realms, interleaved message by message' },
  single: { file: 'multiply-sample.sql', title: 'one realm is most of the tables; short, awkward texts, twelve usermessages a message' },
} as const;
export type Shape = keyof typeof SHAPES;

/** Messages of each large realm at SCALE=1. */
const MESSAGES = 100_000;

const ROOT = join(import.meta.dirname, '..', '..');

/** As a server of this size is usually set up, with the planner's defaults; nothing is tuned for the export. Durability only costs while building. */
const SETTINGS = {
  shared_buffers: '1GB', max_wal_size: '2GB', wal_level: 'minimal', max_wal_senders: '0', fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', autovacuum: 'off',
  listen_addresses: '', logging_collector: 'off',
};

/** Stops the server when this process ends, however it ends: the operating system then closes its standard input. */
const GUARD = `
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
( while read -r _; do :; done; kill -INT $server ) <&3 2>/dev/null &
watcher=$!
exec 3<&-
wait $server
kill $watcher 2>/dev/null`;

export interface BenchDatabase {
  /** libpq URI. */
  readonly url: string;
  /** Where runs may write, on the same disk as the server's files if it is the embedded one. */
  readonly directory: string;
  readonly server: string;
}

/** Runs `work` with the database of each shape in turn, building it if it is not there. */
export async function withBenchDatabase(scale: number, shapes: readonly Shape[], work: (database: BenchDatabase, shape: Shape) => Promise<void>): Promise<void> {
  const each = async (maintenance: string, place: Omit<BenchDatabase, 'url'>): Promise<void> => {
    for (const shape of shapes) await work({ url: await built(maintenance, shape, scale), ...place }, shape);
  };
  const given = process.env.DATABASE_URL;
  if (given !== undefined && given !== '') {
    const directory = benchDirectory(scale);
    await mkdir(directory, { recursive: true });
    await each(given, { directory, server: 'the server of DATABASE_URL' });
    return;
  }
  const identity = await postgresIdentity();
  const directory = await enterableDirectory(scale, identity);
  await withEmbeddedServer(directory, identity, (maintenance) => each(maintenance, { directory, server: 'an embedded server' }));
}

/** Where the files of a scale are kept between runs. */
export function benchDirectory(scale: number): string {
  return join(ROOT, 'out', `bench-${scale}`);
}

async function enterableDirectory(scale: number, identity: Identity): Promise<string> {
  for (const directory of [benchDirectory(scale), `/var/tmp/realmlift-bench-${scale}`]) {
    await mkdir(directory, { recursive: true });
    if (identity.uid !== undefined && identity.gid !== undefined) await chown(directory, identity.uid, identity.gid);
    if (await promisify(execFile)('test', ['-x', directory], identity).then(() => true, () => false)) return directory;
  }
  throw new Error('the user that PostgreSQL runs as can enter neither the clone nor /var/tmp; set DATABASE_URL');
}

/** URL of the finished database; its name says that it is complete. */
async function built(maintenance: string, shape: Shape, scale: number): Promise<string> {
  const name = `realmlift_bench_${shape}_${MESSAGES * scale}`;
  const { file, title } = SHAPES[shape];
  await withClient(maintenance, async (client) => {
    if ((await client.query('SELECT FROM pg_database WHERE datname = $1', [name])).rowCount === 1) return;
    console.log(`building ${name} (${title}), which takes minutes and about ${1.5 * scale} GB, once`);
    const building = `${name}_building`;
    await client.query(`DROP DATABASE IF EXISTS ${building}`);
    await client.query(`CREATE DATABASE ${building} TEMPLATE template0 ENCODING 'UTF8'`);
    await loadDump(sibling(maintenance, building), testData('zulip-11', 'local', 'database.sql.gz'));
    await withClient(sibling(maintenance, building), async (inside) => {
      await inside.query(`SELECT set_config('bench.messages', $1, false)`, [MESSAGES * scale]);
      for (const script of ['drop-indexes.sql', file, 'make-indexes.sql']) await inside.query(await readFile(join(ROOT, 'bench', script), 'utf8'));
      await inside.query('VACUUM ANALYZE');
    });
    await client.query(`ALTER DATABASE ${building} RENAME TO ${name}`);
    await client.query('CHECKPOINT');
  });
  return sibling(maintenance, name);
}

async function withEmbeddedServer(directory: string, identity: Identity, work: (maintenance: string) => Promise<void>): Promise<void> {
  const { initdb, postgres } = await postgresBinaries(identity, directory);
  const data = join(directory, 'data');
  if (!existsSync(join(data, 'PG_VERSION'))) {
    await rm(data, { recursive: true, force: true });
    await finished(spawn(initdb, ['--pgdata', data, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--no-locale', '--no-sync'], { ...identity, stdio: ['ignore', 'ignore', 'inherit'] }));
  }
  const port = await freePort();
  const server = start(postgres, identity, data, { ...SETTINGS, listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: directory });
  const ended = once(server, 'exit');
  const maintenance = `postgresql://postgres@127.0.0.1:${port}/postgres`;
  try {
    await ready(server, maintenance);
    await work(maintenance);
  } finally {
    server.stdin?.end();
    await ended;
  }
}

function start(postgres: string, identity: Identity, data: string, settings: Readonly<Record<string, string>>): ChildProcess {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return spawn('/bin/sh', ['-c', GUARD, 'guard', postgres, '-D', data, ...flags], { ...identity, detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
}

async function ready(server: ChildProcess, url: string): Promise<void> {
  for (let attempt = 0; attempt < 1200 && server.exitCode === null; attempt++) {
    if (await withClient(url, () => Promise.resolve(true)).catch(() => false)) return;
    await sleep(50);
  }
  throw new Error('the embedded server did not start; remove out/bench-* to build it anew');
}

async function finished(child: ChildProcess): Promise<void> {
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${child.spawnfile} ended with ${code}`);
}

function sibling(url: string, database: string): string {
  const out = new URL(url);
  out.pathname = `/${database}`;
  return out.href;
}
