/**
 * Every reference that verify checks, pointed in turn at a row that is gone and at one of another realm, all at once in one database
 * whose foreign keys are NOT VALID: each export is whole and good, nothing of the other realm is in it, and what changed is told.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { isListOfIds, OPEN_REFERENCES, REFERENCES, TARGET_TABLES, type Target } from '../../src/verify/references.js';
import { query } from '../backup/test-backup.js';
import { realmliftHere } from '../cli/command-here.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import type { Dataset } from '../testbed/test-data.js';
import { differingPaths } from './same-tree.js';
import { exportFrom, exportRealm, exportUser, only, tableFile, withSource } from './test-source.js';

t.setTimeout(300_000);

type Row = Record<string, unknown> & { id: number };
type Tables = Record<string, Row[]>;
type Kind = 'gone' | 'foreign';
interface Fault { table: string; key: string; kind: Kind; id: number; value: number }
interface Entry { what: string; rows: { id: number }[] }

const GONE = 987_654_321;

/** A row of globex, by what is pointed to. Of clients, which belong to no realm, there is none. */
const FOREIGN: Partial<Record<Target, string>> = {
  realm: '$1', user: '(SELECT min(id) FROM zerver_userprofile WHERE realm_id = $1 AND NOT is_bot)', stream: '(SELECT min(id) FROM zerver_stream WHERE realm_id = $1)',
  recipient: '(SELECT min(recipient_id) FROM zerver_stream WHERE realm_id = $1)', group: '(SELECT min(id) FROM zerver_usergroup WHERE realm_id = $1)',
  namedGroup: '(SELECT min(id) FROM zerver_usergroup WHERE realm_id = $1)', profileField: '(SELECT min(id) FROM zerver_customprofilefield WHERE realm_id = $1)',
  message: '(SELECT min(m.id) FROM zerver_message m JOIN zerver_stream s ON s.recipient_id = m.recipient_id WHERE s.realm_id = $1)',
};

/** Of these every row is one that others need, or belongs to nobody else: they are changed in the database's own few rows. */
const PHYSICAL: Record<string, string> = { zerver_userprofile_mirrordummy: 'zerver_userprofile' };
/** Whose rows are not looked for: read marks of who is gone are nobody's loss; the system bots are of no realm. */
const UNTOLD = new Set(['zerver_usermessage', 'zerver_userprofile_crossrealm']);

function tablesOf(directory: string): Tables {
  const files = ['realm.json', 'attachment.json', 'analytics.json', 'messages-000001.json'].filter((name) => existsSync(join(directory, name)));
  return Object.assign({}, ...files.map((name) => tableFile(directory, name))) as Tables;
}

const ledgerOf = (directory: string): Entry[] => (JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as { rows_left_out: Entry[] }).rows_left_out;

/** Points references of rows that nothing else has changed at what is gone or foreign. */
async function makeFaults(client: pg.Client, tables: Tables, globex: number): Promise<Fault[]> {
  const { rows: columns } = await client.query<{ table: string; column: string }>("SELECT table_name AS table, column_name AS column FROM information_schema.columns WHERE table_schema = 'zulip'");
  const has = (table: string, column: string): boolean => columns.some((each) => each.table === table && each.column === column);
  const groups = columns.filter(({ table, column }) => ['zerver_realm', 'zerver_stream', 'zerver_namedusergroup'].includes(table) && column.endsWith('_group_id'))
    .map(({ table, column }): [string, string, Target] => [table, column.replace(/_id$/, ''), 'group']);
  const all = [...Object.entries(REFERENCES).flatMap(([table, keys]) => Object.entries(keys).map(([key, target]): [string, string, Target] => [table, key, target])), ...groups];
  const used = new Set<string>();
  const bots = new Set<unknown>(tables.zerver_userprofile_crossrealm?.map(({ id }) => id));
  const faults: Fault[] = [];
  for (const [table, key, target] of all) {
    const physical = PHYSICAL[table] ?? table;
    const column = [`${key}_id`, key].find((name) => has(physical, name));
    if (column === undefined || isListOfIds(table, key) || key === 'usergroup_ptr') continue;
    for (const kind of ['gone', 'foreign'] as const) {
      const value = kind === 'gone' ? String(GONE) : FOREIGN[target];
      // The realm itself and its users, channels and groups stay, so that all else has something to belong to.
      const rows = (tables[table] ?? []).filter((each) => (!used.has(`${physical} ${each.id}`) && !bots.has(each.user_profile)) || table === 'zerver_realm');
      if (value === undefined || (key === 'realm' && Object.hasOwn(TARGET_TABLES, table))) continue;
      if (table === 'zerver_realm' && kind === 'foreign') continue;
      // Without its row of defaults a realm is refused under consent.
      if (table === 'zerver_realmuserdefault') continue;
      const row = table === 'zerver_realm' ? rows[0] : rows.filter((each) => each[key] !== null).at(-1) ?? rows.at(-1);
      if (row === undefined) continue;
      const changed = await client.query<{ value: number }>(`UPDATE ${physical} SET ${column} = ${value.replace('$1', String(globex))} WHERE ${has(physical, 'id') ? 'id' : 'usergroup_ptr_id'} = ${row.id} RETURNING ${column}::float8 AS value`)
        .catch((error: unknown) => { if ((error as { code?: string }).code !== '23505') throw error; });
      if (changed === undefined) continue;
      used.add(`${physical} ${row.id}`);
      faults.push({ table, key, kind, id: row.id, value: Number(changed.rows[0]?.value) });
    }
  }
  return faults;
}

