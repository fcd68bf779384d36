/** Rows that point to another realm, or to what is gone: the export closes them beforehand, tells them, and is good. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { differingPaths } from './same-tree.js';
import { exportFrom, exportRealm, exportUser, only, tableFile, withSource } from './test-source.js';

t.setTimeout(180_000);

type Row = Record<string, unknown>;
interface Report { rows_left_out: { what: string; reason: string; count: number; rows: { id: number }[] }[] }

const reportOf = (directory: string): Report => JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as Report;

/** Of acme's rows; the foreign keys of the last are dropped, as databases that were mended by hand have lost them. */
const FAULTS: readonly (readonly [table: string, key: string, change: string])[] = [
  ['zerver_userprofile', 'bot_owner', 'UPDATE zerver_userprofile SET bot_owner_id = $2 WHERE id = (SELECT max(id) FROM zerver_userprofile WHERE realm_id = $1 AND is_bot) RETURNING id'],
  ['zerver_userprofile', 'default_sending_stream', 'UPDATE zerver_userprofile SET default_sending_stream_id = $3 WHERE id = (SELECT max(id) FROM zerver_userprofile WHERE realm_id = $1 AND is_bot) RETURNING id'],
  ['zerver_stream', 'creator', 'UPDATE zerver_stream SET creator_id = $2 WHERE id = (SELECT min(id) FROM zerver_stream WHERE realm_id = $1) RETURNING id'],
  ['zerver_realm', 'new_stream_announcements_stream', 'UPDATE zerver_realm SET new_stream_announcements_stream_id = $3 WHERE id = $1 RETURNING id'],
  ['zerver_realmauditlog', 'modified_user', 'UPDATE zerver_realmauditlog SET modified_user_id = $2 WHERE id = (SELECT min(id) FROM zerver_realmauditlog WHERE realm_id = $1) RETURNING id'],
  ['zerver_realmauditlog', 'modified_stream', 'UPDATE zerver_realmauditlog SET modified_stream_id = $3 WHERE id = (SELECT min(id) FROM zerver_realmauditlog WHERE realm_id = $1) RETURNING id'],
  ['zerver_realmauditlog', 'modified_user_group', 'UPDATE zerver_realmauditlog SET modified_user_group_id = 999999999 WHERE id = (SELECT max(id) FROM zerver_realmauditlog WHERE realm_id = $1) RETURNING id'],
];
const REMOVED: readonly (readonly [table: string, key: string, change: string])[] = [
  ['zerver_muteduser', 'muted_user', 'INSERT INTO zerver_muteduser (date_muted, muted_user_id, user_profile_id) SELECT now(), $2, min(id) FROM zerver_userprofile WHERE realm_id = $1 AND NOT is_bot RETURNING id'],
  ['zerver_defaultstream', 'stream', 'INSERT INTO zerver_defaultstream (realm_id, stream_id) VALUES ($1, $3) RETURNING id'],
  ['zerver_useractivity', 'client', "INSERT INTO zerver_useractivity (query, count, last_visit, client_id, user_profile_id) SELECT 'gone', 1, now(), 888888888, min(id) FROM zerver_userprofile WHERE realm_id = $1 AND NOT is_bot RETURNING id"],
  ['zerver_usertopic', 'stream', "INSERT INTO zerver_usertopic (topic_name, last_updated, visibility_policy, recipient_id, stream_id, user_profile_id) SELECT 'far', now(), 1, s.recipient_id, s.id, (SELECT min(id) FROM zerver_userprofile WHERE realm_id = $1 AND NOT is_bot) FROM zerver_stream s WHERE s.id = $3 RETURNING id"],
];

