// A list of approved users, which Zulip does not have, protects everybody else on every release.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { filesBelow } from '../files/pull-fixture.js';
import { change } from '../testbed/database-client.js';
import { exportRealm, tableFile, withSource } from '../export/test-source.js';

type Row = Readonly<Record<string, unknown>>;

/** Of acme in both data sets: neither is approved. */
const OTHERS = '(10, 11, 12)';
const SETTINGS = `UPDATE zerver_userprofile SET default_language = 'de' WHERE id IN ${OTHERS}`;
const SUBSCRIPTIONS = `UPDATE zerver_subscription SET is_muted = true, pin_to_top = true, color = '#123456', desktop_notifications = true WHERE user_profile_id IN ${OTHERS}`;

for (const [dataset, hide, hasDefaults] of [
  ['zulip-8/local', `UPDATE zerver_userprofile SET email_address_visibility = 4, email = 'user' || id || '@acme.fake' WHERE id IN ${OTHERS}`, true],
  ['zulip-4/local', "UPDATE zerver_realm SET email_address_visibility = 4 WHERE string_id = 'acme'", false],
] as const) {
  t.test(`${dataset}: who is not on the list shows no hidden address, no settings and nothing private`, async (t) => {
    await withSource(dataset, async (source) => {
      await change(source.url, 'SET session_replication_role = replica', hide, SETTINGS, SUBSCRIPTIONS);
      const directory = await exportRealm(source, t.testdir({}), 'acme', { mode: 'consent', force: true, targets: { approved: [{ user: 'owner@acme.example', realm: undefined }] } });
      const tables = tableFile(directory, 'realm.json') as unknown as Readonly<Record<string, readonly Row[]>>;
      const of = (table: string): readonly Row[] => tables[table] ?? [];
      // Mirror dummies of before agree: nobody is behind them.
      const humans = new Set(of('zerver_userprofile_mirrordummy').filter((user) => user.is_bot === false && user.id !== 35).map((user) => user.id as number));
      const others = of('zerver_userprofile_mirrordummy').filter((user) => [10, 11, 12].includes(user.id as number));
      t.equal(others.length, 3);
      t.ok(others.every((user) => /^exported-user-[0-9a-f]{32}@/.test(String(user.delivery_email))), 'no hidden address');
      if (hasDefaults) t.same(others.map((user) => user.default_language), ['en', 'en', 'en'], 'default settings');
      const subscriptions = of('zerver_subscription').filter((row) => [10, 11, 12].includes(row.user_profile as number));
      t.ok(subscriptions.length > 0);
      t.same(subscriptions.filter((row) => row.is_muted !== false || row.pin_to_top !== false || row.color === '#123456' || row.desktop_notifications !== null), [], 'only that they subscribe');
      const groups = of('zerver_recipient').filter((row) => row.type === 3).map(({ id }) => of('zerver_subscription').filter((row) => row.recipient === id).map((row) => row.user_profile as number));
      t.ok(groups.length > 0);
      t.same(groups.filter((people) => people.every((id) => [10, 11, 12].includes(id) || humans.has(id))), [], 'no group of others alone');
      const log = of('zerver_realmauditlog').filter((row) => row.modified_user !== null && ![301, 302, 303].includes(row.event_type as number));
      t.ok(log.length > 0);
      t.same(log.filter((row) => [10, 11, 12].includes(row.modified_user as number)), [], 'nor what happened to them');
    });
  });
}

t.test('until Zulip 4, whose exports hold every upload, one of others that no travelling message names is not even named', async (t) => {
  await withSource('zulip-4/local', async (source) => {
    const [others, own] = ['2/d5/RcOyTUD2EixUdxxo0HV_p-YM', '2/f1/hy_aNB9Int8u72VPfjLLGz_H'];
    await change(source.url, 'UPDATE zerver_attachment SET owner_id = 6 WHERE id = 1', 'DELETE FROM zerver_attachment_messages WHERE attachment_id = 1');
    for (const approvedFilesOnly of [true, false]) {
      const directory = await exportRealm(source, t.testdir({}), 'acme', { mode: 'consent', approvedFilesOnly, targets: { approved: [{ user: 'owner@acme.example', realm: undefined }] } });
      t.ok(existsSync(join(directory, 'uploads', own)), 'what an approved user uploaded travels, as with Zulip');
      t.same(filesBelow(directory).filter((path) => path.includes(others) || readFileSync(join(directory, path), 'utf8').includes(others)), []);
    }
  });
});

t.test('a bot does not agree by an owner who belongs to another realm', async (t) => {
  await withSource('zulip-11/local', async (source) => {
    await change(source.url, 'UPDATE zerver_userprofile SET allow_private_data_export = true WHERE id = 36',
      'UPDATE zerver_userprofile SET bot_owner_id = 36, allow_private_data_export = false WHERE id = 34');
    const directory = await exportRealm(source, t.testdir({}), 'acme', { mode: 'consent', force: true });
    t.notOk((tableFile(directory, 'consented_user_ids.json') as unknown as number[]).includes(34));
  });
});
