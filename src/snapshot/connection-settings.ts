/**
 * Where the database is: the settings that psql and pg_dump take, read the way they read them.
 *
 * A connection string (URI or `host=… dbname=…`) wins over the PG* variables of the environment; a password that is
 * in neither is looked up in the password file by the driver. Without a host the local unix socket is used, as libpq does.
 * https://www.postgresql.org/docs/current/libpq-connect.html
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { ClientConfig } from 'pg';
import { parse } from 'pg-connection-string';
import { EXIT, RealmliftError } from '../errors.js';

export interface ConnectionSettings {
  /** What the driver needs. May hold a password: never print it. */
  readonly config: ClientConfig;
  /** `user@host:port/database`, fit for a log. */
  readonly description: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** libpq keywords and the environment variables that set them. */
const VARIABLES = {
  host: 'PGHOST', hostaddr: 'PGHOSTADDR', port: 'PGPORT', dbname: 'PGDATABASE', user: 'PGUSER', password: 'PGPASSWORD',
  sslmode: 'PGSSLMODE', sslrootcert: 'PGSSLROOTCERT', sslcert: 'PGSSLCERT', sslkey: 'PGSSLKEY',
  connect_timeout: 'PGCONNECT_TIMEOUT', options: 'PGOPTIONS', service: 'PGSERVICE',
} as const;

/** Directories in which a PostgreSQL server's unix socket usually lies: Debian's and upstream's default. */
const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/tmp'];

/** True when the environment says which database to use, so that no sample server is wanted. */
export function databaseIsConfigured(env: Environment): boolean {
  return ['DATABASE_URL', 'PGHOST', 'PGHOSTADDR', 'PGDATABASE', 'PGSERVICE'].some((name) => (env[name] ?? '') !== '');
}

/**
 * @param connectionString a URI or a keyword/value string; undefined or empty to use the environment alone
 * @throws RealmliftError CONNECTION_STRING when it cannot be understood
 */
export function connectionSettings(connectionString: string | undefined, env: Environment): ConnectionSettings {
  const fromEnvironment: Record<string, string> = {};
  for (const [keyword, variable] of Object.entries(VARIABLES)) {
    const value = env[variable];
    if (value !== undefined && value !== '') fromEnvironment[keyword] = value;
  }
  const given = connectionString === undefined || connectionString === '' ? {} : keywords(connectionString);
  const service = given.service ?? fromEnvironment.service;
  const merged: Record<string, string> = { ...fromEnvironment, ...(service === undefined ? {} : serviceFile(service, env)), ...given };
  if (given.host !== undefined && given.hostaddr === undefined) delete merged.hostaddr;

  const port = Number(merged.port ?? 5432);
  const user = merged.user ?? userInfo().username;
  const database = merged.dbname ?? user;
  const host = merged.hostaddr ?? merged.host ?? defaultHost(port);
  const ssl = sslOptions(merged, host);
  const config: ClientConfig = {
    host, port, user, database,
    ...(merged.password === undefined ? {} : { password: merged.password }),
    ...(ssl === undefined ? {} : { ssl }),
    ...(merged.options === undefined ? {} : { options: merged.options }),
    connectionTimeoutMillis: Number(merged.connect_timeout ?? 30) * 1000,
    keepAlive: true,
  };
  return { config, description: `${user}@${host}:${port}/${database}` };
}

function defaultHost(port: number): string {
  return SOCKET_DIRECTORIES.find((directory) => existsSync(join(directory, `.s.PGSQL.${port}`))) ?? 'localhost';
}

function keywords(connectionString: string): Record<string, string> {
  return /^postgres(ql)?:\/\//.test(connectionString) ? uriKeywords(connectionString) : pairs(connectionString);
}

function uriKeywords(uri: string): Record<string, string> {
  try {
    const parsed = parse(uri) as unknown as Record<string, unknown>;
    const query = new URL(uri.replace(/^postgres(ql)?:\/\/\/?/, 'postgres://placeholder/')).searchParams;
    const out: Record<string, string> = {};
    for (const [name, value] of query) out[name === 'sslrootcert' ? 'sslrootcert' : name] = value;
    for (const [name, keyword] of [['host', 'host'], ['port', 'port'], ['user', 'user'], ['password', 'password'], ['database', 'dbname']] as const) {
      const value = parsed[name];
      if (typeof value === 'string' && value !== '') out[keyword] = value;
    }
    return out;
  } catch (cause) {
    throw notUnderstood(cause);
  }
}

/** `key=value key='quoted value'` with backslash escapes, as libpq's conninfo strings are written. */
function pairs(text: string): Record<string, string> {
  const out: Record<string, string> = {};
  const pattern = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))\s*/gy;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null) throw notUnderstood();
    out[match[1] as string] = (match[2] ?? match[3] ?? '').replace(/\\(.)/g, '$1');
  }
  return out;
}

function notUnderstood(cause?: unknown): RealmliftError {
  return new RealmliftError('CONNECTION_STRING', 'usage', 'the connection string is neither a postgresql:// URI nor keyword=value pairs', {
    hint: 'for example postgresql://zulip@db.example/zulip?sslmode=require, or set PGHOST, PGUSER and PGDATABASE', exit: EXIT.usage, cause,
  });
}

function serviceFile(service: string, env: Environment): Record<string, string> {
  const files = [env.PGSERVICEFILE ?? join(homedir(), '.pg_service.conf'), join(env.PGSYSCONFDIR ?? '/etc/postgresql-common', 'pg_service.conf')];
  for (const file of files) {
    if (!existsSync(file)) continue;
    let inside = false;
    const found: Record<string, string> = {};
    for (const line of readFileSync(file, 'utf8').split(/\r?\n/)) {
      const section = /^\s*\[(.+)\]\s*$/.exec(line);
      if (section !== null) inside = section[1] === service;
      const pair = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
      if (inside && pair !== null) found[pair[1] as string] = pair[2] as string;
    }
    if (Object.keys(found).length > 0) return found;
  }
  throw new RealmliftError('CONNECTION_SERVICE', 'usage', `the service "${service}" is in no service file`, { hint: files.join(', '), exit: EXIT.usage });
}

/**
 * libpq's sslmode in the driver's terms. `prefer` (libpq's default) is plain TCP here: the driver cannot fall back, and
 * a server that insists answers with a clear error.
 */
function sslOptions(settings: Record<string, string>, host: string): ClientConfig['ssl'] | undefined {
  const mode = settings.sslmode ?? 'prefer';
  if (host.startsWith('/') || mode === 'disable' || mode === 'allow' || mode === 'prefer') return undefined;
  const read = (name: string): string | undefined => {
    const file = settings[name];
    return file === undefined || file === '' || file === 'system' ? undefined : readFileSync(file, 'utf8');
  };
  const ca = read('sslrootcert');
  const cert = read('sslcert');
  const key = read('sslkey');
  const files = { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
  if (mode === 'verify-full') return { ...files, rejectUnauthorized: true };
  // Without a host name check; with a root certificate `require` verifies the chain as libpq does.
  const verifyChain = mode === 'verify-ca' || ca !== undefined;
  return { ...files, rejectUnauthorized: verifyChain, checkServerIdentity: () => undefined };
}
