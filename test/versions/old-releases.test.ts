/** What Zulip 5, 4, 3 and 2.1 do otherwise than later releases: on the 4.11 sample, and on schemas made after the others'. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import type { Row } from '../isolation/server-rows.js';
import { ids, without, withServer, type Export, type Server } from './altered-server.js';
import { ZULIP_2_1_8, ZULIP_3_4, ZULIP_5_7 } from './other-schemas.js';

/** Of acme in the 4.11 sample. */
const CONSENT_MESSAGE = 271;
const REACTED = [6, 7, 8, 9, 10, 14, 20, 21, 22, 23];
const DUMMY = 27;
const PROTECTED = 33;

/** Rows that tell the rules apart, which the sample has not. */
const AWKWARD = `
  INSERT INTO zerver_subscription (user_profile_id, recipient_id, active, color, pin_to_top, is_muted) SELECT ${DUMMY}, id, true, '#76ce90', false, false
    FROM zerver_recipient WHERE (type = 2 AND type_id = 1) OR id = 38;
  INSERT INTO zerver_realmauditlog (backfilled, event_time, realm_id, event_type, modified_user_id) VALUES (false, now(), 2, 201, NULL), (false, now(), 2, 101, ${DUMMY}), (false, now(), 3, 101, 7);
  UPDATE zerver_userprofile SET last_reminder = '2026-01-02 03:04:05.678+00' WHERE id IN (7, ${DUMMY});
  DELETE FROM zerver_usermessage um USING zerver_message m WHERE m.id = um.message_id AND m.recipient_id = ${PROTECTED}`;

const ACCOUNTS = 'SELECT id FROM zerver_userprofile WHERE realm_id = 2 AND NOT is_mirror_dummy';
const REMINDER = Date.parse('2026-01-02T03:04:05.678Z') / 1000;

/** Before the columns of Zulip 4 had defaults. */
const DEFAULTS = 'ALTER TABLE zerver_subscription ALTER COLUMN is_user_active SET DEFAULT true, ALTER COLUMN role SET DEFAULT 50';

interface Release {
  readonly name: string;
  readonly major: number;
  readonly schema: string;
  /** Pairs of login methods. */
  readonly methods: number;
}

const RELEASES: readonly Release[] = [
  { name: '5.7', major: 5, schema: ZULIP_5_7, methods: 11 },
  { name: '4.11', major: 4, schema: 'SELECT', methods: 10 },
  { name: '3.4', major: 3, schema: ZULIP_3_4, methods: 10 },
  { name: '2.1.8', major: 2, schema: ZULIP_2_1_8, methods: 8 },
];

for (const release of RELEASES) {
  t.test(`Zulip ${release.name}`, async (t) => {
    await withServer(t, 'zulip-4/local', `SET CONSTRAINTS ALL IMMEDIATE;${DEFAULTS};${AWKWARD};${release.schema}`, async (server) => {
      const full = await server.run('full');
      t.match(full.report, { zulip: { release: release.name }, unknown_tables: [], unknown_columns: [] });
      await t.test('rows of a whole realm', async (t) => wholeRealm(t, release, server, full));
      await t.test('files', async (t) => files(t, release, server, full));
      await t.test('consent', async (t) => consent(t, release, server, full));
      await t.test('a single user', async (t) => singleUser(t, release, server));
    });
  });
}

async function wholeRealm(t: Test, { major, methods }: Release, { ids: select }: Server, { tables, text }: Export): Promise<void> {
  const [realm] = tables.zerver_realm as [Row];
  t.equal((realm.authentication_methods as unknown[]).length, methods, 'login methods that the release knows');
  t.notMatch(text('realm.json') + text('analytics.json'), /ZOOM-SECRET|zoom_api/);
  t.equal('search_tsvector' in (tables.zerver_message?.[0] ?? {}), major >= 5, 'the search index is a column of the model since 5');
  t.equal('zerver_usertopic' in tables, major >= 5);
  t.equal('zerver_mutedtopic' in tables, major < 5);
  t.equal('zerver_userstatus' in tables, major >= 5);
  t.equal('zerver_muteduser' in tables, major >= 5);
  t.same(ids(tables.zerver_alertword), major < 3 ? [] : await select(`SELECT id FROM zerver_alertword WHERE user_profile_id IN (${ACCOUNTS})`));

  const [group] = tables.zerver_usergroup as [Row];
  const members = await select(`SELECT user_profile_id AS id FROM zerver_usergroupmembership WHERE user_group_id = ${String(group.id)}`);
  t.same(group[major >= 5 ? 'direct_members' : 'members'], members);
  if (major >= 5) t.same(tables.zerver_usergroup?.filter((row) => row.is_system_group).map((row) => row.direct_subgroups), [[group.id]]);

  const log = major >= 5 ? 'realm_id = 2' : `modified_user_id IN (${ACCOUNTS})`;
  t.same(ids(tables.zerver_realmauditlog), await select(`SELECT id FROM zerver_realmauditlog WHERE ${log}`));
  const stays = await select(`SELECT s.id FROM zerver_subscription s JOIN zerver_recipient r ON r.id = s.recipient_id WHERE s.user_profile_id = ${DUMMY} AND (r.type = 3 OR ${String(major < 3)} OR r.type <> 2)`);
  t.same(tables.zerver_subscription?.filter((row) => stays.includes(row.id as number)), [], 'what mirror dummies subscribe to stays');
  t.equal(tables.zerver_subscription?.filter((row) => row.user_profile === DUMMY).length, major < 3 ? 0 : 1);

  const reminders = [...(tables.zerver_userprofile ?? []), ...(tables.zerver_userprofile_mirrordummy ?? [])].flatMap((row) => row.last_reminder ?? []);
  t.same(reminders, Array(2).fill(major < 4 ? Math.floor(REMINDER) : REMINDER), 'whole seconds until 3');
  t.ok(tables.zerver_userprofile?.every((row) => Number.isInteger(row.date_joined) === major < 4));
  if (major >= 4) t.notOk('zerver_analytics' in tables);
  else t.match(tables.zerver_analytics, [{ ...without(realm as never, ['date_created']), date_created: Math.floor(realm.date_created as number) }], 'the realm once more');
}

