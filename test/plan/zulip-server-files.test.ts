import { join } from 'node:path';
import t from 'tap';
import { avatarSalt, serverMigrations, serverVersion } from '../../src/plan/release/zulip-server-files.js';

const SALT = '4b7ac520072a131d20696d2908d75637218edff82dbf6d8a1eecdf4f2af163c2';

t.test('the version is what the server calls itself', (t) => {
  const directory = t.testdir({
    release: { 'version.py': 'import os\n\nZULIP_VERSION = "11.2"\n\nzulip_git_version_file = "x"\nZULIP_VERSION = lines.pop(0).strip()\n' },
    git: { 'version.py': 'ZULIP_VERSION = "11.0-dev+git"\n', 'zulip-git-version': '11.0-dev-1234-gabcdef\n11.0-dev\n' },
    old: { 'version.py': "ZULIP_VERSION = '6.2'\n" },
    strange: { 'version.py': 'VERSION = 1\n' },
  });
  t.equal(serverVersion(join(directory, 'release')), '11.2');
  t.equal(serverVersion(join(directory, 'git')), '11.0-dev-1234-gabcdef');
  t.equal(serverVersion(join(directory, 'old')), '6.2');
  for (const name of ['strange', 'none']) t.throws(() => serverVersion(join(directory, name)), { code: 'ZULIP_DIR', exit: 2 }, name);
  t.end();
});

t.test('migrations are the modules that Django would import', (t) => {
  const file = 'class Migration(migrations.Migration):\n    dependencies = []\n';
  const directory = t.testdir({
    zerver: { migrations: { '__init__.py': '', '0002_b.py': file, '0001_a.py': file, '_private.py': 'x', '~0001_a.py': 'x', 'notes.txt': '', __pycache__: { '0001_a.cpython-312.pyc': '' } } },
    analytics: { migrations: { '0001_a.py': file } },
    pgroonga: { migrations: { '__init__.py': '' } },
    '.venv': { lib: { 'python3.9': { 'site-packages': {} }, 'python3.12': { 'site-packages': { django: { contrib: { auth: { migrations: { '__init__.py': '', '0001_initial.py': file } } } } } } } },
  });
  const tree = serverMigrations(directory);
  t.strictSame([...tree].map(([app, migrations]) => [app, [...migrations.keys()]]), [['auth', ['0001_initial']], ['zerver', ['0001_a', '0002_b']], ['pgroonga', []]]);
  t.end();
});

t.test('the salt is read as Python\'s configparser reads it', (t) => {
  const cases = {
    plain: `[secrets]\nsecret_key = other\navatar_salt = ${SALT}\n`,
    crlf: `[secrets]\r\navatar_salt = ${SALT}\r\n`,
    tight: `[secrets]\navatar_salt=${SALT}`,
    colon: `[secrets]\nAvatar_Salt: ${SALT}\n`,
    commented: `# avatar_salt = wrong\n[secrets]\n; avatar_salt = wrong\navatar_salt = ${SALT}\n#avatar_salt = wrong\n`,
    sections: `[machine]\navatar_salt = wrong\n\n[secrets]\navatar_salt = ${SALT}\n[other]\navatar_salt = wrong\n`,
    continued: `[secrets]\nrsa_key = first line\n  avatar_salt = wrong\navatar_salt = ${SALT}\n`,
    indented: `[secrets]\n  avatar_salt = ${SALT}\n  secret_key = x\n`,
  };
  const directory = t.testdir(cases);
  for (const name of Object.keys(cases)) t.equal(avatarSalt({ secretsFile: join(directory, name), env: { ZULIP_AVATAR_SALT: 'environment' } }), SALT, name);
  t.equal(avatarSalt({ env: { ZULIP_AVATAR_SALT: 'environment' } }), 'environment');
  t.equal(avatarSalt({ env: { ZULIP_AVATAR_SALT: '' } }), undefined);
  t.equal(avatarSalt({ env: {} }), undefined);
  t.end();
});

t.test('a secrets file without it is refused, and its other secrets are not repeated', (t) => {
  const directory = t.testdir({
    without: '[secrets]\nsecret_key = hunter2\n', empty: '[secrets]\navatar_salt =\nsecret_key = hunter2\n', elsewhere: '[machine]\navatar_salt = hunter2\n', headless: 'avatar_salt = hunter2\n', folder: {},
  });
  for (const name of ['without', 'empty', 'elsewhere', 'headless', 'folder', 'none']) {
    let error: { code?: string; exit?: number; line?: string } = {};
    try {
      avatarSalt({ secretsFile: join(directory, name), env: {} });
    } catch (thrown) {
      error = thrown as typeof error;
    }
    t.match(error, { code: 'SECRETS_FILE', exit: 2, message: new RegExp(name) }, name);
    t.notMatch(String(error.line), 'hunter2');
  }
  t.end();
});
