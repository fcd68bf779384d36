/** Whether somebody has used a realm since it was loaded: every table in which use leaves traces, and what a server does by itself. */
import { join } from 'node:path';
import type pg from 'pg';
import t from 'tap';
import { readTargetTables } from '../../src/load/server/target-tables.js';
import { LoadRecord } from '../../src/load/server/load-record.js';
import { isCounting } from '../../src/load/server/server-jobs.js';
import { refuseUsed } from '../../src/update/used-since.js';
import { sampleExport } from '../pipe/sample-export.js';
import { withClient } from '../testbed/database-client.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { emptyUploads, load, SERVER_JOBS } from './new-server.js';

const output = t.testdir();
const acme = await withTestDatabase('zulip-11/local', async (url) => (await sampleExport(url, { realm: 'acme', output: join(output, 'acme') }))[0] as string);

/** Rows that belong to other rows of the realm, by the columns that say so. */
async function tablesOfRealm(client: pg.Client): Promise<Map<string, { readonly column: string; readonly parent: string; readonly key: string }[]>> {
  const { rows } = await client.query<{ child: string; parent: string; column: string; key: string }>(`
    SELECT c.relname AS child, p.relname AS parent, a.attname AS column, ka.attname AS key
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1] JOIN pg_attribute ka ON ka.attrelid = p.oid AND ka.attnum = k.confkey[1]
    WHERE k.contype = 'f' AND c.relnamespace = 'zulip'::regnamespace ORDER BY 1, 3`);
  const reached = new Set(['zerver_realm']);
  for (let before = 0; before < reached.size;) {
    before = reached.size;
    for (const { child, parent } of rows) if (reached.has(parent)) reached.add(child);
  }
  const found = new Map<string, { readonly column: string; readonly parent: string; readonly key: string }[]>();
  for (const { child, parent, column, key } of rows) if (reached.has(parent) && !isCounting(child)) found.set(child, [...(found.get(child) ?? []), { column, parent, key }]);
  return found;
}

const BARE = (table: string): string => `
  SET LOCAL session_replication_role = replica;
  DO $$ DECLARE found record; BEGIN
    FOR found IN SELECT conname FROM pg_constraint WHERE conrelid = 'zulip.${table}'::regclass LOOP EXECUTE format('ALTER TABLE zulip.${table} DROP CONSTRAINT IF EXISTS %I CASCADE', found.conname); END LOOP;
    FOR found IN SELECT indexrelid::regclass AS name FROM pg_index WHERE indrelid = 'zulip.${table}'::regclass AND indisunique LOOP EXECUTE format('DROP INDEX IF EXISTS %s', found.name); END LOOP;
    FOR found IN SELECT attname FROM pg_attribute WHERE attrelid = 'zulip.${table}'::regclass AND attnum > 0 AND attnotnull AND NOT attisdropped AND attidentity = '' LOOP EXECUTE format('ALTER TABLE zulip.${table} ALTER %I DROP NOT NULL', found.attname); END LOOP;
  END $$`;

