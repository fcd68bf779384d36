/**
 * The schema, written by the server's own pg_dump in the snapshot of the backup.
 *
 * It is asked for by section: what must be there before the rows (types, functions, tables),
 * and what comes after them (indexes, constraints, triggers, refreshed materialized views). These sections hold no rows;
 * of large objects it is to write nothing, see large-object-schema.ts.
 */
import { execFile, spawn } from 'node:child_process';
import { createPrivateKey, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { isIP, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { ConnectionOptions } from 'node:tls';
import { promisify } from 'node:util';
import { RealmliftError } from '../../errors.js';
import { ioReason } from '../../io-reason.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import type { Snapshot } from '../../snapshot/snapshot.js';
import { LATER_PATIENCE, tablesLocked } from '../../snapshot/table-locks.js';
import { withTemporaryDirectory } from '../../temporary-directory.js';
import { DumpWatch } from './dump-watch.js';

export type Section = 'pre-data' | 'post-data';

/**
 * Checks that pg_dump is there and knows the server.
 *
 * @param program a path, or a name to be found on PATH
 * @throws RealmliftError PG_DUMP_MISSING, PG_DUMP_OLD
 */
export async function checkPgDump(program: string, serverVersion: number): Promise<void> {
  const server = Math.floor(serverVersion / 10000);
  const hint = `install postgresql-client-${server} (from apt.postgresql.org where the distribution lacks it), or name another with --pg-dump`;
  const { stdout } = await promisify(execFile)(program, ['--version']).catch((cause: unknown) => {
    throw new RealmliftError('PG_DUMP_MISSING', 'backup', `cannot run ${program}, which writes the schema: ${ioReason(cause)}`, { hint, cause });
  });
  const version = /\(PostgreSQL\) (\d+)/.exec(stdout)?.[1];
  if (version === undefined) throw new RealmliftError('PG_DUMP_MISSING', 'backup', `${program} is not pg_dump`, { hint });
  if (Number(version) < server) throw new RealmliftError('PG_DUMP_OLD', 'backup', `${program} is of PostgreSQL ${version}, the server of ${server}`, { hint });
}

/**
 * Gives the SQL of a section to `consume` while pg_dump writes it.
 *
 * @param encoding of the script: the database's own, in which all that is there can be written
 * @throws RealmliftError PG_DUMP_FAILED, TABLES_LOCKED, CONNECTION_STALLED; then what was consumed is not the whole section
 */
export async function withSchema<T>(program: string, snapshot: Snapshot, section: Section, encoding: string, consume: (sql: Readable) => Promise<T>): Promise<T> {
  return withLibpqEnvironment(snapshot.settings, async (env) => {
    const application = `realmlift pg_dump ${randomUUID()}`;
    const stalled = new AbortController();
    const ends = AbortSignal.any([snapshot.lost, stalled.signal]);
    const child = spawn(program, [`--snapshot=${snapshot.id}`, `--section=${section}`, `--lock-wait-timeout=${LATER_PATIENCE}`, '-B', '--no-password', `--encoding=${encoding}`], {
      // At SIGTERM it would ask the server to cancel its query, over what may hang as well.
      env: { ...env, PGAPPNAME: application }, stdio: ['ignore', 'pipe', 'pipe'], signal: ends, killSignal: 'SIGKILL',
    });
    const watch = new DumpWatch(snapshot, application, child.stdout as Socket, (error) => stalled.abort(error));
    // What it wrote may take its time to where it goes.
    child.once('exit', () => watch.stop());
    try {
      const exited = once(child, 'close') as Promise<[number | null]>;
      const [result, complaint, [code]] = await Promise.all([consume(child.stdout), text(child.stderr), exited]);
      // It limits the statement, not the wait for the lock alone.
      if (code !== 0 && /due to (statement|lock) timeout/.test(complaint) && complaint.includes('LOCK TABLE')) throw tablesLocked();
      if (code !== 0) throw new RealmliftError('PG_DUMP_FAILED', 'backup', complaint.trim().replace(/\s*\n\s*/g, '; ').slice(0, 500));
      return result;
    } catch (error) {
      ends.throwIfAborted();
      throw error;
    } finally {
      watch.stop();
      child.kill('SIGKILL');
    }
  });
}

/** The environment in which a libpq program reaches the very server of `settings`. Secrets are not in arguments, and in files only of a private directory that goes with the program. */
async function withLibpqEnvironment<T>(settings: ConnectionSettings, work: (env: NodeJS.ProcessEnv) => Promise<T>): Promise<T> {
  const { host, port, user, database, password, ssl, connectionTimeoutMillis: patience = 0 } = settings.config;
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const name of ['PGSERVICE', 'PGHOSTADDR', 'PGOPTIONS', 'PGTARGETSESSIONATTRS', 'PGSSLMODE', 'PGSSLNEGOTIATION', 'PGSSLROOTCERT', 'PGSSLCERT', 'PGSSLKEY', 'PGSSLCRL']) delete env[name];
  Object.assign(env, { PGHOST: host, PGPORT: String(port), PGUSER: user, PGDATABASE: database, PGCONNECT_TIMEOUT: String(Math.ceil(patience / 1000)), ...(typeof password === 'string' ? { PGPASSWORD: password } : {}) });
  if (ssl === undefined || ssl === false) return work({ ...env, PGSSLMODE: 'disable' });

  const options = withOpenKey(ssl as ConnectionOptions);
  return withTemporaryDirectory('tls', async (directory) => {
    // The certificates were read from files that libpq may know by another name; the directory is private (0700).
    for (const [name, variable] of [['ca', 'PGSSLROOTCERT'], ['cert', 'PGSSLCERT'], ['key', 'PGSSLKEY'], ['crl', 'PGSSLCRL']] as const) {
      if (typeof options[name] !== 'string') continue;
      env[variable] = join(directory, name);
      await writeFile(env[variable], options[name], { mode: 0o600 });
    }
    if (options.rejectUnauthorized !== true) env.PGSSLMODE = 'require';
    else if (options.servername === undefined) env.PGSSLMODE = 'verify-ca';
    else Object.assign(env, { PGSSLMODE: 'verify-full', PGHOST: options.servername, ...(isIP(host ?? '') === 0 ? {} : { PGHOSTADDR: host }) });
    env.PGSSLROOTCERT ??= options.rejectUnauthorized === true ? 'system' : join(directory, 'none');
    return work(env);
  });
}

/** libpq takes the passphrase of a key from a connection string alone, which all users can read among the arguments. */
function withOpenKey(options: ConnectionOptions): ConnectionOptions {
  const { key, passphrase } = options;
  return typeof key !== 'string' || passphrase === undefined ? options : { ...options, key: createPrivateKey({ key, passphrase }).export({ type: 'pkcs8', format: 'pem' }) };
}
