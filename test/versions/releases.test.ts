/** The rules of releases without a sample server, on schemas made after theirs: each export is read again by verify. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { remapDirectory } from '../../src/commands/remap.js';
import type { Row, Tables } from '../isolation/server-rows.js';
import { readTables } from '../isolation/whole-export.js';
import { ids, without, withServer, type Server } from './altered-server.js';
import { ZULIP_11_2, ZULIP_11_6, ZULIP_12_AT_0768, ZULIP_12_DEV, ZULIP_6_2, ZULIP_7_5, ZULIP_9_DEV } from './other-schemas.js';

/** Of acme in the 8.4 sample: who consents by reacting to the message. */
const MESSAGE = 60;
const REACTING = [6, 9, 21];
const REACTIONS = `INSERT INTO zerver_reaction (user_profile_id, message_id, emoji_name, emoji_code, reaction_type)
  SELECT unnest('{${REACTING.join(',')}}'::int[]), ${MESSAGE}, 'outbox', '1f4e4', 'unicode_emoji'`;

const ACCOUNTS = "SELECT id FROM zerver_userprofile WHERE realm_id = 2 AND NOT is_mirror_dummy";

/** What Zulip 6 to 9 have in common. */
async function olderRules(t: Test, { run, ids: select }: Server): Promise<Tables> {
  const full = await run('full');
  t.ok(existsSync(join(full.directory, 'stats.txt')), 'statistics as text');
  t.notOk(existsSync(join(full.directory, 'stats.json')) || existsSync(join(full.directory, 'migration_status.json')));
  const { tables } = full;
  t.same(ids(tables.zerver_client), await select('SELECT id FROM zerver_client'), 'all clients');
  t.notOk(tables.zerver_stream?.some((row) => 'email_token' in row), 'no addresses of channels');
  t.ok(tables.zerver_stream?.length);
  t.same(ids(tables.zerver_userprofile), await select(ACCOUNTS));
  t.equal(tables.zerver_userprofile_crossrealm?.length, 3);
  t.same(ids(tables.zerver_alertword), await select(`SELECT id FROM zerver_alertword WHERE user_profile_id IN (${ACCOUNTS})`));
  const avatars = JSON.parse(full.text('avatars/records.json')) as Row[];
  t.ok(avatars.length > 0 && avatars.every((record) => /^2\/[0-9a-f]{40}/.test(String(record.path))), 'avatars by their older hash');

  await t.rejects(run('consent'), { code: 'CONSENT_MESSAGE' }, 'consent is a reaction');
  const consent = await run('consent', { consentMessage: MESSAGE });
  t.same(JSON.parse(consent.text('consented_user_ids.json')), REACTING);
  // Consent decides about messages, also scheduled ones: everything else is that of a full export.
  const limited = ['zerver_message', 'zerver_usermessage', 'zerver_reaction', 'zerver_attachment', 'zerver_scheduledmessage'];
  t.same(without(consent.tables, limited), without(tables, limited), 'accounts, settings and subscriptions as they are');
  t.same(ids(consent.tables.zerver_usermessage, 'user_profile'), REACTING);
  const sent = await select(`SELECT m.id FROM zerver_message m JOIN zerver_recipient r ON r.id = m.recipient_id JOIN zerver_userprofile u ON u.id = r.type_id
    WHERE r.type = 1 AND m.sender_id = ANY ('{${REACTING.join(',')}}') AND u.realm_id = 2 AND u.id <> ALL ('{${REACTING.join(',')}}')`);
  t.ok(sent.length, 'those who consent wrote to those who do not');
  t.same(sent.filter((id) => !ids(consent.tables.zerver_message).includes(id)), [], 'that travels');
  const open = await run('public');
  t.same(ids(open.tables.zerver_userprofile), await select(ACCOUNTS), 'a public export keeps the accounts');
  const user = await run('user', { user: 'owner@acme.example' });
  t.same(ids(user.tables.zerver_userprofile), [6]);
  t.ok(user.tables.zerver_message?.length);
  return tables;
}

