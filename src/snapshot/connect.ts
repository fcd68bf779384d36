/**
 * One connection to the source database, set up so that what it sends does not depend on the server's or the role's
 * configuration: time zone, date style, encoding, search path.
 */
import type pg from 'pg';
import { EXIT, RealmliftError, type Stage } from '../errors.js';
import type { ConnectionSettings, TargetServer } from './connection-settings.js';
import { atOnce } from './at-once.js';
import { markUnwatched } from './cancel-request.js';
import { cutWhenStopped } from './cut-connection.js';
import { connectionOf, driverClient } from './driver-client.js';
import { readLastWord } from './last-word.js';
import { guardProtocol } from './protocol-guard.js';
import { backendOf, StallWatch } from './stall-watch.js';

/** The oldest server whose behaviour is relied on (inlined CTEs, generated columns), by its major version. */
const OLDEST_SERVER = 12;

/**
 * Memory for one sort or hash of a session. Large enough that the hash of a big realm's recipients is not split into batches;
 * the hot queries hold at most two at a time.
 */
const WORK_MEM = '64MB';

/** Settings of every session. Nothing here writes: SET changes the session alone. */
const SESSION = `
  SET search_path = pg_catalog;
  SET client_encoding = 'UTF8';
  SET timezone = 'UTC';
  SET datestyle = 'ISO, YMD';
  SET intervalstyle = 'iso_8601';
  SET bytea_output = 'hex';
  SET extra_float_digits = 1;
  SET standard_conforming_strings = on;
  SET statement_timeout = 0;
  SET lock_timeout = 0;
  SET idle_in_transaction_session_timeout = 0;
  SET row_security = off;
  SET jit = off;
  SET work_mem = '${WORK_MEM}';
  SET max_parallel_workers_per_gather = 0`;

/** Settings that came with later servers, by their major version: either would end a session that waits or works for long. */
const LATER_SETTINGS = [[14, 'SET idle_session_timeout = 0'], [17, 'SET transaction_timeout = 0']] as const;

/** Milliseconds after which a server in the midst of a query notices that we are gone, and gives the snapshot free. */
const CONNECTION_CHECK = 2_000;

/** What a session is in when its connection breaks, by its role. */
const STAGES: Readonly<Record<string, Stage>> = { worker: 'copy', backup: 'backup', restore: 'restore', proof: 'restore', load: 'load', split: 'split', target: 'remap', queue: 'queue' };

/** Of a server that is good for nothing: the next of the settings may be better. */
const NEXT = new Set(['SERVER_KIND', 'PROTOCOL_BROKEN', 'CONNECTION_STALLED']);

interface Failure {
  readonly settings: ConnectionSettings;
  readonly error: unknown;
}

interface Server {
  readonly recovering: boolean;
  readonly readOnly: boolean;
}

/**
 * Opens a connection to the first server of the settings that can be reached and is of the kind that is wanted. The caller
 * ends it. With row_security off, a policy that would hide rows from this role is an error and not a silent gap.
 *
 * @param role what the session is for, shown in pg_stat_activity as `realmlift ROLE`
 * @param stop cuts the session soon after it has aborted, also at its login
 * @throws RealmliftError SERVER_UNREACHABLE, LOGIN_REFUSED, DATABASE_UNKNOWN, SERVER_TOO_OLD, SERVER_KIND; of this and of all that is asked later
 *   CONNECTION_STALLED, PROTOCOL_BROKEN; the reason of `stop`
 */
export async function connect(settings: ConnectionSettings, role: string, stop?: AbortSignal): Promise<pg.Client> {
  const tries = [settings, ...(settings.alternatives ?? [])];
  const target = settings.target ?? 'any';
  if (target !== 'prefer-standby') return connectToOne(tries, role, target, stop);
  try {
    return await connectToOne(tries, role, 'standby', stop);
  } catch {
    return connectToOne(tries, role, 'any', stop);
  }
}

