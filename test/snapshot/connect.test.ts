import { createPrivateKey } from 'node:crypto';
import { chown, chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import t from 'tap';
import { withSchema } from '../../src/backup/schema/pg-dump.js';
import { atOnce } from '../../src/snapshot/at-once.js';
import { connect, settingsOf } from '../../src/snapshot/connect.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { withSnapshot } from '../../src/snapshot/snapshot.js';
import { postgresIdentity, sharedTemporaryDirectory } from '../../src/demo/postgres-binaries.js';
import { startPostgres, type PostgresServer } from '../../src/demo/postgres-server.js';
import { NEEDS_PG_DUMP } from '../backup/test-backup.js';

// Neither certificates nor passwords of whoever runs the tests.
process.env.HOME = t.testdir({});

const CERTIFICATES = join(import.meta.dirname, '..', '..', '..', 'test', 'snapshot', 'tls');
/** Nothing listens there: the port of TCP's discard service, which no test machine runs. */
const DEAF = '127.0.0.1:9';

let plain: PostgresServer;
let secure: PostgresServer;
let keys: string;

t.before(async () => {
  const identity = await postgresIdentity();
  keys = await mkdtemp(join(await sharedTemporaryDirectory(identity), 'realmlift-tls-'));
  for (const name of ['server.crt', 'server.key']) {
    await copyFile(join(CERTIFICATES, name), join(keys, name));
    await chmod(join(keys, name), 0o600);
    if (identity.uid !== undefined && identity.gid !== undefined) await chown(join(keys, name), identity.uid, identity.gid);
  }
  if (identity.uid !== undefined && identity.gid !== undefined) await chown(keys, identity.uid, identity.gid);
  [plain, secure] = await Promise.all([
    startPostgres(), startPostgres({ ssl: 'on', ssl_cert_file: join(keys, 'server.crt'), ssl_key_file: join(keys, 'server.key') }),
  ]);
});

t.after(async () => {
  await Promise.all([plain.stop(), secure.stop()]);
  await rm(keys, { recursive: true });
});

/** The first value of a query, or of the last of several, over a connection that `connect` made. */
async function ask(connectionString: string, sql: string, env: Record<string, string> = {}): Promise<unknown> {
  const client = await connect(connectionSettings(connectionString, env), 'test');
  try {
    const results = [await client.query<unknown[]>({ text: sql, rowMode: 'array' })].flat();
    return results.at(-1)?.rows[0]?.[0];
  } finally {
    await client.end();
  }
}

function withParameters(url: string, parameters: Record<string, string>): string {
  return `${url}?${Object.entries(parameters).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
}

const ENCRYPTED = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';

t.test('a session does not depend on the configuration of role and server', async (t) => {
  const url = plain.url('postgres');
  await ask(url, `CREATE ROLE odd LOGIN PASSWORD 'odd';
    ALTER ROLE odd SET timezone = 'Asia/Kolkata'; ALTER ROLE odd SET datestyle = 'SQL, DMY'; ALTER ROLE odd SET search_path = 'nowhere';
    ALTER ROLE odd SET statement_timeout = '10s'; ALTER ROLE odd SET bytea_output = 'escape'; ALTER ROLE odd SET client_encoding = 'LATIN1'; ALTER ROLE odd SET row_security = on; ALTER ROLE odd SET standard_conforming_strings = off`);
  const odd = url.replace(/\/\/[^@]*@/, '//odd:odd@');
  t.equal(await ask(odd, "SELECT '2026-03-01 12:00:00+00'::timestamptz::text"), '2026-03-01 12:00:00+00');
  for (const [name, value] of Object.entries({ search_path: 'pg_catalog', statement_timeout: '0', bytea_output: 'hex', client_encoding: 'UTF8', row_security: 'off', idle_session_timeout: '0', standard_conforming_strings: 'on' })) {
    t.equal(await ask(odd, `SELECT current_setting('${name}')`), value, name);
  }
  t.equal(await ask(odd, "SELECT current_setting('application_name')"), 'realmlift test');
});

t.test('a server that has no room for another session says so', async (t) => {
  const url = plain.url('postgres');
  await ask(url, "CREATE ROLE crowded LOGIN PASSWORD 'crowded' CONNECTION LIMIT 0");
  await t.rejects(ask(url.replace(/\/\/[^@]*@/, '//crowded:crowded@'), 'SELECT 1'), { code: 'SERVER_FULL', message: /too many connections for role/, hint: /fewer --jobs/ });
});

t.test('rows that a policy hides from the role are an error and not a gap', async (t) => {
  const url = plain.url('postgres');
  await ask(url, `CREATE ROLE half LOGIN PASSWORD 'half'; CREATE TABLE public.hidden (id int); INSERT INTO public.hidden VALUES (1), (2);
    ALTER TABLE public.hidden ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON public.hidden USING (id = 1); GRANT SELECT ON public.hidden TO half`);
  await t.rejects(ask(url.replace(/\/\/[^@]*@/, '//half:half@'), 'SELECT count(*) FROM public.hidden'), { message: /row-level security/ });
});

t.test('a unix socket, also percent-encoded in a URI', async (t) => {
  const { password, port } = new URL(plain.url('postgres'));
  t.equal(await ask(`postgresql://postgres:${password}@${encodeURIComponent(plain.socketDirectory)}:${port}/postgres`, 'SELECT inet_server_port()'), null);
  t.equal(await ask(`host=${plain.socketDirectory} port=${port} user=postgres password=${password} dbname=postgres`, 'SELECT inet_server_port()'), null);
  t.equal(await ask('', 'SELECT inet_server_port()', { PGHOST: plain.socketDirectory, PGPORT: port, PGUSER: 'postgres', PGPASSWORD: password, PGSSLMODE: 'verify-full' }), null);
});