t.test('Zulip 6.2', async (t) => {
  await withServer(t, 'zulip-8/local', `${ZULIP_6_2};${REACTIONS}`, async (server) => {
    const tables = await olderRules(t, server);
    const [realm] = tables.zerver_realm as [Row];
    t.same((realm.authentication_methods as [string, boolean][]).map(([name]) => name), ['Google', 'Email', 'GitHub', 'LDAP', 'Dev', 'RemoteUser', 'AzureAD', 'SAML', 'GitLab', 'Apple', 'OpenID Connect']);
    t.same((realm.authentication_methods as [string, boolean][]).filter(([, allowed]) => allowed).map(([name]) => name), ['Google', 'GitHub', 'OpenID Connect']);
    t.notOk('zerver_scheduledmessage' in tables, 'no scheduled messages');
    t.notOk('zerver_realmauthenticationmethod' in tables);
    t.notOk(tables.zerver_attachment?.some((row) => 'scheduled_messages' in row));
    t.ok(tables.zerver_attachment?.every((row) => (row.messages as unknown[]).length > 0));
    t.notOk(tables.zerver_message?.some((row) => 'realm' in row));
    t.equal(tables.zerver_realmauditlog?.find((row) => row.id === 870)?.acting_user, 37, 'an actor of another realm is kept');
    t.ok(tables.zerver_userpresence?.every((row) => row.client === 1 && row.status === 1));
    t.same(ids(tables.zerver_userhotspot), await server.ids(`SELECT id FROM zerver_userhotspot WHERE user_id IN (${ACCOUNTS})`));
    t.notOk('zerver_onboardingstep' in tables);
  });
});

t.test('Zulip 7.5', async (t) => {
  await withServer(t, 'zulip-8/local', `${ZULIP_7_5};${REACTIONS}`, async (server) => {
    const tables = await olderRules(t, server);
    t.same(ids(tables.zerver_scheduledmessage), await server.ids('SELECT id FROM zerver_scheduledmessage WHERE realm_id = 2'));
    t.ok(tables.zerver_attachment?.every((row) => 'scheduled_messages' in row));
    t.ok(tables.zerver_realmauthenticationmethod?.length);
    t.notOk(tables.zerver_realm?.some((row) => 'authentication_methods' in row));
    t.equal(tables.zerver_realmauditlog?.find((row) => row.id === 870)?.acting_user, null, 'an actor of another realm is nobody');
    t.same(ids(tables.zerver_userhotspot), await server.ids(`SELECT id FROM zerver_userhotspot WHERE user_id IN (${ACCOUNTS})`));

    const [astray] = ids(tables.zerver_message) as [number];
    await server.client.query('UPDATE zerver_message SET realm_id = 3 WHERE id = $1', [astray]);
    const full = await server.run('full');
    t.same(ids(full.tables.zerver_message), ids(tables.zerver_message), 'a message is of the realm of its sender and recipient');
    t.equal(full.tables.zerver_message?.find(({ id }) => id === astray)?.realm, 3);
    const set = await server.set(['acme', 'tiny']);
    t.same(set[0]?.zerver_message, full.tables.zerver_message, 'beside another realm too');
    const remapped = join(full.directory, '..', 'remapped');
    await remapDirectory(full.directory, remapped, { all: true, target: undefined, idMap: undefined, idBase: 5000, realmName: undefined, subdomain: undefined, salt: undefined }, true);
    const there = readTables(remapped);
    t.ok(there.zerver_message?.every(({ realm }) => realm === there.zerver_realm?.[0]?.id), 'on a new server of the realm that it came with');
  });
});

