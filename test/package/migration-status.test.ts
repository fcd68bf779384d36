import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import t from 'tap';
import { hasMigrationStatus, migrationStatus, type MigrationStatus } from '../../src/package/migration-status.js';
import type { AppliedMigration } from '../../src/plan/applied-migrations.js';
import { detectZulipVersion, zulipVersion } from '../../src/plan/zulip-version.js';
import { connect } from '../../src/snapshot/connect.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { readArchive } from '../testbed/tar-archive.js';
import { testData, type Dataset } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { writeMigration, writeZulipTree } from './zulip-tree.js';

const NO_TREE = { defaultZulipDir: '/no/such/directory' };

/** migration_status.json as the server itself wrote it. */
async function expectedStatus(dataset: Dataset, name: string): Promise<MigrationStatus | undefined> {
  let found: MigrationStatus | undefined;
  await readArchive(testData(dataset, 'expected', name), async (path, content) => {
    const bytes = await buffer(content);
    if (path.endsWith('/migration_status.json')) found = JSON.parse(bytes.toString()) as MigrationStatus;
  });
  return found;
}

let applied: readonly AppliedMigration[];
let expected: MigrationStatus;

t.before(async () => {
  applied = await withTestDatabase('zulip-11/local', async (url) => {
    const client = await connect(connectionSettings(url, {}), 'test');
    return (await detectZulipVersion(client, 'zulip').finally(() => client.end())).applied;
  });
  expected = (await expectedStatus('zulip-11/local', 'acme-full.tar.gz')) as MigrationStatus;
});

t.test('the bundled catalogue is what every server of that version wrote', async (t) => {
  const result = migrationStatus(zulipVersion(applied), NO_TREE);
  t.match(result, { source: /^the bundled catalogue for 0697_/, warnings: [] });
  for (const dataset of ['zulip-11/local', 'zulip-11/s3'] as const) {
    for (const name of readdirSync(testData(dataset, 'expected')).filter((each) => !each.includes('-user-'))) {
      t.strictSame(result.content, await expectedStatus(dataset, name), `${dataset} ${name}`);
    }
  }
});

t.test('versions before it write none', (t) => {
  t.ok(hasMigrationStatus(zulipVersion(applied)));
  t.ok(hasMigrationStatus(zulipVersion(applied, '10.0')));
  t.notOk(hasMigrationStatus(zulipVersion(applied, '9.4')));
  t.end();
});

t.test('a source tree gives what its server prints', (t) => {
  for (const virtualenv of ['.venv', 'zulip-py3-venv']) {
    const directory = t.testdir({});
    writeZulipTree(directory, '11.0-dev+git', expected.migrations_by_app, applied, virtualenv);
    const result = migrationStatus(zulipVersion(applied), { zulipDir: directory });
    t.strictSame(result, { content: expected, source: `the source tree ${directory}`, warnings: [] });
    t.strictSame(result.content.migrations_by_app.zerver, expected.migrations_by_app.zerver, 'in the order of Django');
    t.equal(migrationStatus(zulipVersion(applied), { defaultZulipDir: directory }).source, `the source tree ${directory}`, 'also where an installer puts it');
  }
  t.end();
});

t.test('a tree without its virtualenv takes the libraries from the catalogue', (t) => {
  const directory = t.testdir({});
  writeZulipTree(directory, '11.0-dev+git', expected.migrations_by_app, applied, undefined);
  t.strictSame(migrationStatus(zulipVersion(applied), { zulipDir: directory }), { content: expected, source: `the source tree ${directory}`, warnings: [] });
  t.end();
});

t.test('a server without the optional apps lists none of them', (t) => {
  const directory = t.testdir({});
  writeZulipTree(directory, '11.0-dev+git', expected.migrations_by_app, applied, '.venv');
  const smaller = applied.filter(({ app }) => app !== 'zilencer' && app !== 'corporate');
  const apps = Object.fromEntries(Object.entries(expected.migrations_by_app).filter(([app]) => app !== 'zilencer' && app !== 'corporate'));
  for (const options of [{ zulipDir: directory }, NO_TREE]) {
    const result = migrationStatus(zulipVersion(smaller), options);
    t.strictSame([result.content.migrations_by_app, result.warnings], [apps, []], result.source);
  }
  t.end();
});

t.test('what the tree has and the database has not is shown as missing', (t) => {
  const directory = t.testdir({});
  writeZulipTree(directory, '11.0-dev+git', expected.migrations_by_app, applied, '.venv');
  writeMigration(directory, 'zerver', '0698_next', '0697_empty_topic_name_for_dms_from_third_party_imports');
  const result = migrationStatus(zulipVersion(applied), { zulipDir: directory });
  t.equal(result.content.migrations_by_app.zerver?.at(-1), '[ ] 0698_next');
  t.match(result.warnings, [/not applied yet \(zerver\)/]);
  t.end();
});

t.test('the tree of another version is used only when it is named', (t) => {
  const directory = t.testdir({});
  writeZulipTree(directory, '11.0-dev+git', expected.migrations_by_app, applied, '.venv');
  rmSync(join(directory, 'zerver/migrations/0697_empty_topic_name_for_dms_from_third_party_imports.py'));
  const standard = migrationStatus(zulipVersion(applied), { defaultZulipDir: directory });
  t.match(standard, { content: expected, source: /catalogue/, warnings: [/lacks 1 applied zerver migrations, such as 0697_.*not used/] });
  const named = migrationStatus(zulipVersion(applied), { zulipDir: directory });
  t.match(named, { source: /source tree/, warnings: [/lacks 1 applied/] });
  t.notOk(named.content.migrations_by_app.zerver?.some((line) => line.includes('0697')));
  t.end();
});

