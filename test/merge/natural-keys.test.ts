import pg from 'pg';
import t from 'tap';
import { NATURAL_KEYS } from '../../src/merge/natural-keys.js';
import { withTestDatabase } from '../testbed/test-database.js';

/** Of a unique index: its columns under the keys of exports, an expression by the column in it. */
const KEYS = `
  SELECT t.relname AS table, array_agg(regexp_replace(regexp_replace(pg_get_indexdef(i.indexrelid, k, true), '^lower\\((\\w+)::text\\)$', '\\1'), '_id$', '') ORDER BY k) AS keys
  FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace, generate_series(1, i.indnkeyatts) k
  WHERE n.nspname = 'zulip' AND i.indisunique AND NOT i.indisprimary GROUP BY i.indexrelid, t.relname`;

for (const dataset of ['zulip-12/local', 'zulip-11/local', 'zulip-8/local', 'zulip-4/local'] as const) {
  t.test(`natural keys are unique constraints of ${dataset}`, (t) => withTestDatabase(dataset, async (url) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query<{ table: string; keys: string[] }>(KEYS);
    const { rows: columns } = await client.query<{ key: string }>("SELECT table_name || '.' || regexp_replace(column_name, '_id$', '') AS key FROM information_schema.columns WHERE table_schema = 'zulip'").finally(() => client.end());
    const present = new Set(columns.map(({ key }) => key));
    let checked = 0;
    for (const [table, all] of Object.entries(NATURAL_KEYS)) {
      const keys = all.filter((key) => present.has(`${table}.${key}`));
      const constraints = rows.filter((row) => row.table === table).map((row) => row.keys.join());
      if (constraints.length === 0) continue;
      checked++;
      t.ok(constraints.includes(keys.join()), `${table}: ${keys.join()} is one of ${constraints.join(' | ')}`);
    }
    t.ok(checked > 20, `${checked} tables`);
  }));
}
