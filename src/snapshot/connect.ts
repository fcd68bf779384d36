/**
 * One connection to the source database, set up so that what it sends does not depend on the server's or the role's
 * configuration: time zone, date style, encoding, search path.
 */
import pg from 'pg';
import { RealmliftError } from '../errors.js';
import type { ConnectionSettings } from './connection-settings.js';

/** The oldest server whose behaviour is relied on (inlined CTEs, generated columns). */
const OLDEST_SERVER = 120000;

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
  SET statement_timeout = 0;
  SET lock_timeout = 0;
  SET idle_in_transaction_session_timeout = 0;
  SET jit = off;
  SET work_mem = '${WORK_MEM}';
  SET max_parallel_workers_per_gather = 0`;

/**
 * Opens a connection. The caller ends it.
 *
 * @param role what the session is for, shown in pg_stat_activity as `realmlift ROLE`
 * @throws RealmliftError SERVER_UNREACHABLE, LOGIN_REFUSED, DATABASE_UNKNOWN, SERVER_TOO_OLD
 */
export async function connect(settings: ConnectionSettings, role: string): Promise<pg.Client> {
  const client = new pg.Client({ ...settings.config, application_name: `realmlift ${role}` });
  // A connection lost between two queries is an error event; it reaches the caller through its next query.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const version = Number((await client.query<{ v: string }>(`SELECT current_setting('server_version_num') AS v`)).rows[0]?.v);
    if (version < OLDEST_SERVER) {
      throw new RealmliftError('SERVER_TOO_OLD', 'snapshot', `PostgreSQL ${Math.floor(version / 10000)} is too old`, { hint: 'PostgreSQL 12 or later is needed' });
    }
    await client.query(SESSION);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw connectionError(error, settings);
  }
}

function connectionError(error: unknown, settings: ConnectionSettings): RealmliftError {
  if (error instanceof RealmliftError) return error;
  const code = (error as { code?: string }).code ?? '';
  const where = settings.description;
  if (code === '3D000') {
    return new RealmliftError('DATABASE_UNKNOWN', 'snapshot', `no such database: ${where}`, { hint: 'set PGDATABASE or DATABASE_URL', cause: error });
  }
  if (code.startsWith('28')) {
    return new RealmliftError('LOGIN_REFUSED', 'snapshot', `the server refused the login of ${where}`, {
      hint: 'check the user, the password (PGPASSWORD or ~/.pgpass) and pg_hba.conf', cause: error,
    });
  }
  if ((error as Error).message.includes('SASL') || (error as Error).message.includes('password must be')) {
    return new RealmliftError('LOGIN_REFUSED', 'snapshot', `the server asks ${where} for a password and none was given`, { hint: 'set PGPASSWORD or use ~/.pgpass', cause: error });
  }
  return new RealmliftError('SERVER_UNREACHABLE', 'snapshot', `cannot connect to ${where}: ${reason(error)}`, {
    hint: 'check DATABASE_URL or PGHOST and PGPORT, and that the server accepts connections', cause: error,
  });
}

function reason(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map((each) => reason(each)))].join('; ');
  const { code, message } = error as { code?: string; message?: string };
  return message !== undefined && message !== '' ? message : (code ?? 'unknown reason');
}
