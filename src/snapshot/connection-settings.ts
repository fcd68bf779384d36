/**
 * Where the database is: the settings that psql and pg_dump take, read the way they read them.
 *
 * A connection string wins over a service, a service over the PG* variables of the environment; a password that is in none of
 * them is looked up in the password file. Without a host the local unix socket is used. Several hosts are tried in turn.
 * https://www.postgresql.org/docs/current/libpq-connect.html
 */
import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { ClientConfig } from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { homeFile } from '../home-file.js';
import { notUnderstood, obeyed, parseConnectionString, type Keyword, type Keywords } from './connection-string.js';
import { passwordFromFile } from './password-file.js';
import { tlsTries } from './tls.js';

/** Plain data, which can be sent to a worker thread. */
export interface ConnectionSettings {
  /** What the driver needs. May hold a password: never print it. */
  readonly config: ClientConfig;
  /** `user@host:port/database`, fit for a log. */
  readonly description: string;
  /** Under sslmode=verify-full: the name that the server's certificate must bear. */
  readonly serverName?: string;
  /** What to try after this, in order: without TLS or with it, then the other hosts. */
  readonly alternatives?: readonly ConnectionSettings[];
  /** Nothing said which database is meant: these are libpq's own defaults. */
  readonly unnamed?: true;
  /** The kind of server that is wanted; `any` unless said otherwise. */
  readonly target?: TargetServer;
  /** Milliseconds without an answer after which a connection is looked into, see StallWatch; 20 s unless said otherwise. */
  readonly silence?: number;
}

const TARGETS = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;

/** libpq's target_session_attrs. */
export type TargetServer = (typeof TARGETS)[number];

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment variables that set libpq's keywords. */
const VARIABLES: Readonly<Partial<Record<Keyword, string>>> = {
  host: 'PGHOST', hostaddr: 'PGHOSTADDR', port: 'PGPORT', dbname: 'PGDATABASE', user: 'PGUSER', password: 'PGPASSWORD', passfile: 'PGPASSFILE',
  service: 'PGSERVICE', options: 'PGOPTIONS', connect_timeout: 'PGCONNECT_TIMEOUT', target_session_attrs: 'PGTARGETSESSIONATTRS', channel_binding: 'PGCHANNELBINDING',
  sslmode: 'PGSSLMODE', sslnegotiation: 'PGSSLNEGOTIATION', sslrootcert: 'PGSSLROOTCERT', sslcert: 'PGSSLCERT', sslkey: 'PGSSLKEY', sslcrl: 'PGSSLCRL',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION', ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
};

/** Directories in which a PostgreSQL server's unix socket usually lies: Debian's and upstream's default. */
const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/tmp'];

/** Seconds to wait for a connection when nothing says otherwise. libpq waits for ever. */
const CONNECT_TIMEOUT = 30;

/**
 * Milliseconds of silence after which the operating system probes a connection; Linux would wait two hours. Node probes each
 * second ten times, so a server that vanished is noticed within a minute.
 */
const KEEP_ALIVE = 30_000;

/** True when the environment says which database to use, so that no sample server is wanted. */
export function databaseIsConfigured(env: Environment): boolean {
  return ['DATABASE_URL', 'PGHOST', 'PGHOSTADDR', 'PGDATABASE', 'PGSERVICE'].some((name) => (env[name] ?? '') !== '');
}

/**
 * @param connectionString a URI or a keyword/value string; undefined or empty to use the environment alone
 * @throws RealmliftError CONNECTION_STRING when it cannot be understood, CONNECTION_SERVICE, CONNECTION_FILE
 */
