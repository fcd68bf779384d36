/**
 * Databases for tests: a dump is loaded once per server into a template database and cloned for each test.
 *
 * `make test` runs one server for all test files and names it in TEST_POSTGRES_URL. A test file that is run alone starts
 * its own at its first database; it ends with the process.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type pg from 'pg';
import { withClient } from './database-client.js';
import { loadDump } from '../../src/demo/dump-loader.js';
import { startPostgres } from '../../src/demo/postgres-server.js';
import { testData } from './test-data.js';
import type { Dataset, NewServer } from './test-data.js';

/** Names the server that all test files share: a libpq URI of its maintenance database, as superuser. */
export const SHARED_SERVER_VARIABLE = 'TEST_POSTGRES_URL';

/** Advisory lock that lets one process at a time load templates. Any number; nothing else takes it. */
const TEMPLATE_LOCK = 0x7265616c;

let ownServer: Promise<string> | undefined;

/**
 * Gives this test file a server of its own: for tests that say which rows nobody has changed, where transactions of other files that are
 * still open would make every younger row one that may be new. To be called before the first database is made.
 */
export function leaveSharedServer(): void {
  process.env[SHARED_SERVER_VARIABLE] = '';
}

/** URL of the maintenance database of the server that tests use, as superuser. */
export async function testServerUrl(): Promise<string> {
  const shared = process.env[SHARED_SERVER_VARIABLE];
  if (shared !== undefined && shared !== '') return shared;
  ownServer ??= startPostgres().then((server) => server.url('postgres'));
  return ownServer;
}

/**
 * Runs `work` with a database of its own that holds the dump of `dataset`, and drops it afterwards.
 *
 * @param work gets the libpq URI of the database, as superuser
 * @param more statements on Zulip's tables that come after the dump, and are part of the template
 */
export async function withTestDatabase<T>(dataset: Dataset | NewServer, work: (url: string) => Promise<T>, more = ''): Promise<T> {
  const server = await testServerUrl();
  const name = `${dataset.replace(/\W/g, '_')}_${randomBytes(4).toString('hex')}`;
  const url = await createDatabaseFromDump(server, testData(dataset, 'database.sql.gz'), name, more);
  try {
    return await work(url);
  } finally {
    await query(server, `DROP DATABASE "${name}" WITH (FORCE)`);
  }
}

/** Runs `work` with an empty database of its own and drops it afterwards. */
export async function withEmptyDatabase<T>(work: (url: string) => Promise<T>, encoding = 'UTF8'): Promise<T> {
  const server = await testServerUrl();
  const name = `empty_${randomBytes(4).toString('hex')}`;
  await withClient(server, (client) => copyDatabase(client, 'template0', `"${name}" ENCODING '${encoding}'`));
  try {
    return await work(sibling(server, name));
  } finally {
    await query(server, `DROP DATABASE "${name}" WITH (FORCE)`);
  }
}

/**
 * Creates the database `name` with the content of a gzipped dump.
 *
 * @param server URL of any database of the server, as superuser
 * @param more statements that come after it
 * @returns the libpq URI of the new database
 */
export async function createDatabaseFromDump(server: string, dump: string, name: string, more = ''): Promise<string> {
  await withClient(server, async (client) => copyDatabase(client, await templateDatabase(client, server, dump, more), `"${name}"`));
  return sibling(server, name);
}

/** By files where the server can: as the log of changes of the copy, the default since PostgreSQL 15, it takes four times as long. */
async function copyDatabase(client: pg.Client, template: string, nameAndMore: string): Promise<void> {
  const { rows } = await client.query<{ version: number }>(`SELECT current_setting('server_version_num')::int AS version`);
  await client.query(`CREATE DATABASE ${nameAndMore} TEMPLATE "${template}"${(rows[0]?.version ?? 0) < 150_000 ? '' : ' STRATEGY file_copy'}`);
}

async function templateDatabase(client: pg.Client, server: string, dump: string, more: string): Promise<string> {
  const name = `template_${createHash('sha256').update(await readFile(dump)).update(more).digest('hex').slice(0, 16)}`;
  const exists = async (): Promise<boolean> => (await client.query('SELECT FROM pg_database WHERE datname = $1', [name])).rowCount === 1;
  if (await exists()) return name;
  await client.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
  try {
    if (await exists()) return name;
    // Named only when complete, so that a process that dies while loading leaves no half template behind.
    const loading = `${name}_loading`;
    await client.query(`DROP DATABASE IF EXISTS "${loading}"`);
    if (more === '') {
      await copyDatabase(client, 'template0', `"${loading}"`);
      await loadDump(sibling(server, loading), dump);
    } else {
      await copyDatabase(client, await templateDatabase(client, server, dump, ''), `"${loading}"`);
      await query(sibling(server, loading), `SET search_path = zulip, pg_catalog; ${more}`);
    }
    await client.query(`ALTER DATABASE "${loading}" RENAME TO "${name}"`);
    return name;
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [TEMPLATE_LOCK]);
  }
}

async function query(url: string, sql: string): Promise<void> {
  await withClient(url, (client) => client.query(sql));
}

function sibling(url: string, database: string): string {
  const out = new URL(url);
  out.pathname = `/${encodeURIComponent(database)}`;
  return out.href;
}