t.test('traces of use', async (t) => withTestDatabase('zulip-11/new-server', async (url) => withClient(url, async (client) => {
  await load(acme, url, emptyUploads());
  await client.query('SET search_path = zulip');
  const tables = await readTargetTables(client, 'zulip');
  const record = await LoadRecord.find(client, 'acme') as LoadRecord;
  /** What an update would say, were this done; it is not. */
  const said = async (...statements: string[]): Promise<string> => {
    await client.query('BEGIN');
    try {
      for (const statement of statements) await client.query(statement);
      return await refuseUsed(client, tables, record).then((added) => `fine ${added.join(' ')}`.trim(), (error: unknown) => (error as Error).message);
    } finally {
      await client.query('ROLLBACK');
    }
  };
  t.equal(await said(), 'fine');

  await t.test('a row that comes, in any table of the realm', async (t) => {
    const unreachable: string[] = [];
    for (const [table, ways] of await tablesOfRealm(client)) {
      const values = ways.map(({ parent, key }) => `(SELECT max(${key}) FROM ${parent})`);
      const message = await said(...await parentsOf(ways), BARE(table), `INSERT INTO ${table} (${ways.map(({ column }) => column).join(', ')}) VALUES (${values.join(', ')})`);
      if (!message.includes(table)) unreachable.push(`${table}: ${message}`);
    }
    // The realm's own row is found by its id; of a ledger the grandparents would have to be there.
    t.same(unreachable, ['corporate_licenseledger: fine', 'zerver_realm: fine']);
  });

  /** A row of each parent that has none. */
  async function parentsOf(ways: readonly { readonly parent: string }[]): Promise<string[]> {
    const empty: string[] = [];
    for (const { parent } of ways) if ((await client.query(`SELECT FROM ${parent} LIMIT 1`)).rowCount === 0) empty.push(parent);
    const own = await tablesOfRealm(client);
    return [...new Set(empty)].flatMap((parent) => {
      const known = (own.get(parent) ?? []).filter((way) => !empty.includes(way.parent));
      return [BARE(parent), `INSERT INTO ${parent} (id${known.map(({ column }) => `, ${column}`).join('')}) VALUES (1${known.map((way) => `, (SELECT max(${way.key}) FROM ${way.parent})`).join('')})`];
    });
  }

  await t.test('a row that goes, or changes, in any that has some', async (t) => {
    for (const table of (await tablesOfRealm(client)).keys()) {
      const key = table === 'zerver_namedusergroup' ? 'usergroup_ptr_id' : 'id';
      const some = `${key} = (SELECT max(${key}) FROM ${table})`;
      if ((await client.query(`SELECT FROM ${table} WHERE ${some}`)).rowCount === 0) continue;
      t.match(await said('SET LOCAL session_replication_role = replica', `DELETE FROM ${table} WHERE ${some}`), new RegExp(`${table} \\(1 fewer\\)`), `${table}: gone`);
      const column = tables.columns.get(table)?.find(({ name, kind }) => kind === 'text' && name !== key && !(name in { long_term_idle: 0, last_active_message_id: 0, is_recently_active: 0, deactivated: 0 }))?.name ?? '';
      const message = await said(`UPDATE ${table} SET ${column} = ${column} WHERE ${some}`);
      // The same values are no change where the values are looked at.
      if (message !== 'fine') t.match(message, new RegExp(`${table} \\(1 changed\\)`), `${table}: changed`);
      else t.ok(['zerver_message', 'zerver_userprofile', 'zerver_realm', 'zerver_stream', 'zerver_imageattachment'].includes(table), `${table}: its values are looked at`);
    }
  });

  const user = "(SELECT max(id) FROM zerver_userprofile WHERE realm_id = 2 AND NOT is_bot)";
  await t.test('what people do', async (t) => {
    const MORE: Readonly<Record<string, readonly [RegExp, ...string[]]>> = {
      'a login': [/zerver_userprofile \(1 changed\)/, `UPDATE zerver_userprofile SET last_login = now() WHERE id = ${user}`],
      'a password': [/zerver_userprofile \(1 changed\)/, `UPDATE zerver_userprofile SET password = 'another' WHERE id = ${user}`],
      'an edited message': [/zerver_message \(1 changed\)/, "UPDATE zerver_message SET content = 'typed' WHERE id = (SELECT max(id) FROM zerver_message)"],
      'a setting': [/zerver_realm \(1 changed\)/, "UPDATE zerver_realm SET description = 'ours' WHERE id = 2"],
      'a channel': [/zerver_stream \(1 changed\)/, "UPDATE zerver_stream SET name = 'ours' WHERE id = (SELECT max(id) FROM zerver_stream)"],
      'a flag': [/zerver_usermessage \(1 changed\)/, 'UPDATE zerver_usermessage SET flags = flags | 1 WHERE id = (SELECT max(id) FROM zerver_usermessage)'],
      'everything read': [/zerver_usermessage \([\d,]+ changed\)/, 'UPDATE zerver_usermessage SET flags = flags | 1 WHERE user_profile_id = (SELECT max(user_profile_id) FROM zerver_usermessage)'],
      'one reaction for another': [/zerver_reaction \(1 changed\)/, "DELETE FROM zerver_reaction WHERE id = (SELECT max(id) FROM zerver_reaction)",
        "INSERT INTO zerver_reaction SELECT r.* FROM zerver_reaction o, jsonb_populate_record(o, jsonb_build_object('id', o.id + 1000, 'emoji_name', 'tada', 'emoji_code', '1f389')) AS r WHERE o.id = (SELECT max(id) FROM zerver_reaction)"],
      'somebody who is idle comes back': [/zerver_realmauditlog \(1 more\)/, `INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data, modified_user_id) VALUES (2, 120, now(), false, '{}', ${user})`],
      'an owner closes the realm': [/zerver_realmauditlog \(1 more\)/, `INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data, acting_user_id) VALUES (2, 201, now(), false, '{}', ${user})`],
      'messages by the rules of retention': [/zerver_message \(1 fewer\)/, 'SET LOCAL session_replication_role = replica', 'DELETE FROM zerver_message WHERE id = (SELECT max(id) FROM zerver_message)'],
    };
    for (const [what, [expected, ...statements]] of Object.entries(MORE)) t.match(await said(...statements), expected, what);
  });

  await t.test('what a server does by itself', async (t) => {
    for (const statement of SERVER_JOBS) t.match(await said(statement), /^fine/, statement);
    t.same((await said(...SERVER_JOBS)).split(' ').sort(), ['fine', 'zerver_realmauditlog', 'zerver_usergroupmembership', 'zerver_usermessage']);
  });

  const old = Object.assign(Object.create(Object.getPrototypeOf(record) as object), record, { identity: { ...record.identity, transaction: String(BigInt(record.identity.transaction) - 2n ** 31n) } }) as LoadRecord;
  await t.rejects(refuseUsed(client, tables, old), { code: 'UPDATE_REFUSED', message: /two thousand million transactions/ });
})));