export function connectionSettings(connectionString: string | undefined, env: Environment): ConnectionSettings {
  const merged = mergedKeywords(connectionString, env);
  const user = merged.user ?? systemUser();
  const database = merged.dbname ?? user;
  // They are shown in messages: a whole connection string in one of them, with its password, must not be.
  for (const [name, value] of [['PGHOST', merged.host], ['PGUSER', user], ['PGDATABASE', database]] as const) {
    if (value?.includes('://') === true) throw notUnderstood(`${name} is one name, and a whole URL was given for it: give that as DATABASE_URL`);
  }
  const options = {
    user, database, keepAlive: true, keepAliveInitialDelayMillis: KEEP_ALIVE,
    connectionTimeoutMillis: whole(merged.connect_timeout ?? String(CONNECT_TIMEOUT), 'connect_timeout') * 1000,
    ...(merged.options === undefined ? {} : { options: merged.options }),
    ...(merged.channel_binding === 'require' ? { enableChannelBinding: true } : {}),
  };
  const tries = servers(merged).flatMap(({ address, name, port }) => {
    const passwordFile = merged.passfile ?? homeFile('.pgpass');
    const password = merged.password ?? (passwordFile === undefined ? undefined : passwordFromFile(passwordFile, { host: name, port, database, user }));
    return tlsTries(merged, name).map(({ ssl, ...tls }): ConnectionSettings => ({
      ...tls,
      // Both ssl settings are always given: the driver would else read PGSSLMODE and PGSSLNEGOTIATION by rules of its own.
      config: {
        ...options, host: address, port, ssl, ...(password === undefined ? {} : { password }),
        sslnegotiation: merged.sslnegotiation === 'direct' && ssl !== false ? 'direct' : 'postgres',
      },
      description: `${user}@${address}:${port}/${database}`,
    }));
  });
  const [first, ...alternatives] = tries as [ConnectionSettings, ...ConnectionSettings[]];
  const target = merged.target_session_attrs as TargetServer | undefined;
  if (target !== undefined && !TARGETS.includes(target)) throw notUnderstood(`target_session_attrs is one of ${TARGETS.join(', ')}`);
  const unnamed = (connectionString ?? '') === '' && !databaseIsConfigured(env);
  return { ...first, ...(unnamed ? { unnamed } : {}), ...(alternatives.length === 0 ? {} : { alternatives }), ...(target === undefined || target === 'any' ? {} : { target }) };
}

function mergedKeywords(connectionString: string | undefined, env: Environment): Keywords {
  const variables = Object.entries(VARIABLES).map(([keyword, variable]): [string, string] => [keyword, env[variable] ?? '']);
  const environment = present(obeyed(variables));
  const given = parseConnectionString(connectionString ?? '');
  const service = given.service ?? environment.service;
  const merged = { ...environment, ...(service === undefined || service === '' ? {} : serviceFile(service, env)), ...given };
  // A host from nearer by is not to be reached at an address from farther away.
  if (given.host !== undefined && given.hostaddr === undefined) delete merged.hostaddr;
  return present(merged);
}

function present(keywords: Keywords): Keywords {
  return Object.fromEntries(Object.entries(keywords).filter(([, value]) => value !== ''));
}

/** The servers to try: libpq pairs the lists of host, hostaddr and port; a single port serves all. */
function servers(settings: Keywords): { address: string; name: string; port: number }[] {
  const [hosts, addresses, ports] = [settings.host, settings.hostaddr, settings.port].map((list) => list?.split(',') ?? []) as [string[], string[], string[]];
  const count = Math.max(hosts.length, addresses.length, 1);
  if ((addresses.length > 0 && hosts.length > 0 && addresses.length !== hosts.length) || (ports.length > 1 && ports.length !== count)) {
    throw notUnderstood('host, hostaddr and port list different numbers of servers');
  }
  return Array.from({ length: count }, (_, index) => {
    const port = whole((ports.length > 1 ? ports[index] : ports[0]) || '5432', 'port');
    if (port < 1 || port > 65535) throw notUnderstood('port is not a port number');
    const name = hosts[index] || addresses[index] || defaultHost(port);
    return { name, address: addresses[index] || name, port };
  });
}

function defaultHost(port: number): string {
  return SOCKET_DIRECTORIES.find((directory) => existsSync(join(directory, `.s.PGSQL.${port}`))) ?? 'localhost';
}

/** A whole number of at least 0; the value is not repeated, it may be a piece of a password. */
function whole(text: string, keyword: string): number {
  if (!/^\s*-?\d{1,9}\s*$/.test(text)) throw notUnderstood(`${keyword} is not a whole number`);
  return Math.max(Number(text), 0);
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    throw notUnderstood('no user is named, and the system knows none for this process');
  }
}

function serviceFile(service: string, env: Environment): Keywords {
  const files = [env.PGSERVICEFILE ?? homeFile('.pg_service.conf') ?? [], join(env.PGSYSCONFDIR ?? '/etc/postgresql-common', 'pg_service.conf')].flat();
  for (const file of files) {
    if (!existsSync(file)) continue;
    let inside = false;
    let found: [string, string][] | undefined;
    for (const line of readFileSync(file, 'utf8').split(/\r?\n/)) {
      const section = /^\s*\[(.+)\]\s*$/.exec(line);
      if (section !== null) inside = section[1] === service;
      if (inside) found ??= [];
      const pair = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
      if (inside && pair !== null) found?.push([pair[1] as string, pair[2] as string]);
    }
    if (found !== undefined) return obeyed(found);
  }
  throw new RealmliftError('CONNECTION_SERVICE', 'usage', `the service "${service}" is in no service file`, { hint: files.join(', '), exit: EXIT.usage });
}
