import t from 'tap';
import pg from 'pg';
import { bindMessageIds, bindMessageRange } from '../../src/plan/parameters.js';
import { planExport } from '../../src/plan/plan-export.js';
import { ledgerQuery, messageIdsQuery, messagesQuery, queryOf } from '../../src/plan/plan-tables.js';
import { findRealm } from '../../src/plan/realm.js';
import { readSource } from '../../src/plan/source.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { query } from './grown-database.js';

/** Messages, usermessages and subscriptions of another realm, as many as make an index worth while. */
const FOREIGN = `
  INSERT INTO zerver_message
    SELECT made.* FROM (SELECT m, (SELECT max(id) FROM zerver_message) + k AS id
      FROM (SELECT m FROM zerver_message m JOIN zerver_realm r ON r.id = m.realm_id WHERE r.string_id = 'globex' ORDER BY m.id LIMIT 1) AS one, generate_series(1, 6000) k) AS foreign_message,
      LATERAL jsonb_populate_record(m, jsonb_build_object('id', id)) AS made;
  INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
    SELECT (SELECT max(id) FROM zerver_usermessage) + row_number() OVER (), 1, m.id, u.id
    FROM (SELECT id FROM zerver_message ORDER BY id DESC LIMIT 6000) m,
      (SELECT u.id FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id WHERE r.string_id = 'globex' ORDER BY u.id LIMIT 10) u;
  CREATE TEMP TABLE foreign_user AS
    SELECT made.* FROM (SELECT u, (SELECT max(id) FROM zerver_userprofile) + k AS id
      FROM (SELECT u FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id WHERE r.string_id = 'globex' ORDER BY u.id LIMIT 1) AS one, generate_series(1, 2000) k) AS foreign_user,
      LATERAL jsonb_populate_record(u, jsonb_build_object('id', id, 'email', 'user' || id, 'delivery_email', 'user' || id, 'api_key', lpad(id::text, 32, '0'), 'uuid', gen_random_uuid(), 'recipient_id', NULL)) AS made;
  INSERT INTO zerver_userprofile SELECT * FROM foreign_user;
  CREATE TEMP TABLE foreign_group AS SELECT (SELECT max(id) FROM zerver_recipient) + k AS id, (SELECT max(type_id) FROM zerver_recipient) + k AS type_id, 3 AS type FROM generate_series(1, 400) k;
  INSERT INTO zerver_recipient (id, type_id, type) SELECT id, type_id, type FROM foreign_group;
  INSERT INTO zerver_subscription
    SELECT made.* FROM (SELECT s, (SELECT max(id) FROM zerver_subscription) + row_number() OVER () AS id, u.id AS user_id, g.id AS group_id
      FROM (SELECT s FROM zerver_subscription s ORDER BY s.id LIMIT 1) AS one, foreign_user u JOIN foreign_group g ON g.id % 40 = u.id % 40) AS foreign_subscription,
      LATERAL jsonb_populate_record(s, jsonb_build_object('id', id, 'user_profile_id', user_id, 'recipient_id', group_id)) AS made;
  DROP TABLE foreign_user, foreign_group;
  ANALYZE`;

/** Of which a small realm has next to nothing. */
const BIG = new Set(['zerver_message', 'zerver_usermessage', 'zerver_subscription']);

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly Plans?: readonly PlanNode[];
}

/** Tables that the plan reads from end to end. */
function scanned(node: PlanNode): string[] {
  const own = node['Node Type'].includes('Seq Scan') ? [node['Relation Name'] ?? ''] : [];
  return [...own, ...(node.Plans ?? []).flatMap(scanned)];
}

async function bigScans(client: pg.Client, text: string): Promise<string[]> {
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(`EXPLAIN (FORMAT JSON) ${text}`);
  return rows.flatMap((row) => scanned(row['QUERY PLAN'][0].Plan)).filter((table) => BIG.has(table));
}

t.test('exporting a small realm scans nobody else\'s messages, usermessages or subscriptions', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    await query(url, FOREIGN);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL work_mem = \'64MB\'; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off');
      const source = await readSource(client, undefined);
      const realm = await findRealm(client, 'tiny');
      const { rows: ids } = await client.query<{ id: number }>('SELECT id FROM zerver_message WHERE realm_id = $1', [realm.id]);
      const { rows: [user] } = await client.query<{ id: number }>('SELECT min(id)::int AS id FROM zerver_userprofile WHERE realm_id = $1', [realm.id]);
      t.ok(ids.length > 0);
      for (const mode of ['full', 'consent', 'public', 'user'] as const) {
        const plan = await planExport(client, source, {
          realm, mode, userId: mode === 'user' ? user?.id : undefined, decisions: { strip: new Set(), keep: new Set() }, consentMessage: undefined, approved: undefined, force: true, seed: 'seed',
        });
        const texts = plan.tables.map((table): [string, string] => {
          if (table.name === 'zerver_message') return [table.name, bindMessageRange(messagesQuery(table, plan.compiled, plan.parameters), 0, 2 ** 40)];
          return [table.name, bindMessageIds(queryOf(table, plan.compiled, plan.parameters), ids.map(({ id }) => id))];
        });
        texts.push(['the ids of messages', messageIdsQuery(plan.compiled, plan.parameters)]);
        const ledger = plan.compiled.ledger.map((view): [string, string] => [view.name, ledgerQuery(view, plan.compiled, plan.parameters)]);
        for (const [name, text] of [...texts, ...ledger]) t.same(await bigScans(client, text), [], `${mode}: ${name}`);
      }
      await client.query('SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off');
      t.same(await bigScans(client, 'SELECT count(*) FROM zerver_usermessage WHERE message_id = 1'), ['zerver_usermessage'], 'a scan would be seen');
    } finally {
      await client.end();
    }
  });
});
