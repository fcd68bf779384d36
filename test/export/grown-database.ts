/** A test database in which acme and globex have many messages, so that an export has several messages files. */
import pg from 'pg';
import { withTestDatabase } from '../testbed/test-database.js';

/** How often each message of the sample is there afterwards: acme then has 3,668 of them, in four files. */
const COPIES = 4;

/** Each message again with its usermessages, the copies interleaved as if all realms went on writing. */
export const GROW = `
  CREATE TEMP TABLE copy AS
    SELECT m.id AS old, (SELECT max(id) FROM zerver_message) + row_number() OVER (ORDER BY k, m.id) AS new
    FROM generate_series(2, ${COPIES}) k, zerver_message m;
  INSERT INTO zerver_message
    SELECT made.* FROM copy JOIN zerver_message m ON m.id = copy.old, LATERAL jsonb_populate_record(m, jsonb_build_object('id', copy.new)) AS made;
  INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
    SELECT (SELECT max(id) FROM zerver_usermessage) + row_number() OVER (ORDER BY copy.new, u.id), u.flags, copy.new, u.user_profile_id
    FROM copy JOIN zerver_usermessage u ON u.message_id = copy.old;
  ANALYZE`;

/** Runs `work` with a database of its own. */
export async function withGrownDatabase<T>(work: (url: string) => Promise<T>): Promise<T> {
  return withTestDatabase('zulip-11/local', work, GROW);
}

/** Runs statements as superuser, with Zulip's tables on the search path. */
export async function query(url: string, sql: string): Promise<pg.QueryResult<Record<string, unknown>>> {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=zulip,pg_catalog' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await client.query<Record<string, unknown>>(sql);
  } finally {
    await client.end();
  }
}