/** Is the row tied to the realm by nothing that is left? Of who subscribes to himself alone the recipient is of no use either. */
const untied = ({ table, key }: Fault): boolean => key === 'realm' || (table === 'zerver_subscription' && key === 'user_profile') || Object.entries(REFERENCES[table] ?? {}).every(([other, target]) => other === key || target === 'client' || target === 'message' || target === 'realm');

/** The newest rules, and those of before consent and of many tables. */
const SERVERS: readonly Dataset[] = ['zulip-11/local', 'zulip-4/local'];

for (const dataset of SERVERS) t.test(`references of every table of ${dataset}`, async (t) => {
  await withSource(dataset, async (source) => {
    const client = new pg.Client({ connectionString: source.url });
    await client.connect();
    try {
      await client.query('SET search_path = zulip');
      // Foreign keys that nobody asks, and that do not claim to hold.
      await client.query("SET session_replication_role = replica; UPDATE pg_constraint SET convalidated = false WHERE contype = 'f' AND connamespace = 'zulip'::regnamespace");
      const { rows: [globex] } = await client.query<{ id: number }>("SELECT id FROM zerver_realm WHERE string_id = 'globex'");
      const root = t.testdir({});
      const before = tablesOf(await exportRealm(source, join(root, 'before'), 'acme'));
      const faults = await makeFaults(client, before, Number(globex?.id));
      t.ok(faults.length > 80, `${faults.length} references were changed`);

      const full = await exportRealm(source, join(root, 'full'), 'acme');
      const after = tablesOf(full);
      const ledger = ledgerOf(full);
      const told = ({ id }: Fault): boolean => ledger.some(({ rows }) => rows.some((row) => row.id === id));
      for (const fault of faults) {
        const { table, key, kind, id, value } = fault;
        const row = after[table]?.find((each) => each.id === id);
        const name = `${table}.${key} -> ${kind}`;
        if (row !== undefined && row[key] === value) {
          const open = OPEN_REFERENCES.some((each) => each.table === table && each.key === key) || ledger.some(({ what, rows }) => what === 'gone_client' && rows.some((each) => each.id === value));
          t.ok(open, `${name} may stay, or has a client that takes its place`);
        } else if (UNTOLD.has(table) || (row === undefined && (kind === 'foreign' || untied(fault)))) t.pass(`${name}: the row is nobody's here`);
        else t.ok(told(fault), `${name} is told, row ${id}`);
      }
      // Before Zulip 10 consent is a reaction, and these were changed.
      for (const mode of dataset === 'zulip-11/local' ? ['consent', 'public'] as const : ['public'] as const) await t.resolves(exportRealm(source, join(root, mode), 'acme', { mode, force: true }), `${mode} is good`);
      const { rows: users } = await client.query<{ id: number; email: string }>("SELECT u.id, u.delivery_email AS email FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id WHERE r.string_id = 'acme' AND NOT u.is_bot ORDER BY u.id");
      await t.resolves(exportRealm(source, join(root, 'approved'), 'acme', { mode: 'consent', force: true, approvedFilesOnly: true, targets: { approved: users.slice(0, 3).map(({ email }) => ({ user: email, realm: undefined })) } }), 'approved users are good');
      for (const { id, email } of users.slice(0, 3)) await t.resolves(exportUser(source, join(root, `user-${id}`), 'acme', email), `user ${id} is good`);

      await withEmptyDatabase(async (target) => {
        const done = await realmliftHere(['split', '--realm', 'acme', '--target-url', target], { DATABASE_URL: source.url });
        t.equal(done.code, 0, `a split, whose foreign keys hold: ${done.stderr}`);
        await query(target, `DO $$ DECLARE k record; BEGIN FOR k IN SELECT conrelid::regclass AS t, conname AS n FROM pg_constraint WHERE contype = 'f' AND NOT convalidated
          LOOP EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.t, k.n); END LOOP; END $$`);
        const messages = tablesOf(await exportRealm({ ...source, url: target }, join(root, 'split'), 'acme')).zerver_message ?? [];
        t.strictSame(after.zerver_message?.map(({ id }) => id), messages.map(({ id }) => id), 'with all messages');
      });

      const [acme, other] = await exportFrom(source, join(root, 'set'), ['acme', 'tiny']);
      t.same(differingPaths(full, only(acme === undefined ? [] : [acme]).directory), [], 'in a set the same');
      t.ok(other !== undefined && 'result' in other, 'beside another realm');
    } finally {
      await client.end();
    }
  });
});
