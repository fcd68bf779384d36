/**
 * The databases of the benches: the sample data grown to one of two shapes, or to a server of many realms. Built once and kept, in
 * the server of DATABASE_URL or else in an embedded one whose files lie in out/bench-SCALE or out/bench-server (in /var/tmp/realmlift-bench-…
 * where the user that PostgreSQL runs as cannot enter the clone).
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
import { loadDump } from '../src/demo/dump-loader.js';
import { postgresBinaries, postgresIdentity } from '../src/demo/postgres-binaries.js';
import type { Identity } from '../src/demo/postgres-binaries.js';
import { freePort } from '../src/demo/postgres-server.js';
import { testData } from '../test/testbed/test-data.js';

/** What the sample data is grown to: by which file, and what the result is called. */
export const SHAPES = {
  interleaved: { files: ['message-bodies.sql', 'grow-realms.sql'], title: 'four equal realms, interleaved message by message' },
  single: { files: ['multiply-sample.sql'], title: 'one realm is most of the tables; short, awkward texts, twelve usermessages a message' },
} as const;
export type Shape = keyof typeof SHAPES;
/** All, or the one that SHAPE names. */
export const ASKED_SHAPES = (Object.keys(SHAPES) as Shape[]).filter((shape) => (process.env.SHAPE ?? shape) === shape);

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

/** What the sample data is grown to. */
interface Grown {
  readonly name: string;
  readonly title: string;
  /** Files of bench/, and the settings that they read. */
  readonly files: readonly string[];
  readonly settings: Readonly<Record<string, number>>;
}

/** Runs `work` with the database of each shape in turn, building it if it is not there. */
export async function withBenchDatabase(scale: number, shapes: readonly Shape[], work: (database: BenchDatabase, shape: Shape) => Promise<void>): Promise<void> {
  await withBenchServer(String(scale), async (maintenance, place) => {
    for (const shape of shapes) {
      const messages = MESSAGES * scale;
      const { files, title } = SHAPES[shape];
      const url = await built(maintenance, { name: `realmlift_bench_${shape}_${messages}`, title: `${title}; about ${1.5 * scale} GB`, files, settings: { 'bench.messages': messages } });
      await withClient(url, async (client) => client.query(await readFile(join(ROOT, 'bench', 'validate-references.sql'), 'utf8')));
      await work({ url, ...place }, shape);
    }
  });
}

/** Runs `work` with a database of so many realms beside the sample's. @param messages of each */
export async function withManyRealms(realms: number, messages: number, work: (database: BenchDatabase) => Promise<void>): Promise<void> {
  await withBenchServer('server', async (maintenance, place) => {
    const url = await built(maintenance, {
      name: `realmlift_bench_${realms}_realms_${messages}`, title: `${realms} realms of ${messages} messages, interleaved message by message`,
      files: ['message-bodies.sql', 'many-realms.sql'], settings: { 'bench.realms': realms, 'bench.messages': messages },
    });
    await work({ url, ...place });
  });
}

/** @param kept name of the directory, see benchDirectory */
async function withBenchServer(kept: string, work: (maintenance: string, place: Omit<BenchDatabase, 'url'>) => Promise<void>): Promise<void> {
  const given = process.env.DATABASE_URL;
  if (given !== undefined && given !== '') {
    const directory = benchDirectory(kept);
    await mkdir(directory, { recursive: true });
    await work(given, { directory, server: 'the server of DATABASE_URL' });
    return;
  }
  const identity = await postgresIdentity();
  const directory = await enterableDirectory(kept, identity);
  await withEmbeddedServer(directory, identity, (maintenance) => work(maintenance, { directory, server: 'an embedded server' }));
}

/** Where the files are kept between runs. @param kept a scale, or `server` */
export function benchDirectory(kept: number | string): string {
  return join(ROOT, 'out', `bench-${kept}`);
}

async function enterableDirectory(kept: string, identity: Identity): Promise<string> {
  for (const directory of [benchDirectory(kept), `/var/tmp/realmlift-bench-${kept}`]) {
    await mkdir(directory, { recursive: true });
    if (identity.uid !== undefined && identity.gid !== undefined) await chown(directory, identity.uid, identity.gid);
    if (await promisify(execFile)('test', ['-x', directory], identity).then(() => true, () => false)) return directory;
  }
  throw new Error('the user that PostgreSQL runs as can enter neither the clone nor /var/tmp; set DATABASE_URL');
}

/** URL of the finished database; its name says that it is complete. */
async function built(maintenance: string, { name, title, files, settings }: Grown): Promise<string> {
  await withClient(maintenance, async (client) => {
    if ((await client.query('SELECT FROM pg_database WHERE datname = $1', [name])).rowCount === 1) return;
    console.log(`building ${name} (${title}), which takes minutes, once`);
    const building = `${name}_building`;
    await client.query(`DROP DATABASE IF EXISTS ${building}`);
    await client.query(`CREATE DATABASE ${building} TEMPLATE template0 ENCODING 'UTF8'`);
    await loadDump(sibling(maintenance, building), testData('zulip-11', 'local', 'database.sql.gz'));
    await withClient(sibling(maintenance, building), async (inside) => {
      for (const [setting, value] of Object.entries(settings)) await inside.query('SELECT set_config($1, $2, false)', [setting, value]);
      for (const script of ['drop-indexes.sql', ...files, 'make-indexes.sql']) await inside.query(await readFile(join(ROOT, 'bench', script), 'utf8'));
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
