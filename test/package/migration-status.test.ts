import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import t from 'tap';
import { hasMigrationStatus, migrationStatus, type MigrationStatus } from '../../src/package/migration-status.js';
import { newestNumber, type AppliedMigration } from '../../src/plan/release/applied-migrations.js';
import { detectZulipVersion, zulipVersion } from '../../src/plan/release/zulip-version.js';
import { withClient } from '../testbed/database-client.js';
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
/** The same of a 12.0-beta1 server. */
let recorded12: readonly AppliedMigration[];
let expected12: MigrationStatus;

async function recordedBy(dataset: Dataset): Promise<readonly AppliedMigration[]> {
  return withTestDatabase(dataset, (url) => withClient(url, async (client) => (await detectZulipVersion(client, 'zulip')).applied));
}

t.before(async () => {
  [applied, recorded12] = [await recordedBy('zulip-11/local'), await recordedBy('zulip-12/local')];
  expected = (await expectedStatus('zulip-11/local', 'acme-full.tar.gz')) as MigrationStatus;
  expected12 = (await expectedStatus('zulip-12/local', 'acme-full.tar.gz')) as MigrationStatus;
});

t.test('the bundled catalogue is what every server of that version wrote', async (t) => {
  for (const [dataset, recorded] of [['zulip-11/local', applied], ['zulip-11/s3', applied], ['zulip-12/local', recorded12]] as const) {
    const result = migrationStatus(zulipVersion(recorded), NO_TREE);
    t.match(result, { source: /^the bundled catalogue for 0(697|792)_/, warnings: [] });
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

t.test('a version without a catalogue is inferred, with a warning, and what nobody knows is not guessed', (t) => {
  const newer = [...applied, { app: 'zerver', name: '0698_next' }, { app: 'zerver', name: '0699_after_next' }];
  const result = migrationStatus(zulipVersion(newer), NO_TREE);
  t.match(result, { source: 'inferred from django_migrations', warnings: [/manage\.py import may refuse it/] });
  t.equal(result.content.zulip_version, '11.0');
  t.strictSame(new Set(result.content.migrations_by_app.zerver), new Set([...(expected.migrations_by_app.zerver ?? []), '[X] 0698_next', '[X] 0699_after_next']));
  t.strictSame({ ...result.content.migrations_by_app, zerver: [] }, { ...expected.migrations_by_app, zerver: [] }, 'all else is known');
  t.equal(migrationStatus(zulipVersion(newer, '12.0-dev+git'), NO_TREE).content.zulip_version, '12.0-dev+git');
  const future = [...recorded12, { app: 'zerver', name: '0793_next' }];
  t.match(migrationStatus(zulipVersion(future), NO_TREE), { content: { zulip_version: 'unknown' }, warnings: [/zulip_version unknown.*will refuse it/] });
  t.equal(migrationStatus(zulipVersion(future, '12.3'), NO_TREE).content.zulip_version, '12.3');
  t.end();
});

t.test('an older server has the first lines of a newer one', (t) => {
  const to = (last: number, backports: readonly number[] = []): AppliedMigration[] => recorded12.filter(({ app, name }) => app !== 'zerver' || newestNumber(name) <= last || backports.includes(newestNumber(name)));
  for (const [last, backports, text] of [[751, [], '11.0'], [751, [753], '11.0'], [768, [], '12.0-dev+git'], [779, [], '12.0']] as const) {
    const result = migrationStatus(zulipVersion(to(last, backports)), NO_TREE);
    t.match(result, { source: /^a newer server's bundled catalogue, up to 07\d\d_/, warnings: [/was taken from a newer server's.*may refuse/] });
    t.equal(result.content.zulip_version, text);
    const lines = expected12.migrations_by_app.zerver?.filter((line) => newestNumber(line.slice(4)) <= last || backports.some((number) => line.startsWith(`[X] 0${number}_`)));
    t.strictSame(result.content.migrations_by_app.zerver, lines);
    t.strictSame({ ...result.content.migrations_by_app, zerver: [] }, { ...expected12.migrations_by_app, zerver: [] }, 'of the other apps all');
  }
  t.end();
});

t.test('the catalogue is not used for a database that it does not fit', (t) => {
  const lacking = applied.filter(({ name }) => name !== '0650_set_default_for_realm_can_add_subscribers_group');
  const result = migrationStatus(zulipVersion(lacking), NO_TREE);
  t.match(result, { source: 'inferred from django_migrations', warnings: [/does not fit/, /may refuse/] });
  const library = migrationStatus(zulipVersion([...applied, { app: 'social_django', name: '0099_of_no_catalogue' }]), NO_TREE);
  t.match(library, { source: /catalogue/, warnings: [/social_django/] });
  t.ok(library.content.migrations_by_app.social_django?.includes('[X] 0099_of_no_catalogue'));
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