t.test('a tree that cannot be read is an error when it is named, and else a warning', (t) => {
  const broken = (change: (directory: string) => void): string => {
    const directory = t.testdir({});
    writeZulipTree(directory, '11.0-dev+git', expected.migrations_by_app, applied, '.venv');
    change(directory);
    return directory;
  };
  const file = 'zerver/migrations/0600_set_default_for_can_add_members_group.py';
  const cases: Record<string, (directory: string) => void> = {
    'version.py': (directory) => rmSync(join(directory, 'version.py')),
    'it has no zerver/migrations': (directory) => renameSync(join(directory, 'zerver'), join(directory, 'elsewhere')),
    'no class Migration': (directory) => writeFileSync(join(directory, file), 'x = 1\n'),
    'computed': (directory) => writeFileSync(join(directory, file), 'class Migration:\n    dependencies = [("a", "b")] + more\n'),
    'which does not exist': (directory) => writeFileSync(join(directory, file), 'class Migration:\n    dependencies = [("zerver", "0599_gone")]\n'),
  };
  for (const [reason, change] of Object.entries(cases)) {
    const directory = broken(change);
    t.throws(() => migrationStatus(zulipVersion(applied), { zulipDir: directory }), { code: 'ZULIP_DIR', message: new RegExp(reason) }, reason);
    t.match(migrationStatus(zulipVersion(applied), { defaultZulipDir: directory }), { content: expected, warnings: [new RegExp(reason)] });
  }
  t.throws(() => migrationStatus(zulipVersion(applied), { zulipDir: '/no/such/directory' }), { code: 'ZULIP_DIR', exit: 2 });
  t.end();
});

t.test('a version without a catalogue is inferred, with a warning', (t) => {
  const newer = [...applied, { app: 'zerver', name: '0698_next' }, { app: 'zerver', name: '0699_after_next' }];
  const result = migrationStatus(zulipVersion(newer), NO_TREE);
  t.match(result, { source: 'inferred from django_migrations', warnings: [/manage\.py import may refuse it/] });
  t.equal(result.content.zulip_version, '11.0');
  t.strictSame(new Set(result.content.migrations_by_app.zerver), new Set([...(expected.migrations_by_app.zerver ?? []), '[X] 0698_next', '[X] 0699_after_next']));
  t.strictSame({ ...result.content.migrations_by_app, zerver: [] }, { ...expected.migrations_by_app, zerver: [] }, 'all else is known');
  t.equal(migrationStatus(zulipVersion(newer, '12.0-dev+git'), NO_TREE).content.zulip_version, '12.0-dev+git');
  t.end();
});

t.test('the catalogue is not used for a database that it does not fit', (t) => {
  const lacking = applied.filter(({ name }) => name !== '0650_set_default_for_realm_can_add_subscribers_group');
  const result = migrationStatus(zulipVersion(lacking), NO_TREE);
  t.match(result, { source: 'inferred from django_migrations', warnings: [/does not fit/, /may refuse/] });
  const library = migrationStatus(zulipVersion([...applied, { app: 'social_django', name: '0017_usersocialauth_user_social_auth_uid_required' }]), NO_TREE);
  t.match(library, { source: /catalogue/, warnings: [/social_django/] });
  t.ok(library.content.migrations_by_app.social_django?.includes('[X] 0017_usersocialauth_user_social_auth_uid_required'));
  t.strictSame(library.content.migrations_by_app.zerver, expected.migrations_by_app.zerver);
  t.end();
});

t.test('a file is taken as it is, if it is one', (t) => {
  const file = join(t.testdir({}), 'migration_status.json');
  const status = { migrations_by_app: { zerver: expected.migrations_by_app.zerver, other: ['(no migrations)', '[-] 0001_squashed_0002 (2 squashed migrations)', '[ ] 0003_x'] }, zulip_version: '11.0' };
  writeFileSync(file, JSON.stringify(status));
  t.strictSame(migrationStatus(zulipVersion(applied, '12.0'), { file }), { content: status, source: `the file ${file}`, warnings: [] });
  const older = applied.slice(0, -40);
  t.match(migrationStatus(zulipVersion(older), { file }).warnings, [/another state of the server/]);
  for (const text of ['', '[]', 'null', '{"zulip_version": "11"}', '{"zulip_version": 11, "migrations_by_app": {}}', '{"zulip_version": "11.0", "migrations_by_app": []}',
    '{"zulip_version": "11.0", "migrations_by_app": {"auth": ["[X] 0001_initial"]}}', '{"zulip_version": "11.0", "migrations_by_app": {"zerver": []}}',
    '{"zulip_version": "11.0", "migrations_by_app": {"zerver": ["0001_initial"]}}', '{"zulip_version": "11.0", "migrations_by_app": {"zerver": [1]}}']) {
    writeFileSync(file, text);
    t.throws(() => migrationStatus(zulipVersion(applied), { file }), { code: 'MIGRATION_STATUS', exit: 2 }, text);
  }
  t.throws(() => migrationStatus(zulipVersion(applied), { file: '/no/such/file' }), { code: 'MIGRATION_STATUS', message: /ENOENT/ });
  t.end();
});

t.test('each catalogue is named after the newest migration it lists', (t) => {
  const directory = join(import.meta.dirname, '..', '..', '..', 'data', 'migration-status');
  const files = readdirSync(directory);
  t.ok(files.length > 0);
  for (const file of files) {
    const status = JSON.parse(readFileSync(join(directory, file), 'utf8')) as MigrationStatus;
    const names = (status.migrations_by_app.zerver ?? []).map((line) => line.slice(4).split(' ')[0] ?? '');
    t.equal(`${names.sort().at(-1)}.json`, file);
    t.match(status.zulip_version, /^\d+\./);
  }
  t.end();
});