t.test('odd names and passwords', async (t) => {
  const url = plain.url('postgres');
  const password = "p@ss:w/o?r#d%'\\ \"ü🔑";
  await ask(url, `CREATE ROLE "o'dd user@x" LOGIN PASSWORD ${pg.escapeLiteral(password)}`);
  await ask(url, 'CREATE DATABASE "o\'dd name/x"');
  const { host } = new URL(url);
  t.equal(await ask(`postgresql://${encodeURIComponent("o'dd user@x")}:${encodeURIComponent(password)}@${host}/${encodeURIComponent("o'dd name/x")}`, 'SELECT current_database()'), "o'dd name/x");
});

t.test('a login that is refused says so, and never the password', async (t) => {
  const { host, port, password } = new URL(plain.url('postgres'));
  const cases = {
    [`postgresql://postgres:hunter2@${host}/postgres`]: { code: 'LOGIN_REFUSED', message: /refused the login of postgres@127\.0\.0\.1.*: password authentication failed/ },
    [`postgresql://postgres@${host}/postgres`]: { code: 'LOGIN_REFUSED', message: /asks .* for a password and none was given/ },
    [`postgresql://nobody:hunter2@${host}/postgres`]: { code: 'LOGIN_REFUSED' },
    [`postgresql://postgres:${password}@${host}/nowhere`]: { code: 'DATABASE_UNKNOWN', message: /nowhere/ },
    [`postgresql://postgres:${password}@${host}/postgres?sslmode=require`]: { code: 'SERVER_UNREACHABLE', message: /does not support SSL/, hint: /sslmode asks for TLS/ },
    [`postgresql://postgres:${password}@${host}/postgres?options=-c%20nonsense%3D1`]: { code: 'SERVER_UNREACHABLE', message: /nonsense/, hint: /check PGOPTIONS/ },
    [`postgresql://postgres:hunter2@${DEAF}/postgres`]: { code: 'SERVER_UNREACHABLE', message: /postgres@127\.0\.0\.1:9\/postgres: .*ECONNREFUSED/ },
    'postgresql://postgres:hunter2@no-such-host.invalid/postgres': { code: 'SERVER_UNREACHABLE', message: /no-such-host\.invalid/ },
    [`host=/no/such/directory port=${port} user=postgres password=hunter2`]: { code: 'SERVER_UNREACHABLE', message: /ENOENT/ },
  };
  for (const [text, expected] of Object.entries(cases)) {
    const error = await ask(text, 'SELECT 1').catch((thrown: unknown) => thrown as Error & { line: string });
    t.match(error, { name: 'RealmliftError', exit: 1, ...expected }, text);
    t.notMatch(`${(error as { line: string }).line}${(error as Error).stack ?? ''}`, new RegExp(`hunter2|${password}`));
  }
});

t.test('a server that accepts and then says nothing is given up', async (t) => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await new Promise((resolve) => silent.once('listening', resolve));
  const { port } = silent.address() as AddressInfo;
  await t.rejects(ask(`host=127.0.0.1 port=${port} user=u connect_timeout=1`, 'SELECT 1'), { code: 'SERVER_UNREACHABLE', message: /timeout/ });
  silent.close();
});

