import pg from 'pg';
import t from 'tap';
import { withEmptyDatabase, withTestDatabase } from './test-database.js';
import type { Dataset } from './test-data.js';

async function value(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

/** Rows per table, counted in the dumps by hand. */
const COUNTS: Record<Dataset, Record<string, number>> = {
  'zulip-11/local': { django_migrations: 880, zerver_attachment: 24, zerver_message: 1302, zerver_reaction: 680, zerver_subscription: 1197, zerver_usermessage: 11163, zerver_userprofile: 71 },
  'zulip-11/s3': { django_migrations: 880, zerver_attachment: 24, zerver_message: 469, zerver_reaction: 173, zerver_subscription: 674, zerver_usermessage: 3610, zerver_userprofile: 71 },
  'zulip-12/local': { django_migrations: 984, zerver_attachment: 24, zerver_message: 693, zerver_reaction: 274, zerver_subscription: 1136, zerver_usermessage: 4830, zerver_userprofile: 71 },
  'zulip-4/local': { django_migrations: 396, zerver_attachment: 18, zerver_message: 437, zerver_reaction: 228, zerver_subscription: 523, zerver_usermessage: 1720, zerver_userprofile: 58 },
  'zulip-8/local': { django_migrations: 642, zerver_attachment: 24, zerver_message: 540, zerver_reaction: 226, zerver_subscription: 583, zerver_usermessage: 3234, zerver_userprofile: 71 },
};

for (const [dataset, counts] of Object.entries(COUNTS) as [Dataset, Record<string, number>][]) {
  t.test(`the dump of ${dataset} loads whole`, async (t) => {
    await withTestDatabase(dataset, async (url) => {
      for (const [table, count] of Object.entries(counts)) t.equal(await value(url, `SELECT count(*)::int FROM zulip.${table}`), count, table);
      t.ok(await value(url, "SELECT reltuples > 0 FROM pg_class WHERE oid = 'zulip.zerver_message'::regclass"), 'statistics are there');
    });
  });
}

t.test('text arrives as it was dumped', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    t.ok(await value(url, "SELECT count(*) > 0 FROM zulip.zerver_message WHERE content LIKE '%' || chr(8232) || '%'"), 'U+2028');
    t.ok(await value(url, "SELECT count(*) > 0 FROM zulip.zerver_message WHERE content LIKE '%' || chr(13) || chr(10) || '%'"), 'CRLF');
    t.ok(await value(url, "SELECT count(*) > 0 FROM zulip.zerver_message WHERE position('\\.' in content) > 0"), 'the end-of-data mark');
  });
});

t.test('each test has a database of its own, gone afterwards', async (t) => {
  let first = '';
  await withTestDatabase('zulip-8/local', async (url) => {
    first = url;
    await value(url, 'DELETE FROM zulip.zerver_reaction RETURNING 1');
    await withTestDatabase('zulip-8/local', async (other) => {
      t.equal(await value(other, 'SELECT count(*)::int FROM zulip.zerver_reaction'), 226);
    });
  });
  await t.rejects(value(first, 'SELECT 1'), { code: '3D000' });
  await withEmptyDatabase(async (url) => {
    t.equal(await value(url, "SELECT count(*)::int FROM pg_namespace WHERE nspname = 'zulip'"), 0);
  });
});