t.test('Zulip 9.0-dev', async (t) => {
  await withServer(t, 'zulip-8/local', `${ZULIP_9_DEV};${REACTIONS}`, async (server) => {
    const tables = await olderRules(t, server);
    t.same(ids(tables.zerver_namedusergroup), await server.ids('SELECT usergroup_ptr_id AS id FROM zerver_namedusergroup WHERE realm_id = 2'));
    t.ok(tables.zerver_namedusergroup?.every((row) => row.realm_for_sharding === 2 && row.usergroup_ptr === row.id && typeof row.can_mention_group === 'number'));
    t.ok(tables.zerver_usergroup?.every((row) => !('name' in row)));
    t.ok(tables.zerver_stream?.every((row) => typeof row.creator === 'number'));
    t.ok('zerver_onboardingstep' in tables);
    t.equal(tables.zerver_realmauditlog?.find((row) => row.id === 870)?.acting_user, null);
  });
});

t.test('Zulip 12.0-dev', async (t) => {
  await withServer(t, 'zulip-11/local', ZULIP_12_DEV, async ({ run, ids: select }) => {
    const full = await run('full');
    const realm = JSON.parse(full.text('realm.json')) as Record<string, unknown>;
    t.equal(realm.import_source, 'zulip');
    const stats = JSON.parse(full.text('stats.json')) as { realm: Record<string, number> };
    t.equal(stats.realm.import_source, 5);
    t.ok(existsSync(join(full.directory, 'migration_status.json')));
    t.equal(full.tables.zerver_channelfolder?.length, 1);
    t.equal(full.tables.zerver_channelfolder?.[0]?.date_created, Date.parse('2025-06-01T00:00:00.5Z') / 1000);
    t.ok(full.tables.zerver_stream?.every((row) => row.folder === full.tables.zerver_channelfolder?.[0]?.id && row.topics_policy === 1));
    t.same(ids(full.tables.zerver_navigationview), await select('SELECT v.id FROM zerver_navigationview v JOIN zerver_userprofile u ON u.id = v.user_id WHERE u.realm_id = 2'));
    t.same(ids(full.tables.zerver_externalauthid), await select('SELECT id FROM zerver_externalauthid WHERE realm_id = 2'));
    t.notOk('zerver_pushdevice' in full.tables);
    t.same(full.report.unknown_tables, []);
    t.ok(full.report.stripped_columns.includes('zerver_userprofile.third_party_api_state'));
    t.ok(full.report.unknown_columns.includes('zerver_userprofile.default_avatar_style'));
    t.ok(full.tables.zerver_scheduledmessage?.every((row) => row.request_timestamp === Date.parse('2025-06-01T00:00:00.25Z') / 1000));
    t.ok(full.tables.zerver_realmauditlog?.every((row) => 'modified_channel_folder' in row));
    t.notMatch(full.text('realm.json'), /THIRD-PARTY-SECRET|third_party_api_state/);
    t.ok((full.tables.zerver_client?.length ?? 0) < (await select('SELECT id FROM zerver_client')).length + 1);

    const consent = await run('consent');
    t.notOk(existsSync(join(consent.directory, 'consented_user_ids.json')), 'nobody reads it any more');
    const consenting = new Set(await select(`SELECT u.id FROM zerver_userprofile u LEFT JOIN zerver_userprofile o ON o.id = u.bot_owner_id AND NOT o.is_bot
      WHERE u.realm_id = 2 AND (u.is_mirror_dummy OR u.allow_private_data_export OR (u.is_bot AND o.allow_private_data_export))`));
    for (const table of ['zerver_navigationview', 'zerver_externalauthid']) {
      t.same(ids(consent.tables[table], 'user'), ids(full.tables[table], 'user').filter((id) => consenting.has(id)), `${table} of those who consent`);
    }
    const people = [...(consent.tables.zerver_userprofile ?? []), ...(consent.tables.zerver_userprofile_mirrordummy ?? [])];
    t.ok(people.every((row) => row.web_left_sidebar_unreads_count_summary === consenting.has(row.id as number)), 'a new setting of the defaults is scrubbed too');

    const open = await run('public');
    t.same(open.tables.zerver_navigationview, []);
    const single = await run('user', { user: 'owner@acme.example' });
    t.same([ids(single.tables.zerver_navigationview, 'user'), ids(single.tables.zerver_externalauthid, 'user')], [[6], [6]]);
    t.notMatch(single.text('user.json'), /THIRD-PARTY-SECRET|third_party_api_state/);
  });
});