/** The settings under which `client` was opened, without alternatives: for further sessions on the very same server. */
export function settingsOf(client: pg.Client, settings: ConnectionSettings): ConnectionSettings {
  const { silence } = settings;
  const { config, description, serverName } = [settings, ...(settings.alternatives ?? [])].find(
    (each) => each.config.host === client.host && each.config.port === client.port && (each.config.ssl === false) === ((client.ssl as unknown) === false),
  ) ?? settings;
  return { config, description, ...(serverName === undefined ? {} : { serverName }), ...(silence === undefined ? {} : { silence }) };
}

async function connectToOne(tries: readonly ConnectionSettings[], role: string, target: TargetServer, stop: AbortSignal | undefined): Promise<pg.Client> {
  const failures: Failure[] = [];
  let skipped: string | undefined;
  for (const settings of tries) {
    if (settings.description === skipped) continue;
    try {
      return await open(settings, role, target, stop);
    } catch (error) {
      stop?.throwIfAborted();
      failures.push({ settings, error });
      if (error instanceof RealmliftError && !NEXT.has(error.code)) throw error;
      // Of the same server only the other way of connecting is worth a try, and only when the way was what failed. When it
      // answers and refuses, the other servers are not asked: that is libpq's rule.
      if (!dependsOnTls(error)) skipped = settings.description;
      const more = tries.slice(tries.indexOf(settings) + 1).some((each) => each.description === settings.description && each.description !== skipped);
      if (refusal(error) !== undefined && !more) break;
    }
  }
  throw connectionError(failures);
}

