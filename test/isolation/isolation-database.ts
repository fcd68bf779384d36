/**
 * One database for many random servers: the schema of Zulip 4, 11 or 12 with the system realm alone. Each server is inserted in a transaction
 * that is rolled back afterwards, or committed and emptied again where sessions of their own must see it.
 */
import pg from 'pg';
import { withTestDatabase } from '../testbed/test-database.js';
import { SINCE_12, type Release } from './oracle.js';
import type { Row, System, SystemUser, Tables } from './server-rows.js';

/** The tables that a random server may fill. */
const FILLED = [
  'analytics_realmcount', 'analytics_streamcount', 'analytics_usercount', 'zerver_alertword', 'zerver_attachment', 'zerver_attachment_messages',
  'zerver_attachment_scheduled_messages', 'zerver_botconfigdata', 'zerver_botstoragedata', 'zerver_customprofilefield', 'zerver_customprofilefieldvalue',
  'zerver_defaultstream', 'zerver_groupgroupmembership', 'zerver_huddle', 'zerver_message', 'zerver_mutedtopic', 'zerver_muteduser', 'zerver_namedusergroup', 'zerver_onboardingstep',
  'zerver_onboardingusermessage', 'zerver_presencesequence', 'zerver_reaction', 'zerver_realm', 'zerver_realmauditlog', 'zerver_realmauthenticationmethod',
  'zerver_realmdomain', 'zerver_realmemoji', 'zerver_realmexport', 'zerver_realmfilter', 'zerver_realmplayground', 'zerver_realmuserdefault', 'zerver_recipient',
  'zerver_savedsnippet', 'zerver_scheduledmessage', 'zerver_service', 'zerver_stream', 'zerver_subscription', 'zerver_useractivity', 'zerver_useractivityinterval',
  'zerver_usergroup', 'zerver_usergroupmembership', 'zerver_userhotspot', 'zerver_usermessage', 'zerver_userpresence', 'zerver_userprofile', 'zerver_userstatus', 'zerver_usertopic',
];

/** Tables whose rows of the system realm stay, as every server has them. */
const OF_SYSTEM: Readonly<Record<string, string>> = {
  zerver_realm: 'id = $1', zerver_userprofile: 'realm_id = $1', zerver_realmuserdefault: 'realm_id = $1',
  zerver_recipient: 'type = 1 AND type_id IN (SELECT id FROM zerver_userprofile WHERE realm_id = $1)',
  zerver_subscription: 'user_profile_id IN (SELECT id FROM zerver_userprofile WHERE realm_id = $1)',
};

export interface IsolationDatabase {
  /** Major version whose schema and rules it has. */
  readonly release: Release;
  readonly url: string;
  /** As superuser, with Zulip's schema in the search path. */
  readonly client: pg.Client;
  readonly system: System;
  /**
   * Inserts a server in the open transaction; returns all rows that the tables now hold, as PostgreSQL's row_to_json shows them.
   * @param botsAt id of the realm that the system realm's users move to
   */
  load(tables: Tables, botsAt?: number): Promise<Tables>;
  /** Undoes a load that was committed. */
  empty(): Promise<void>;
}

/** Runs `work` with the database and drops it afterwards. */
export async function withIsolationDatabase<T>(release: Release, work: (database: IsolationDatabase) => Promise<T>): Promise<T> {
  return withTestDatabase(`zulip-${release}/local`, async (url) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query('SET search_path = zulip; SET plan_cache_mode = force_generic_plan');
      return await work(await prepare(client, url, release));
    } finally {
      await client.end();
    }
  });
}