/** A message that nobody received, in a public channel whose history is protected. */
const UNRECEIVED = `DELETE FROM zerver_usermessage WHERE message_id = (SELECT min(m.id) FROM zerver_message m JOIN zerver_recipient r ON r.id = m.recipient_id AND r.type = 2
  JOIN zerver_stream s ON s.id = r.type_id WHERE m.realm_id = 2 AND NOT s.invite_only AND NOT s.history_public_to_subscribers)`;

/** What 11.x, 12.0-dev and 12.0-beta1 do otherwise, on one and the same server's rows. */
for (const [name, sql, release] of [['11.0 to 11.2', ZULIP_11_2, 11], ['11.3 to 11.6', ZULIP_11_6, 11], ['12.0-dev', ZULIP_12_AT_0768, 12], ['12.0-beta1+git', 'SELECT', 13]] as const) {
  t.test(`Zulip ${name}, on the rows of 12.0-beta1`, async (t) => {
    await withServer(t, 'zulip-12/local', `${sql}; ${UNRECEIVED}`, async ({ run, ids: select }) => {
      const full = await run('full');
      t.equal(full.report.zulip.release, name);
      t.same([full.report.unknown_tables, full.report.unknown_columns], [[], []]);
      const { import_source: source } = JSON.parse(full.text('realm.json')) as { import_source: string };
      t.equal(source, 'zulip');
      const groups = "SELECT DISTINCT s.recipient_id AS id FROM zerver_subscription s JOIN zerver_recipient r ON r.id = s.recipient_id WHERE r.type = 3";
      const withBots = new Set(await select(`${groups} AND s.user_profile_id IN (SELECT id FROM zerver_userprofile WHERE delivery_email IN ('welcome-bot@zulip.com', 'notification-bot@zulip.com', 'emailgateway@zulip.com'))`));
      const ofAcme = new Set(await select(`${groups} AND s.user_profile_id IN (SELECT id FROM zerver_userprofile WHERE realm_id = 2)`));
      t.equal(ids(full.tables.zerver_recipient).filter((id) => withBots.has(id) && ofAcme.has(id)).length > 0, release >= 12, 'groups with system bots');
      t.equal('zerver_submessage' in full.tables, release >= 12, 'polls');
      const records = JSON.parse(full.text('uploads/records.json')) as Row[];
      t.ok(records.length > 0 && records.every((record) => 'user_profile_email' in record === release < 12), 'addresses in records');
      const [realm] = full.tables.zerver_realm as [Row];
      t.equal(typeof realm.scheduled_deletion_date, release > 12 ? 'number' : 'string', 'dates of the realm');
      t.notOk(full.report.stripped_columns.every((column) => !/zoom_token|third_party_api_state/.test(column)));

      const consent = await run('consent');
      t.equal(existsSync(join(consent.directory, 'consented_user_ids.json')), release < 12);
      t.equal(existsSync(join(consent.directory, 'consent.json')), release >= 12, 'our own list is there for verify, merge and remap');
      const closed = await select(`SELECT m.id FROM zerver_message m JOIN zerver_recipient r ON r.id = m.recipient_id AND r.type = 2 JOIN zerver_stream s ON s.id = r.type_id
        WHERE m.realm_id = 2 AND NOT s.invite_only AND NOT s.history_public_to_subscribers`);
      t.ok(closed.length > 0);
      const travels = new Set(ids(consent.tables.zerver_message));
      t.equal(closed.every((id) => travels.has(id)), release <= 12, 'public channels with a protected history are open up to 12.0-dev');

      const user = await run('user', { user: 'owner@acme.example' });
      const names = (user.tables.zerver_message ?? []).map((row) => row.recipient_name);
      t.equal(names.includes('Owner Acme "Rockets", Ltd, Welcome Bot'), release < 12, 'a conversation of two is named after both, or after one');
    });
  });
}
