import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import pg from 'pg';
import t from 'tap';
import { withPostgres } from './postgres-server.js';
import { withEmptyDatabase, withTestDatabase } from './test-database.js';
import type { Dataset } from './test-data.js';

const run = promisify(execFile);

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
void [existsSync, run, withPostgres, withEmptyDatabase];
