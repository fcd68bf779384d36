/**
 * What a Zulip server's own files say: its version and migrations (the source tree) and its avatar salt (the secrets file).
 * The tree is read as text; nothing of it is executed.
 */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../../errors.js';
import { ioReason } from '../../io-reason.js';
import { readMigrationLists, type MigrationLists } from './python-migration.js';

/** Where Zulip's installer puts the tree of the running version. */
export const DEFAULT_ZULIP_DIR = '/home/zulip/deployments/current';
/** Where Zulip's installer puts its secrets. */
const DEFAULT_SECRETS_FILE = '/etc/zulip/zulip-secrets.conf';

/**
 * The apps of Zulip's INSTALLED_APPS that have migrations, in its order (zproject/computed_settings.py), and where their code
 * lies: in the tree itself, or in the site-packages of its virtualenv.
 */
const APPS: readonly { readonly label: string; readonly path: string; readonly inTree: boolean }[] = [
  { label: 'auth', path: 'django/contrib/auth', inTree: false },
  { label: 'contenttypes', path: 'django/contrib/contenttypes', inTree: false },
  { label: 'sessions', path: 'django/contrib/sessions', inTree: false },
  { label: 'confirmation', path: 'confirmation', inTree: true },
  { label: 'zerver', path: 'zerver', inTree: true },
  { label: 'social_django', path: 'social_django', inTree: false },
  { label: 'otp_static', path: 'django_otp/plugins/otp_static', inTree: false },
  { label: 'otp_totp', path: 'django_otp/plugins/otp_totp', inTree: false },
  { label: 'two_factor', path: 'two_factor', inTree: false },
  { label: 'phonenumber', path: 'two_factor/plugins/phonenumber', inTree: false },
  { label: 'pgroonga', path: 'pgroonga', inTree: true },
  { label: 'zilencer', path: 'zilencer', inTree: true },
  { label: 'analytics', path: 'analytics', inTree: true },
  { label: 'corporate', path: 'corporate', inTree: true },
];

/** The virtualenv inside a deployment: since 10.0 (uv), and before. */
const VIRTUALENVS = ['.venv', 'zulip-py3-venv'];

/** Of each app that was found: its migration files by name, in name order. */
export type MigrationTree = ReadonlyMap<string, ReadonlyMap<string, MigrationLists>>;

/**
 * The text that the server calls its version: ZULIP_VERSION of version.py, or the first line of `zulip-git-version` beside it,
 * which a server installed from Git prefers.
 *
 * @throws RealmliftError ZULIP_DIR when the directory is no Zulip source tree
 */
export function serverVersion(zulipDir: string): string {
  const described = join(zulipDir, 'zulip-git-version');
  const text = existsSync(described) ? read(described).split('\n')[0]?.trim() : /^ZULIP_VERSION\s*=\s*["']([^"']+)["']/m.exec(read(join(zulipDir, 'version.py')))?.[1];
  if (text === undefined || text === '') throw zulipDirError(zulipDir, 'version.py names no ZULIP_VERSION');
  return text;
}

/**
 * The migrations of every app whose code is there. A package whose `migrations` directory holds no file is there, with none.
 *
 * @throws RealmliftError ZULIP_DIR when the tree has no zerver migrations or one of them cannot be understood
 */
export function serverMigrations(zulipDir: string): MigrationTree {
  const sitePackages = findSitePackages(zulipDir);
  const tree = new Map<string, ReadonlyMap<string, MigrationLists>>();
  for (const { label, path, inTree } of APPS) {
    const root = inTree ? zulipDir : sitePackages;
    const directory = root === undefined ? undefined : join(root, path, 'migrations');
    if (directory === undefined || !existsSync(join(directory, '__init__.py'))) continue;
    tree.set(label, new Map(migrationFiles(directory).map((name) => [name, migrationFile(zulipDir, join(directory, `${name}.py`))])));
  }
  if ((tree.get('zerver')?.size ?? 0) === 0) throw zulipDirError(zulipDir, 'it has no zerver/migrations');
  return tree;
}