t.test('sslmode on a server with TLS', async (t) => {
  const url = secure.url('postgres');
  const named = url.replace('127.0.0.1', 'localhost');
  const authority = join(CERTIFICATES, 'ca.crt');
  t.equal(await ask(url, ENCRYPTED), true, 'prefer is the default');
  t.equal(await ask(withParameters(url, { sslmode: 'disable' }), ENCRYPTED), false);
  t.equal(await ask(withParameters(url, { sslmode: 'allow' }), ENCRYPTED), false);
  t.equal(await ask(withParameters(url, { sslmode: 'require' }), ENCRYPTED), true, 'without verification');
  t.equal(await ask(withParameters(url, { sslmode: 'require', channel_binding: 'require' }), ENCRYPTED), true);
  t.equal(await ask(withParameters(url, { sslmode: 'verify-ca', sslrootcert: authority }), ENCRYPTED), true, 'whatever the name');
  t.equal(await ask(withParameters(named, { sslmode: 'verify-full', sslrootcert: authority }), ENCRYPTED), true);
  t.equal(await ask(withParameters(named, { sslmode: 'verify-full', sslrootcert: authority, hostaddr: '127.0.0.1' }), ENCRYPTED), true, 'the name of host, the address of hostaddr');
  t.equal(await ask(url, ENCRYPTED, { PGSSLMODE: 'verify-ca', PGSSLROOTCERT: authority }), true);

  const refused = { code: 'SERVER_UNREACHABLE' };
  await t.rejects(ask(withParameters(url, { sslmode: 'verify-full', sslrootcert: authority }), ENCRYPTED), refused, 'another name');
  await t.rejects(ask(withParameters(named, { sslmode: 'verify-ca', sslrootcert: join(CERTIFICATES, 'other-ca.crt') }), ENCRYPTED), refused, 'another authority');
  await t.rejects(ask(withParameters(named, { sslmode: 'require', sslrootcert: join(CERTIFICATES, 'other-ca.crt') }), ENCRYPTED), refused, 'require with a root certificate');
  await t.rejects(ask(withParameters(named, { sslmode: 'verify-full' }), ENCRYPTED), refused, 'an authority that nobody knows');
});

t.test('pg_dump opens the key of a certificate as the session did', NEEDS_PG_DUMP, async (t) => {
  const sslkey = join(t.testdir({}), 'sealed.key');
  const key = createPrivateKey(await readFile(join(CERTIFICATES, 'server.key')));
  await writeFile(sslkey, key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open it' }));
  const settings = connectionSettings(withParameters(secure.url('postgres'), { sslmode: 'require', sslcert: join(CERTIFICATES, 'server.crt'), sslkey, sslpassword: 'open it' }), {});
  t.match(await withSnapshot(settings, (snapshot) => withSchema('pg_dump', snapshot, 'pre-data', 'UTF8', text)), /PostgreSQL database dump complete/);
});

t.test('prefer goes on without TLS where there is none', async (t) => {
  t.equal(await ask(withParameters(plain.url('postgres'), { sslmode: 'prefer' }), ENCRYPTED), false);
  t.equal(await ask(withParameters(plain.url('postgres'), { sslmode: 'allow' }), ENCRYPTED), false);
});

t.test('hosts are tried in turn', async (t) => {
  const { host, password, port } = new URL(plain.url('postgres'));
  t.equal(await ask(`postgresql://postgres:${password}@${DEAF},${host}/postgres`, 'SELECT inet_server_port()'), Number(port));
  t.equal(await ask(`postgresql://postgres:${password}@${host},${DEAF}/postgres`, 'SELECT inet_server_port()'), Number(port));
  await t.rejects(ask(`postgresql://postgres:x@${DEAF},127.0.0.1:7/postgres`, 'SELECT 1'), { code: 'SERVER_UNREACHABLE', message: /127\.0\.0\.1:9.*127\.0\.0\.1:7/ });
  await t.rejects(ask(`postgresql://postgres:wrong@${host},${DEAF}/postgres`, 'SELECT 1'), { code: 'LOGIN_REFUSED' }, 'a server that refuses ends the search');

  const settings = connectionSettings(`postgresql://postgres:${password}@${DEAF},${host}/postgres`, {});
  const client = await connect(settings, 'test');
  t.strictSame([settingsOf(client, settings).config.port, settingsOf(client, settings).alternatives], [Number(port), undefined], 'further sessions go to the same server');
  await client.end();
});

t.test('target_session_attrs is obeyed', async (t) => {
  const url = plain.url('postgres');
  for (const target of ['any', 'read-write', 'primary', 'prefer-standby']) t.equal(await ask(withParameters(url, { target_session_attrs: target }), 'SELECT 1'), 1, target);
  for (const target of ['read-only', 'standby']) await t.rejects(ask(withParameters(url, { target_session_attrs: target }), 'SELECT 1'), { code: 'SERVER_KIND' }, target);
  t.equal(await ask(withParameters(url, { target_session_attrs: 'read-only', options: '-c default_transaction_read_only=on' }), 'SELECT 1'), 1, 'a read-only session will do');
});

t.test('several questions in one turn keep nobody else from his answers', async (t) => {
  const client = await connect(connectionSettings(plain.url('postgres'), {}), 'snapshot');
  const failed = (query: string): Promise<string> => client.query(query).then(() => 'answered', (error: { code: string }) => error.code);
  const turn = atOnce(client, () => [failed('SELECT pg_sleep(0.05)'), failed('SELECT 1/0')]);
  const others = [1, 2, 3].map((n) => client.query<{ n: number }>(`SELECT ${n} AS n, pg_sleep(0.02)`));
  t.same(await turn, ['answered', '22012']);
  t.same((await Promise.all(others)).map(({ rows }) => rows[0]?.n), [1, 2, 3]);
  await t.rejects(atOnce(client, () => [client.query('SELECT 1/0'), client.query('SELECT 1')]), { code: '22012' });
  t.equal(await failed('SELECT 1'), 'answered');
  await client.end();
});
