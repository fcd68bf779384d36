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

t.test('what messages name and does not travel is in the ledger, whatever realm its row names', async (t) => {
  const gateway = "(SELECT id FROM zerver_userprofile WHERE delivery_email = 'emailgateway@zulip.com')";
  await withAcme(async (source) => {
    for (const mode of ['full', 'consent', 'public'] as const) {
      const directory = await exportRealm(source, join(t.testdir(), mode), 'acme', { mode });
      const messages = new Set(readdirSync(directory).filter((name) => name.startsWith('messages-')).flatMap((name) => tableFile(directory, name).zerver_message?.map((row) => row.id)));
      const named = [64, 69, 86].filter((message) => messages.has(message));
      const found = leftOut(directory).find(({ what }) => what === 'foreign_attachment');
      t.match(found, named.length === 0 ? undefined : { class: 'file', count: 1, rows: [{ id: 9001, messages: named }] }, mode);
      if (mode === 'full') t.strictSame(named, [64, 69, 86]);
      t.notOk(tableFile(directory, 'attachment.json').zerver_attachment?.some(({ id }) => id === 9001));
    }
  }, `INSERT INTO zerver_attachment (id, file_name, path_id, create_time, size, is_realm_public, is_web_public, owner_id, realm_id)
      SELECT 9001, 'mailed.txt', u.realm_id || '/ab/mailed.txt', now(), 4, false, false, u.id, u.realm_id FROM zerver_userprofile u WHERE u.id = ${gateway}`,
  'INSERT INTO zerver_attachment_messages (attachment_id, message_id) VALUES (9001, 69), (9001, 64), (9001, 86)');
});

t.test('whose picture stays has none that needs a file, and messages whose files stay are named', async (t) => {
  await withAcme(async (source) => {
    const approved = ['owner@acme.example', 'user1@acme.example'].map((user) => ({ user, realm: undefined, where: user }));
    const source_of = (directory: string): Map<unknown, unknown> => new Map(Object.entries(tableFile(directory, 'realm.json')).filter(([table]) => /^zerver_userprofile(_mirrordummy)?$/.test(table))
      .flatMap(([, rows]) => rows.map((row) => [row.id, row.avatar_source] as const)));
    const full = source_of(await exportRealm(source, join(t.testdir(), 'full'), 'acme'));
    const uploaded = [...full].filter(([, avatar]) => avatar === 'U').map(([user]) => user);
    t.ok(uploaded.length > 5);
    for (const [name, choices] of [['approved', { mode: 'consent', targets: { approved }, approvedFilesOnly: true }], ['all', { mode: 'consent', targets: { approved } }], ['none', { avatars: false, salt: undefined }]] as const) {
      const directory = await exportRealm(source, join(t.testdir(), name), 'acme', choices);
      const withFile = new Set((tableFile(directory, 'avatars/records.json') as unknown as { user_profile_id: number }[]).map((record) => record.user_profile_id));
      for (const [user, avatar] of source_of(directory)) {
        t.equal(avatar, full.get(user) === 'U' && !withFile.has(user as number) ? 'G' : full.get(user), `${name}: user ${String(user)}`);
      }
      if (name === 'none') continue;
      const stayed = leftOut(directory).find(({ what }) => what === 'attachment_without_file')?.rows ?? [];
      t.equal(stayed.length > 0, name === 'approved');
      for (const row of stayed) t.ok((row.messages as number[]).length > 0);
    }
  });
});

function leftOut(directory: string): { what: string; rows: Record<string, unknown>[] }[] {
  return tableFile(directory, 'report.json').rows_left_out as { what: string; rows: Record<string, unknown>[] }[] | undefined ?? [];
}

t.test('messages whose ids are 0 or below travel', async (t) => {
  await withAcme(async (source) => {
    const directory = await exportRealm(source, t.testdir(), 'acme', { verify: true });
    const { zerver_message: messages = [], zerver_usermessage: read = [] } = tableFile(directory, 'messages-000001.json');
    t.strictSame(messages.slice(0, 3).map(({ id }) => id), [-4711, -1, 0]);
    t.ok(read.some(({ message }) => message === -4711));
  }, ...[-4711, -1, 0].flatMap((id, n) => {
    const old = `(SELECT id FROM zerver_message m ${OF_ACME} AND id > 0 AND NOT EXISTS (SELECT FROM zerver_attachment_messages a WHERE a.message_id = m.id)
                  AND EXISTS (SELECT FROM zerver_usermessage u WHERE u.message_id = m.id) ORDER BY id OFFSET ${n} LIMIT 1)`;
    return [`CREATE TEMP TABLE moved_${n} AS SELECT ${old} AS id`, ...['zerver_usermessage', 'zerver_reaction', 'zerver_onboardingusermessage'].map((table) => `UPDATE ${table} SET message_id = ${id} WHERE message_id = (SELECT id FROM moved_${n})`),
      `UPDATE zerver_message SET id = ${id} WHERE id = (SELECT id FROM moved_${n})`];
  }));
});