async function prepare(client: pg.Client, url: string, release: Release): Promise<IsolationDatabase> {
  const patterns = new Map<string, Row>();
  const kept: Tables = {};
  const system = (await client.query<{ id: number }>("SELECT id FROM zerver_realm WHERE string_id = 'zulipinternal'")).rows[0]?.id as number;
  const { rows: present } = await client.query<{ tablename: string }>("SELECT tablename FROM pg_tables WHERE schemaname = 'zulip'");
  const names = new Set(present.map(({ tablename }) => tablename));
  const filled = [...FILLED, ...(release >= 12 ? SINCE_12 : [])].filter((table) => names.has(table));
  for (const table of filled) {
    const sample = await client.query<{ row: Row }>(`SELECT row_to_json(t) AS row FROM ${table} t ORDER BY row_to_json(t)::text LIMIT 1`);
    patterns.set(table, sample.rows[0]?.row ?? {});
    const of = OF_SYSTEM[table];
    kept[table] = of === undefined ? [] : (await client.query<{ row: Row }>(`SELECT row_to_json(t) AS row FROM ${table} t WHERE ${of}`, [system])).rows.map(({ row }) => row);
  }
  const clients = (await client.query<{ row: Row }>('SELECT row_to_json(t) AS row FROM zerver_client t')).rows.map(({ row }) => row);
  const { rows: all } = await client.query<{ tablename: string }>("SELECT tablename FROM pg_tables WHERE schemaname = 'zulip' AND tablename NOT IN ('django_migrations', 'django_content_type')");
  // Foreign keys are deferred in Zulip's schema, and these rows are checked by nothing but the oracle.
  await client.query("SET session_replication_role = 'replica'");
  const truncate = `TRUNCATE ${all.map(({ tablename }) => tablename).join(', ')}`;
  await client.query('CREATE SCHEMA testbed');
  // One call a server, whatever the number of its tables.
  await client.query(`CREATE FUNCTION testbed.fill(tables jsonb) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE entry record;
    BEGIN
      FOR entry IN SELECT * FROM jsonb_each(tables) LOOP
        EXECUTE format('INSERT INTO zulip.%I SELECT r.* FROM jsonb_populate_recordset(NULL::zulip.%I, $1) AS r', entry.key, entry.key) USING entry.value;
      END LOOP;
    END $$`);
  const fill = (tables: Tables): Promise<unknown> => client.query('SELECT testbed.fill($1)', [JSON.stringify(tables)]);
  const empty = async (): Promise<void> => {
    await client.query(truncate);
    await fill({ ...kept, zerver_client: clients });
  };
  await empty();
  const load = async (tables: Tables, botsAt?: number): Promise<Tables> => {
    const whole = Object.fromEntries(Object.entries(tables).filter(([table]) => filled.includes(table)).map(([table, rows]) => [table, rows.map((row) => completed(row, patterns.get(table) ?? {}))]));
    await fill(whole);
    const held: Tables = { zerver_client: clients };
    for (const table of filled) held[table] = [...(kept[table] ?? []), ...(whole[table] ?? [])];
    if (botsAt !== undefined) {
      await client.query('UPDATE zerver_userprofile SET realm_id = $2 WHERE realm_id = $1', [system, botsAt]);
      held.zerver_userprofile = (held.zerver_userprofile as Row[]).map((user) => (user.realm_id === system ? { ...user, realm_id: botsAt } : user));
    }
    return held;
  };
  return { release, url, client, system: { realmId: system, users: kept.zerver_userprofile as unknown as SystemUser[] }, load, empty };
}

/** The row with the pattern's values where it says nothing; `*_group_id` stands for every setting that names a user group. */
function completed({ '*_group_id': group, ...row }: Row, pattern: Row): Row {
  const settings = group === undefined ? [] : Object.keys(pattern).filter((key) => /^can_.*_id$|_group_id$/.test(key) && key !== 'modified_user_group_id');
  const known = Object.keys(pattern).length === 0 ? Object.entries(row) : Object.entries(row).filter(([key]) => key in pattern);
  return { ...pattern, ...Object.fromEntries(settings.map((key) => [key, group])), ...Object.fromEntries(known) };
}
