import { writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os, { userInfo } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { connectionSettings, databaseIsConfigured, type ConnectionSettings } from '../../src/snapshot/connection-settings.js';

const AUTHORITY = join(import.meta.dirname, '..', '..', '..', 'test', 'snapshot', 'tls', 'ca.crt');

// Neither certificates nor passwords of whoever runs the tests.
process.env.HOME = t.testdir({});

/** Every try as `HOST:PORT tls|plain`. */
function tries(settings: ConnectionSettings): string[] {
  return [settings, ...(settings.alternatives ?? [])].map(({ config }) => `${config.host}:${config.port} ${config.ssl === false ? 'plain' : 'tls'}`);
}

t.test('the connection string wins over the service, the service over the environment', (t) => {
  const directory = t.testdir({ 'pg_service.conf': '# comment\n[other]\nhost=wrong\n[lift]\nhost=service.example\nport=6000\nuser=from_service\n\n[empty]\n' });
  const env = { PGSERVICEFILE: join(directory, 'pg_service.conf'), PGHOST: 'env.example', PGPORT: '7000', PGUSER: 'from_env', PGDATABASE: 'from_env', PGHOSTADDR: '192.0.2.1' };
  t.equal(connectionSettings(undefined, { ...env, PGHOSTADDR: '' }).description, 'from_env@env.example:7000/from_env');
  t.equal(connectionSettings('', env).config.host, '192.0.2.1', 'the address wins over the name');
  t.equal(connectionSettings('service=lift', { ...env, PGHOSTADDR: '' }).description, 'from_service@service.example:6000/from_env');
  t.equal(connectionSettings(undefined, { ...env, PGSERVICE: 'lift', PGHOSTADDR: '' }).description, 'from_service@service.example:6000/from_env');
  t.equal(connectionSettings('postgresql://me@given.example/db?service=lift', env).description, 'me@given.example:6000/db', 'nor is the address of another host kept');
  t.equal(connectionSettings('service=empty', { ...env, PGHOSTADDR: '' }).description, 'from_env@env.example:7000/from_env');
  t.throws(() => connectionSettings('service=none', env), { code: 'CONNECTION_SERVICE', exit: 2 });
  t.end();
});

t.test('a user without a home has no files there', (t) => {
  const { homedir } = os;
  os.homedir = () => { throw new Error('uv_os_homedir returned ENOENT'); };
  syncBuiltinESMExports();
  t.teardown(() => {
    os.homedir = homedir;
    syncBuiltinESMExports();
  });
  t.equal(connectionSettings('postgresql://u@db/x?sslmode=require', {}).description, 'u@db:5432/x');
  t.throws(() => connectionSettings('service=none', {}), { code: 'CONNECTION_SERVICE' });
  t.end();
});

t.test('what is not said is libpq\'s default', (t) => {
  const { config } = connectionSettings(undefined, {});
  t.match(config, { port: 5432, user: userInfo().username, database: userInfo().username, connectionTimeoutMillis: 30_000, keepAlive: true });
  t.equal(connectionSettings('user=someone', { PGHOST: 'h' }).config.database, 'someone', 'the database is named like the user');
  t.end();
});

t.test('a password comes from the string, the environment or the password file', (t) => {
  const file = join(t.testdir({}), 'pgpass');
  writeFileSync(file, 'db1:5432:*:*:one\ndb2:5432:*:*:two\nlocalhost:5432:*:*:local\n', { mode: 0o600 });
  const env = { PGPASSFILE: file, PGUSER: 'u' };
  const passwords = (settings: ConnectionSettings): unknown[] => [settings, ...(settings.alternatives ?? [])].map(({ config }) => config.password);
  t.strictSame(passwords(connectionSettings('postgresql://db1?sslmode=disable', env)), ['one']);
  t.strictSame(passwords(connectionSettings('postgresql://db1,db2,db3?sslmode=disable', env)), ['one', 'two', undefined], 'each host has its own');
  t.strictSame(passwords(connectionSettings('host=/var/run/postgresql', env)), ['local']);
  t.strictSame(passwords(connectionSettings('postgresql://db1?sslmode=disable', { ...env, PGPASSWORD: 'env' })), ['env']);
  t.strictSame(passwords(connectionSettings(`host=db1 sslmode=disable passfile=${file}`, {})), ['one']);
  for (const password of ["p@ss:w/o?r#d%'\\ \"", 'ünï🔑']) {
    const settings = connectionSettings(`postgresql://u:${encodeURIComponent(password)}@db/x`, {});
    t.equal(settings.config.password, password);
    t.notMatch(settings.description, password);
  }
  t.end();
});

t.test('a whole URL in the place of a name is refused, since names are shown and it has a password', (t) => {
  for (const name of ['PGHOST', 'PGDATABASE', 'PGUSER']) {
    t.throws(() => connectionSettings(undefined, { PGHOST: 'db', [name]: 'postgresql://u:hunter2@db/x' }), { code: 'CONNECTION_STRING', exit: 2, message: new RegExp(`: ${name} is one name, and a whole URL was given for it: give that as DATABASE_URL$`) });
  }
  t.end();
});

t.test('sslmode decides which ways are tried', (t) => {
  const ways = (mode: string): string[] => tries(connectionSettings(`host=db${mode === '' ? '' : ` sslmode=${mode}`}`, {})).map((each) => each.slice('db:5432 '.length));
  t.strictSame(ways('disable'), ['plain']);
  t.strictSame(ways('allow'), ['plain', 'tls']);
  t.strictSame(ways('prefer'), ['tls', 'plain']);
  t.strictSame(ways(''), ['tls', 'plain'], 'prefer is the default');
  for (const mode of ['require', 'verify-ca', 'verify-full']) t.strictSame(ways(mode), ['tls'], mode);
  t.strictSame(tries(connectionSettings('host=/srv/pg sslmode=require', {})), ['/srv/pg:5432 plain'], 'a unix socket is always plain');
  t.strictSame(tries(connectionSettings('host=db', { PGSSLMODE: 'disable' })), ['db:5432 plain']);
  t.throws(() => connectionSettings('host=db sslmode=no-verify', {}), { code: 'CONNECTION_STRING' });
  t.end();
});

t.test('sslmode decides what is verified', (t) => {
  const verified = (rest: string): unknown => {
    const { config, serverName } = connectionSettings(`host=db ${rest}`, {});
    return [(config.ssl as { rejectUnauthorized: boolean }).rejectUnauthorized, serverName];
  };
  t.strictSame(verified('sslmode=prefer'), [false, undefined]);
  t.strictSame(verified('sslmode=require'), [false, undefined]);
  t.strictSame(verified(`sslmode=require sslrootcert=${AUTHORITY}`), [true, undefined], 'a root certificate makes require verify-ca');
  t.strictSame(verified(`sslmode=prefer sslrootcert=${AUTHORITY}`), [false, undefined]);
  t.strictSame(verified('sslmode=verify-ca'), [true, undefined]);
  t.strictSame(verified('sslmode=verify-full'), [true, 'db']);
  t.strictSame(verified('hostaddr=192.0.2.1 sslmode=verify-full'), [true, 'db'], 'the name, not the address');
  t.strictSame(verified('sslrootcert=system'), [true, 'db']);
  t.throws(() => connectionSettings('host=db sslmode=verify-ca sslrootcert=/no/such/file', {}), { code: 'CONNECTION_FILE', message: /no\/such\/file.*ENOENT/ });
  t.end();
});

t.test('several hosts are several tries', (t) => {
  t.strictSame(tries(connectionSettings('postgresql://a,b:6000/x?sslmode=disable', {})), ['a:5432 plain', 'b:6000 plain']);
  t.strictSame(tries(connectionSettings('host=a,b port=6000 sslmode=disable', {})), ['a:6000 plain', 'b:6000 plain'], 'one port serves all');
  t.strictSame(tries(connectionSettings('host=a,b sslmode=prefer', {})), ['a:5432 tls', 'a:5432 plain', 'b:5432 tls', 'b:5432 plain']);
  t.strictSame(tries(connectionSettings('host=a,b hostaddr=192.0.2.1,192.0.2.2 sslmode=disable', {})), ['192.0.2.1:5432 plain', '192.0.2.2:5432 plain']);
  t.throws(() => connectionSettings('host=a,b port=1,2,3', {}), { code: 'CONNECTION_STRING' });
  t.equal(connectionSettings('host=a target_session_attrs=any', {}).target, undefined);
  t.equal(connectionSettings('host=a', { PGTARGETSESSIONATTRS: 'standby' }).target, 'standby');
  t.throws(() => connectionSettings('host=a target_session_attrs=master', {}), { code: 'CONNECTION_STRING' });
  t.end();
});

t.test('numbers that are none are refused without being repeated', (t) => {
  for (const text of ['host=a port=hunter2', 'host=a port=0', 'host=a port=65536', 'host=a connect_timeout=hunter2', 'postgresql://zulip:hunter2']) {
    t.throws(() => connectionSettings(text, {}), { code: 'CONNECTION_STRING', message: /^((?!hunter2).)*$/ }, text);
  }
  t.equal(connectionSettings('host=a connect_timeout=0', {}).config.connectionTimeoutMillis, 0, 'for ever');
  t.equal(connectionSettings('host=a connect_timeout=7', {}).config.connectionTimeoutMillis, 7000);
  t.end();
});

t.test('settings can be sent to a worker thread', (t) => {
  const settings = connectionSettings(`postgresql://u:p@a,b/x?sslmode=verify-full&sslrootcert=${AUTHORITY}`, {});
  t.strictSame(structuredClone(settings), settings);
  t.end();
});

t.test('only what names a database asks for one', (t) => {
  t.notOk(databaseIsConfigured({ PGUSER: 'u', PGPORT: '1', DATABASE_URL: '' }));
  for (const name of ['DATABASE_URL', 'PGHOST', 'PGHOSTADDR', 'PGDATABASE', 'PGSERVICE']) t.ok(databaseIsConfigured({ [name]: 'x' }), name);
  t.end();
});