async function files(t: Test, { major }: Release, { ids: select, run }: Server, full: Export): Promise<void> {
  const records = (each: Export): number => (JSON.parse(each.text('uploads/records.json')) as unknown[]).length;
  const all = (await select('SELECT id FROM zerver_attachment WHERE realm_id = 2')).length;
  const open = await run('public');
  t.ok((open.tables.zerver_attachment ?? []).length < all);
  t.equal(records(open), major < 5 ? all : open.tables.zerver_attachment?.length, 'until 4 the files of rows that stay travel');
  t.equal(existsSync(join(full.directory, 'realm_icons')), major >= 3);
  t.ok(existsSync(join(full.directory, 'stats.txt')));
}

async function consent(t: Test, { major }: Release, { run, ids: select, client }: Server, full: Export): Promise<void> {
  const limited = ['zerver_message', 'zerver_usermessage', 'zerver_reaction', 'zerver_attachment'];
  const part = await run('consent', { consentMessage: CONSENT_MESSAGE });
  t.same(JSON.parse(part.text('consented_user_ids.json')), REACTED);
  t.same(without(part.tables, limited), without(full.tables, limited), 'consent limits messages alone');
  t.same(ids(part.tables.zerver_usermessage, 'user_profile').filter((id) => !REACTED.includes(id)), []);
  const history = await select(`SELECT id FROM zerver_message WHERE recipient_id = ${PROTECTED}`);
  t.ok(history.length > 0 && history.every((id) => ids(part.tables.zerver_message).includes(id)), 'who subscribes has all of the history');

  const approved = await run('consent', { approved: ['owner@acme.example', 'user0@acme.example'] });
  t.same(ids(approved.tables.zerver_userprofile), [6, 7, 26], 'a list protects the others');
  t.same((approved.tables[major >= 5 ? 'zerver_usertopic' : 'zerver_mutedtopic'] ?? []).filter((row) => ![6, 7, 26].includes(row.user_profile as number)), []);

  await client.query(`UPDATE zerver_message SET last_edit_time = now() WHERE id = ${CONSENT_MESSAGE}`);
  await t.rejects(run('consent', { consentMessage: CONSENT_MESSAGE, force: false }), { code: 'CONSENT_MESSAGE', message: /edited/ });
  await t.rejects(run('consent', { consentMessage: 366 }), { code: 'CONSENT_MESSAGE', message: /another realm/ });
  await t.rejects(run('consent', { consentMessage: 1_000_000 }), { code: 'CONSENT_MESSAGE', message: /no such message/ });
}

async function singleUser(t: Test, { major }: Release, { run, ids: select }: Server): Promise<void> {
  const { directory, tables } = await run('user', { user: 'user0@acme.example' });
  const own = 'SELECT message_id AS id FROM zerver_usermessage WHERE user_profile_id = 7';
  if (major >= 5) {
    t.ok(ids(tables.zerver_message).length < (await select(own)).length);
    t.ok(tables.zerver_message?.every((row) => typeof row.recipient_name === 'string' && !('display_recipient' in row)));
    t.ok('zerver_useractivity' in tables && existsSync(join(directory, 'uploads')));
    return;
  }
  t.same(Object.keys(tables).sort(), ['zerver_message', 'zerver_recipient', 'zerver_stream', 'zerver_subscription', 'zerver_userprofile']);
  t.same(ids(tables.zerver_message), await select(own), 'whatever the user received');
  t.notOk(existsSync(join(directory, 'uploads')) || existsSync(join(directory, 'avatars')) || existsSync(join(directory, 'emoji')), 'no files');
  t.equal(tables.zerver_userprofile?.[0]?.last_reminder, REMINDER);
  const keys = ['email', 'full_name', 'id', 'is_mirror_dummy', ...(major < 3 ? ['short_name'] : [])];
  const people = (tables.zerver_message ?? []).flatMap((row) => (Array.isArray(row.display_recipient) ? row.display_recipient as Row[] : []));
  t.ok(people.length > 0 && people.every((each) => String(Object.keys(each).sort()) === String(keys)));
  t.ok(tables.zerver_message?.some((row) => typeof row.display_recipient === 'string') && !tables.zerver_message.some((row) => 'recipient_name' in row));
}
