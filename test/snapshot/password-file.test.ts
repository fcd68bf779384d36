import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { passwordFromFile } from '../../src/snapshot/password-file.js';

const LINES = [
  '# a comment:5432:db:user:no', '', 'not an entry', 'db.example:5432:zulip:zulip:first', 'db.example:*:zulip:*:any port', 'a\\:b:5432:zulip:zulip:with\\:colon\\\\',
  'localhost:5432:*:zulip:socket', '/srv/pg:5432:zulip:zulip:directory', '*:5432:zulip:reader:', 'db.example:5432:zulip:zulip:never',
];

t.test('the first line that matches counts', (t) => {
  const file = join(t.testdir({}), 'pgpass');
  writeFileSync(file, LINES.join('\n'), { mode: 0o600 });
  const find = (host: string, port: number, database: string, user: string): string | undefined => passwordFromFile(file, { host, port, database, user });
  t.equal(find('db.example', 5432, 'zulip', 'zulip'), 'first');
  t.equal(find('db.example', 5433, 'zulip', 'other'), 'any port');
  t.equal(find('a:b', 5432, 'zulip', 'zulip'), 'with:colon\\');
  t.equal(find('/var/run/postgresql', 5432, 'anything', 'zulip'), 'socket', 'the default socket directory is localhost');
  t.equal(find('/srv/pg', 5432, 'zulip', 'zulip'), 'directory');
  t.equal(find('elsewhere', 5432, 'zulip', 'reader'), '');
  t.equal(find('elsewhere', 5432, 'zulip', 'zulip'), undefined);
  t.end();
});

t.test('a file that is absent, cannot be read or is open to others is ignored, as libpq does', (t) => {
  const directory = t.testdir({ pgpass: '*:*:*:*:secret', round: t.fixture('symlink', 'round') });
  const wanted = { host: 'h', port: 1, database: 'd', user: 'u' };
  t.equal(passwordFromFile(join(directory, 'round'), wanted), undefined);
  chmodSync(join(directory, 'pgpass'), 0o640);
  t.equal(passwordFromFile(join(directory, 'pgpass'), wanted), undefined);
  chmodSync(join(directory, 'pgpass'), 0o600);
  t.equal(passwordFromFile(join(directory, 'pgpass'), wanted), 'secret');
  t.equal(passwordFromFile(join(directory, 'none'), wanted), undefined);
  t.equal(passwordFromFile(directory, wanted), undefined);
  t.end();
});