async function open(settings: ConnectionSettings, role: string, target: TargetServer, stop: AbortSignal | undefined): Promise<pg.Client> {
  const client = driverClient(settings, role);
  if (stop !== undefined) cutWhenStopped(client, stop);
  const reported = reportedVersion(client);
  try {
    await client.connect();
    const stage = STAGES[role] ?? 'plan';
    const { stream } = connectionOf(client);
    guardProtocol(stream, stage);
    readLastWord(stream);
    const watch = new StallWatch(client, settings, stage);
    const version = reported();
    if (version < OLDEST_SERVER) {
      throw new RealmliftError('SERVER_TOO_OLD', 'snapshot', `PostgreSQL ${version} is too old`, { hint: 'PostgreSQL 12 or later is needed' });
    }
    const [, server, backend, watches] = await atOnce(client, () => [
      client.query([SESSION, ...LATER_SETTINGS.filter(([since]) => version >= since).map(([, sql]) => sql)].join(';')),
      serverOf(client),
      backendOf(client),
      // Servers on systems that cannot watch a connection refuse this; older ones do not know it. What is under way is cancelled there when we end the session.
      version < 14 ? Promise.resolve(false) : client.query(`SET client_connection_check_interval = ${CONNECTION_CHECK}`).then(() => true, () => false),
    ]);
    if (!watches) markUnwatched(client);
    if (!serves(server, target)) {
      throw new RealmliftError('SERVER_KIND', 'snapshot', `${settings.description} is not what target_session_attrs=${target} asks for`, { hint: 'name a host that is, or leave target_session_attrs away: an export needs no particular one' });
    }
    watch.backend = backend;
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

/** The major version of the server, which it tells in its answer to the login: such as 15 of `15.18 (Debian 15.18-1)`. */
function reportedVersion(client: pg.Client): () => number {
  let version = NaN;
  connectionOf(client).on('parameterStatus', ({ parameterName, parameterValue }: { parameterName: string; parameterValue: string }) => {
    if (parameterName === 'server_version') version = parseInt(parameterValue, 10);
  });
  return () => version;
}

async function serverOf(client: pg.Client): Promise<Server> {
  const { rows } = await client.query<{ recovering: boolean; read_only: string }>("SELECT pg_is_in_recovery() AS recovering, current_setting('transaction_read_only') AS read_only");
  const [row] = rows as [{ recovering: boolean; read_only: string }];
  return { recovering: row.recovering, readOnly: row.read_only === 'on' };
}

/** https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS */
function serves({ recovering, readOnly }: Server, target: TargetServer): boolean {
  switch (target) {
    case 'read-write': return !recovering && !readOnly;
    case 'read-only': return recovering || readOnly;
    case 'primary': return !recovering;
    case 'standby': return recovering;
    default: return true;
  }
}

/** True when the same server may well take a connection with TLS instead of without, or without instead of with. */
function dependsOnTls(error: unknown): boolean {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return code.startsWith('28') || code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || message.includes('SSL');
}

/** Why a server that answered would not let us in; undefined when it did not answer, or not to us. */
function refusal(error: unknown): 'login' | 'database' | 'password' | 'full' | undefined {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  if (code === '3D000') return 'database';
  if (code.startsWith('28')) return 'login';
  if (code === '53300') return 'full';
  return message.startsWith('SASL') || message.includes('password must be') ? 'password' : undefined;
}

/** A wrong password and a host that may not come at all are mended at different ends; the server says which it was. */
function loginHint({ message }: Error): string {
  if (message.includes('pg_hba.conf')) return 'no password was looked at: pg_hba.conf on the server needs a line for this host, user and database, or sslmode has to be another';
  return 'check the user, the password (PGPASSWORD or ~/.pgpass) and the method that pg_hba.conf asks for';
}

function connectionError(failures: readonly Failure[]): RealmliftError {
  const refused = failures.find(({ error }) => refusal(error) !== undefined);
  const kind = failures.find(({ error }) => error instanceof RealmliftError)?.error as RealmliftError | undefined;
  if (refused === undefined && kind !== undefined) return kind;
  const decisive: Failure = refused ?? (failures.at(-1) as Failure);
  const { settings, error: cause } = decisive;
  const where = settings.description;
  if (failures.some(({ settings }) => settings.unnamed === true)) {
    return new RealmliftError('DATABASE_UNNAMED', 'usage', `no database is named, and the default cannot be reached: ${where}: ${reason(cause)}`, {
      hint: 'set DATABASE_URL=postgresql://USER@HOST/DATABASE, or PGHOST, PGUSER and PGDATABASE', exit: EXIT.usage, cause,
    });
  }
  switch (refusal(cause)) {
    case 'database':
      return new RealmliftError('DATABASE_UNKNOWN', 'snapshot', `no such database: ${where}`, { hint: 'set PGDATABASE or DATABASE_URL', cause });
    case 'login':
      return new RealmliftError('LOGIN_REFUSED', 'snapshot', `the server refused the login of ${where}: ${(cause as Error).message}`, { hint: loginHint(cause as Error), cause });
    case 'password':
      return new RealmliftError('LOGIN_REFUSED', 'snapshot', `the server asks ${where} for a password and none was given`, { hint: 'set PGPASSWORD or use ~/.pgpass', cause });
    case 'full':
      return new RealmliftError('SERVER_FULL', 'snapshot', `the server takes no more sessions at ${where}: ${(cause as Error).message}`, {
        hint: 'take fewer --jobs, or wait until others have left the server', again: true, cause,
      });
    case undefined: {
      const places = [...new Set(failures.map((each) => each.settings.description))].join(', ');
      // That a server has no TLS explains nothing when it was then asked without.
      const telling = failures.filter(({ error }, index) => index === failures.length - 1 || !dependsOnTls(error));
      const reasons = [...new Set(telling.map((each) => reason(each.error)))].join('; ');
      return new RealmliftError('SERVER_UNREACHABLE', 'snapshot', `cannot connect to ${places}: ${reasons}`, { hint: reachHint(cause), cause });
    }
  }
}

/** A server that answered is not looked for elsewhere. */
function reachHint(cause: unknown): string {
  const { message = '', severity } = cause as { message?: string; severity?: string };
  if (message.includes('does not support SSL')) return 'sslmode asks for TLS, which this server does not speak: set it up there (ssl = on), or choose sslmode=prefer where the way to it is trusted';
  if (severity !== undefined) return 'the server answered and gave this reason: check PGOPTIONS and the state of the server';
  return 'check DATABASE_URL or PGHOST and PGPORT, and that the server accepts connections';
}

function reason(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map((each) => reason(each)))].join('; ');
  const { code, message } = error as { code?: string; message?: string };
  return message !== undefined && message !== '' ? message : (code ?? 'unknown reason');
}