/** The names that Django's loader would import: modules, not packages, that do not start with `_` or `~`. */
function migrationFiles(directory: string): string[] {
  return readdirSync(directory).filter((file) => /^[^_~.][^.]*\.py$/.test(file)).map((file) => file.slice(0, -3)).sort();
}

function migrationFile(zulipDir: string, file: string): MigrationLists {
  try {
    return readMigrationLists(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw zulipDirError(zulipDir, `cannot read ${file}: ${(cause as Error).message}`, cause);
  }
}

function findSitePackages(zulipDir: string): string | undefined {
  for (const virtualenv of VIRTUALENVS) {
    const library = join(zulipDir, virtualenv, 'lib');
    if (!existsSync(library)) continue;
    for (const python of readdirSync(library).filter((name) => name.startsWith('python3')).sort().reverse()) {
      const found = join(library, python, 'site-packages');
      if (existsSync(join(found, 'django'))) return found;
    }
  }
  return undefined;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw zulipDirError(file, ioReason(cause), cause);
  }
}

function zulipDirError(path: string, reason: string, cause?: unknown): RealmliftError {
  return new RealmliftError('ZULIP_DIR', 'plan', `not a Zulip source tree that can be read: ${path}: ${reason}`, {
    hint: `--zulip-dir is the directory with version.py and zerver/, on a server ${DEFAULT_ZULIP_DIR}`, exit: EXIT.usage, cause,
  });
}

export interface SaltSource {
  /** --zulip-secrets FILE */
  readonly secretsFile?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The server's secret `avatar_salt`, under which uploaded avatars are stored: from the secrets file if one is named, else from
 * ZULIP_AVATAR_SALT. Undefined when neither is given.
 *
 * @throws RealmliftError SECRETS_FILE when the file cannot be read or holds no avatar_salt; other secrets in it are never repeated
 */
export function avatarSalt({ secretsFile, env }: SaltSource): string | undefined {
  if (secretsFile === undefined) return env.ZULIP_AVATAR_SALT === '' ? undefined : env.ZULIP_AVATAR_SALT;
  let text: string;
  try {
    if (statSync(secretsFile).isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' });
    text = readFileSync(secretsFile, 'utf8');
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? 'unknown reason';
    throw secretsError(`cannot read ${secretsFile}: ${ioReason(cause)}`, code === 'EACCES' ? 'it belongs to the user zulip: run as that user, or set ZULIP_AVATAR_SALT' : `on a server it is ${DEFAULT_SECRETS_FILE}`, cause);
  }
  const salt = secret(text, 'avatar_salt');
  if (salt === undefined || salt === '') throw secretsError(`${secretsFile} has no avatar_salt in its section [secrets]`, 'name the zulip-secrets.conf of the server that is exported');
  return salt;
}

/**
 * One value of the section [secrets], as Python's RawConfigParser reads it: `key = value` or `key: value`, keys without regard to
 * case, whole-line comments only, a deeper indented line continues the value before it.
 * https://docs.python.org/3/library/configparser.html#supported-ini-file-structure
 */
function secret(text: string, wanted: string): string | undefined {
  let inside = false;
  let indent = Infinity;
  let value: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*([#;]|$)/.test(line)) continue;
    const depth = line.search(/\S/);
    if (depth > indent) continue;
    const section = /^\s*\[(.+)\]/.exec(line)?.[1];
    if (section !== undefined) {
      inside = section === 'secrets';
      indent = Infinity;
      continue;
    }
    indent = depth;
    const pair = /^\s*(.*?)\s*[=:]\s*(.*?)\s*$/.exec(line);
    if (inside && pair?.[1]?.toLowerCase() === wanted) value = pair[2];
  }
  return value;
}

function secretsError(message: string, hint: string, cause?: unknown): RealmliftError {
  return new RealmliftError('SECRETS_FILE', 'usage', message, { hint, exit: EXIT.usage, cause });
}
