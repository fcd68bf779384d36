// Realms that lack something, and those whose names or places are special. Every export is verified before it is published.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openLocalStore } from '../../src/files/local-store.js';
import { change } from '../testbed/database-client.js';
import { compareExports } from '../testbed/compare-export.js';
import { expectedExport } from '../testbed/expected-export.js';
import { exportFrom, exportRealm, only, tableFile, withSource, type TestSource } from './test-source.js';

const ACME = "(SELECT id FROM zerver_realm WHERE string_id = 'acme')";
const OF_ACME = `WHERE realm_id = ${ACME}`;

async function withAcme(work: (source: TestSource) => Promise<void>, ...statements: string[]): Promise<void> {
  await withSource('zulip-11/local', async (source) => {
    if (statements.length > 0) await change(source.url, 'SET session_replication_role = replica', ...statements);
    await work(source);
  });
}

t.test('a realm without messages has one empty messages file, as Zulip writes it', async (t) => {
  await withAcme(async (source) => {
    for (const mode of ['full', 'consent', 'public'] as const) {
      const directory = await exportRealm(source, join(t.testdir(), mode), 'acme', { mode });
      t.strictSame(readdirSync(directory).filter((name) => name.startsWith('messages-')), ['messages-000001.json'], mode);
      t.strictSame(tableFile(directory, 'messages-000001.json'), { zerver_message: [], zerver_usermessage: [] });
      t.strictSame(tableFile(directory, 'realm.json').zerver_reaction, []);
      t.strictSame(tableFile(directory, 'attachment.json'), { zerver_attachment: [] });
    }
  }, `DELETE FROM zerver_message ${OF_ACME}`, `DELETE FROM zerver_scheduledmessage ${OF_ACME}`);
});

t.test('a realm without files has empty records', async (t) => {
  await withAcme(async (source) => {
    const empty = t.testdir({ files: {}, avatars: {}, output: {} });
    // Nobody's avatar has to be found by its hash, so that no salt is asked for either.
    const directory = await exportRealm({ ...source, openStore: () => openLocalStore({ uploadsDir: empty }) }, join(empty, 'output'), 'acme', { salt: undefined });
    for (const area of ['uploads', 'avatars', 'emoji', 'realm_icons']) {
      t.strictSame(tableFile(directory, join(area, 'records.json')), [], area);
    }
    t.strictSame(tableFile(directory, 'attachment.json'), { zerver_attachment: [] });
  }, `DELETE FROM zerver_attachment ${OF_ACME}`, `DELETE FROM zerver_realmemoji ${OF_ACME}`, `UPDATE zerver_userprofile SET avatar_source = 'G' ${OF_ACME}`);
});

t.test('a deactivated realm is exported like any other', async (t) => {
  await withAcme(async (source) => {
    const directory = await exportRealm(source, t.testdir(), 'acme');
    const differences = compareExports(await expectedExport('zulip-11/local', 'acme-full'), directory);
    t.match(differences, [/^realm\.json zerver_realm\.deactivated: row \d+: expected false, got true$/]);
    t.equal(differences.length, 1);
  }, `UPDATE zerver_realm SET deactivated = true WHERE string_id = 'acme'`);
});

t.test('the realm at the root has an empty subdomain, and a directory with a name', async (t) => {
  await withAcme(async (source) => {
    const result = only(await exportFrom(source, t.testdir(), ['']));
    t.match(result.directory, /\/_root$/);
    const differences = compareExports(await expectedExport('zulip-11/local', 'acme-full'), result.directory);
    t.match(differences, [/^realm\.json zerver_realm\.string_id: row \d+: expected "acme", got ""$/]);
    t.equal(differences.length, 1);
    t.strictSame((await exportFrom(source, t.testdir(), 'all', { targets: { exclude: ['globex', 'closed', 'tiny'] } })).map(({ target }) => target.directory), ['_root'], 'among all realms too');
  }, `UPDATE zerver_realm SET string_id = '' WHERE string_id = 'acme'`);
});

t.test('the realm of the system bots has no other realm to refer to', async (t) => {
  await withAcme(async (source) => {
    const directory = await exportRealm(source, t.testdir(), 'zulipinternal', { mode: 'full' });
    const realm = tableFile(directory, 'realm.json');
    t.strictSame(realm.zerver_userprofile_crossrealm, []);
    t.strictSame(realm.zerver_userprofile?.map(({ email }) => email), ['nagios-receive-bot@zulip.com', 'nagios-send-bot@zulip.com'], 'the three bots are never rows of an export');
    t.strictSame(tableFile(directory, 'messages-000001.json').zerver_message, []);
  });
});

t.test('the system bots of a very old server live in its first realm', async (t) => {
  await withAcme(async (source) => {
    const directory = await exportRealm(source, t.testdir(), 'acme');
    // Their addresses, ids and messages are what they are, wherever their rows lie.
    t.strictSame(compareExports(await expectedExport('zulip-11/local', 'acme-full'), directory), []);
  }, `UPDATE zerver_userprofile SET realm_id = ${ACME} WHERE email IN ('emailgateway@zulip.com', 'notification-bot@zulip.com', 'welcome-bot@zulip.com')`);
});
