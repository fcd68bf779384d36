import t from 'tap';
import { parseConnectionString } from '../../src/snapshot/connection-string.js';

t.test('a URI is cut where libpq cuts it', (t) => {
  // From the table of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS and libpq's own tests.
  const cases: Record<string, object> = {
    'postgresql://': {},
    'postgresql://localhost': { host: 'localhost' },
    'postgres://localhost:5433': { host: 'localhost', port: '5433' },
    'postgresql://localhost/mydb': { host: 'localhost', dbname: 'mydb' },
    'postgresql://user@localhost': { user: 'user', host: 'localhost' },
    'postgresql://user:secret@localhost': { user: 'user', password: 'secret', host: 'localhost' },
    'postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp': { user: 'other', host: 'localhost', dbname: 'otherdb', connect_timeout: '10' },
    'postgresql://host1:123,host2:456/somedb?target_session_attrs=any': { host: 'host1,host2', port: '123,456', dbname: 'somedb', target_session_attrs: 'any' },
    'postgresql:///mydb?host=localhost&port=5433': { dbname: 'mydb', host: 'localhost', port: '5433' },
    'postgresql://[2001:db8::1234]/database': { host: '2001:db8::1234', dbname: 'database' },
    'postgresql://[::1]:5433,db2/x': { host: '::1,db2', port: '5433,', dbname: 'x' },
    'postgresql:///dbname?host=/var/lib/postgresql': { dbname: 'dbname', host: '/var/lib/postgresql' },
    'postgresql://%2Fvar%2Flib%2Fpostgresql/dbname': { host: '/var/lib/postgresql', dbname: 'dbname' },
    'postgresql://%2Ftmp%2Fa%20b:5433/dbname': { host: '/tmp/a b', port: '5433', dbname: 'dbname' },
    'postgresql://uri-user:p%40ss%2Fw%3Ard+%25@host/db%20name': { user: 'uri-user', password: 'p@ss/w:rd+%', host: 'host', dbname: 'db name' },
    'postgresql://u:a?b#c=d&e@host/db': { user: 'u', password: 'a?b#c=d&e', host: 'host', dbname: 'db' },
    'postgresql://u:a:b@host/db': { user: 'u', password: 'a:b', host: 'host', dbname: 'db' },
    'postgresql://u@host?user=v@tenant&sslmode=require': { user: 'v@tenant', host: 'host', sslmode: 'require' },
    'postgresql://host/db?options=-c%20a%3Db': { host: 'host', dbname: 'db', options: '-c a=b' },
    'postgresql://host/db?ssl=true': { host: 'host', dbname: 'db', sslmode: 'require' },
  };
  for (const [uri, keywords] of Object.entries(cases)) t.strictSame({ ...parseConnectionString(uri) }, keywords, uri);
  t.end();
});

t.test('keyword=value pairs are read as libpq reads them', (t) => {
  const cases: Record<string, object> = {
    '': {},
    'host=localhost port=5432 dbname=mydb connect_timeout=10': { host: 'localhost', port: '5432', dbname: 'mydb', connect_timeout: '10' },
    "  host = 'a b'   user='' ": { host: 'a b', user: '' },
    "password='it\\'s \\\\ here' dbname=x": { password: "it's \\ here", dbname: 'x' },
    'password=a\\ b\\=c dbname=x': { password: 'a b=c', dbname: 'x' },
    'host=/run/pg\ndbname=x\tuser=y': { host: '/run/pg', dbname: 'x', user: 'y' },
  };
  for (const [text, keywords] of Object.entries(cases)) t.strictSame({ ...parseConnectionString(text) }, keywords, text);
  t.end();
});

t.test('what is not understood is refused without a word of it', (t) => {
  for (const text of [
    'postgresql://zulip:hunter2/oops@db.example/zulip', 'postgresql://zulip:pa@hunter2@db.example/zulip', 'postgresql://zulip:12/hunter2@db.example/zulip',
    'postgresql://zulip:%zzhunter2@db.example/zulip', 'postgresql://zulip:hunter2@[::1/zulip', 'postgresql://zulip:hunter2@db.example/zulip?hunter2',
    'postgresql://zulip:hunter2@db.example/zulip?sslmod=require', 'host=db password=correct hunter2 dbname=x', "host=db password='hunter2", 'host=db password=correct hunter2=x',
    'mysql://zulip:hunter2@db.example/zulip',
  ]) {
    let error: { code?: string; exit?: number; line?: string; cause?: unknown } = {};
    try {
      parseConnectionString(text);
    } catch (thrown) {
      error = thrown as typeof error;
    }
    t.match(error, { code: 'CONNECTION_STRING', exit: 2 }, text);
    t.notMatch(String(error.line) + String((error as Error).stack), 'hunter2', 'no piece of the password');
    t.equal(error.cause, undefined);
  }
  t.end();
});

t.test('a keyword that is unknown or cannot be obeyed is named', (t) => {
  t.throws(() => parseConnectionString('host=db sslmod=require'), { code: 'CONNECTION_STRING', message: /sslmod$/ });
  t.throws(() => parseConnectionString('postgresql://db/x?require_auth=scram-sha-256'), { message: /require_auth$/ });
  t.end();
});