t.test('references that leave the export', async (t) => {
  await withSource('zulip-11/local', async (source) => {
    const client = new pg.Client({ connectionString: source.url });
    await client.connect();
    try {
      await client.query('SET search_path = zulip');
      const { rows: [ids] } = await client.query<{ acme: number; globex: number; user: number; stream: number }>(`
        SELECT a.id AS acme, g.id AS globex, (SELECT min(id) FROM zerver_userprofile WHERE realm_id = g.id AND NOT is_bot) AS user, (SELECT min(id) FROM zerver_stream WHERE realm_id = g.id) AS stream
        FROM zerver_realm a, zerver_realm g WHERE a.string_id = 'acme' AND g.string_id = 'globex'`);
      if (ids === undefined) throw new Error('no realms');
      const { rows: keys } = await client.query<{ sql: string }>(`
        SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS sql FROM pg_constraint
        WHERE contype = 'f' AND conrelid IN ('zerver_realmauditlog'::regclass, 'zerver_useractivity'::regclass)`);
      for (const { sql } of keys) await client.query(sql);
      const root = t.testdir({});
      const globex = await exportRealm(source, join(root, 'before'), 'globex');
      const run = async (change: string): Promise<number> => {
        // Only the parameters that the statement names.
        const text = change.replaceAll('$1', String(ids.acme)).replaceAll('$2', String(ids.user)).replaceAll('$3', String(ids.stream));
        return Number((await client.query<{ id: number }>(text)).rows[0]?.id);
      };
      const nulled: [string, string, number][] = [];
      for (const [table, key, change] of FAULTS) nulled.push([table, key, await run(change)]);
      const removed: [string, string, number][] = [];
      for (const [table, key, change] of REMOVED) removed.push([table, key, await run(change)]);

      for (const mode of ['full', 'consent', 'public'] as const) {
        const directory = await exportRealm(source, join(root, mode), 'acme', { mode, force: true });
        const realm = tableFile(directory, 'realm.json');
        const { rows_left_out: ledger } = reportOf(directory);
        const rowOf = (table: string, id: number): Row | undefined => [...(realm[table] ?? []), ...(realm[`${table}_mirrordummy`] ?? [])].find((row) => row.id === id);
        for (const [table, key, id] of nulled) {
          const row = rowOf(table, id);
          if (mode !== 'full' && row === undefined) continue;
          t.equal(row?.[key], null, `${mode}: ${table}.${key} is null`);
          if (mode === 'full') t.match(ledger.find(({ what }) => what === `outside_${table}.${key}_id`), { count: 1, rows: [{ id }], reason: /became null/ }, `${table}.${key} is told`);
        }
        for (const [table, key, id] of removed) {
          t.equal(rowOf(table, id), undefined, `${mode}: ${table} ${id} stays`);
          if (mode === 'full') t.match(ledger.find(({ what }) => what === `outside_${table}.${key}_id`), { count: 1, rows: [{ id }], reason: /the row stays/ }, `${table}.${key} is told`);
        }
      }

      const outcomes = await exportFrom(source, join(root, 'set'), ['acme', 'globex']);
      const [acme, other] = outcomes.map((outcome) => only([outcome]).directory) as [string, string];
      t.same(differingPaths(join(root, 'full', 'acme'), acme), [], 'in a set the same');
      t.same(differingPaths(globex, other), [], 'another realm of the set keeps what is its own');

      const { rows: [user] } = await client.query<{ id: number; email: string }>("SELECT id, delivery_email AS email FROM zerver_userprofile WHERE delivery_email = 'owner@acme.example'");
      const { rows: [word] } = await client.query<{ id: number }>("INSERT INTO zerver_alertword (word, realm_id, user_profile_id) VALUES ('afar', $1, $2) RETURNING id", [ids.globex, user?.id]);
      const one = await exportUser(source, join(root, 'user'), 'acme', user?.email ?? '');
      t.ok(tableFile(one, 'user.json').zerver_alertword?.some(({ id }) => id === Number(word?.id)), 'what Zulip exports of one user travels');
      await client.query('DELETE FROM zerver_alertword WHERE id = $1', [word?.id]);

      await client.query('UPDATE zerver_stream SET can_send_message_group_id = (SELECT min(id) FROM zerver_usergroup WHERE realm_id = $2) WHERE id = (SELECT min(id) FROM zerver_stream WHERE realm_id = $1)', [ids.acme, ids.globex]);
      const { rows: [group] } = await client.query<{ id: number }>("SELECT usergroup_ptr_id AS id FROM zerver_namedusergroup WHERE realm_id = $1 AND name = 'role:administrators'", [ids.acme]);
      const replaced = await exportRealm(source, join(root, 'replaced'), 'acme');
      t.equal(tableFile(replaced, 'realm.json').zerver_stream?.[0]?.can_send_message_group, Number(group?.id), 'a setting that must name a group names the administrators');
      t.match(reportOf(replaced).rows_left_out.find(({ what }) => what === 'outside_zerver_stream.can_send_message_group_id'), { count: 1, reason: /administrators/ });

      // Where there are none, what others point to cannot stay: it ends its own realm alone, and before a row leaves.
      await client.query("UPDATE zerver_namedusergroup SET name = 'role:others' WHERE usergroup_ptr_id = $1", [group?.id]);
      const told: string[] = [];
      await t.rejects(exportRealm(source, join(root, 'refused'), 'acme', { onEvent: ({ kind }) => told.push(kind) }), { code: 'REFERENCE_OUTSIDE', stage: 'plan', table: 'zerver_stream' });
      t.notOk(told.includes('progress'), 'no row has left');
      const [fault, good] = await exportFrom(source, join(root, 'refused-set'), ['acme', 'globex']);
      t.match(fault, { error: { code: 'REFERENCE_OUTSIDE' } });
      t.ok(good !== undefined && 'result' in good, 'the other realm is exported');
    } finally {
      await client.end();
    }
  });
});
