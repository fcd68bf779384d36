/** What a database made by a split holds, without what is drawn at random for each. */
import { withClient } from '../testbed/database-client.js';

/** Columns that are fresh in each split. */
const FRESH: Readonly<Record<string, readonly string[]>> = {
  zerver_userprofile: ['password', 'api_key', 'uuid'], zerver_stream: ['email_token'], zerver_service: ['token'],
};

/** A digest of each table's rows, of the sequences, and of all indexes, constraints and triggers. */
export async function digests(url: string): Promise<Record<string, unknown>> {
  return withClient(url, async (client) => {
    const out: Record<string, unknown> = {};
    const { rows: tables } = await client.query<{ name: string }>("SELECT relname AS name FROM pg_class WHERE relnamespace = 'zulip'::regnamespace AND relkind = 'r' ORDER BY 1");
    for (const { name } of tables) {
      const less = (FRESH[name] ?? []).map((column) => ` - '${column}'`).join('');
      const { rows } = await client.query<{ n: string; digest: string | null }>(`SELECT count(*)::text AS n, md5(string_agg(r, ' ' ORDER BY r)) AS digest FROM (SELECT md5((to_jsonb(t)${less})::text) AS r FROM zulip."${name}" t) AS every`);
      out[name] = rows[0];
    }
    const { rows: sequences } = await client.query<{ name: string }>("SELECT relname AS name FROM pg_class WHERE relnamespace = 'zulip'::regnamespace AND relkind = 'S' ORDER BY 1");
    for (const { name } of sequences) out[name] = (await client.query(`SELECT last_value::text, is_called FROM zulip."${name}"`)).rows[0];
    out['schema'] = (await client.query<{ what: string }>(`
      SELECT pg_get_indexdef(indexrelid) AS what FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'zulip'::regnamespace
      UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated FROM pg_constraint WHERE connamespace = 'zulip'::regnamespace
      UNION ALL SELECT pg_get_triggerdef(g.oid) FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE c.relnamespace = 'zulip'::regnamespace AND NOT tgisinternal
      ORDER BY 1`)).rows.map(({ what }) => what);
    return out;
  });
}
