/** One user's export holds no other user's private data: two who share channels, direct messages and groups, and one who left. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { runExport } from '../../src/commands/export.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { directoryOf, exportOptions, readTables } from './whole-export.js';

/** Two active users, and one who is deactivated. */
const USERS = [6, 13, 7];

/** Whose row it is, in the tables of a single user's export. */
const OWNER_KEYS = ['user_profile', 'user', 'bot_profile'];

t.test('three users of acme in one run', async (t) => {
  const directory = t.testdir({});
  const uploads = await uploadsDirectory('zulip-11/local');
  await withTestDatabase('zulip-11/local', async (url) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query('SET search_path = zulip');
      const shared = await client.query<{ type: number }>(`
        SELECT DISTINCT r.type FROM zerver_subscription a JOIN zerver_subscription b USING (recipient_id) JOIN zerver_recipient r ON r.id = a.recipient_id
        WHERE a.user_profile_id = $1 AND b.user_profile_id = $2 ORDER BY 1`, USERS.slice(0, 2));
      t.same(shared.rows.map(({ type }) => type), [2, 3], 'the first two share channels and groups');
      t.ok((await client.query('SELECT FROM zerver_userprofile WHERE id = $1 AND NOT is_active', [USERS[2]])).rowCount, 'the third left');

      const outcomes = await runExport({
        ...exportOptions(url, uploads, directory), salt: AVATAR_SALT['zulip-11/local'], mode: 'user',
        targets: { realms: ['acme'], exclude: [], users: USERS.map((id) => ({ user: String(id), realm: undefined })), approved: undefined, allowUnknown: false },
      });
      t.equal(outcomes.length, USERS.length);
      const addresses = (await client.query<{ id: number; email: string }>('SELECT id, delivery_email AS email FROM zerver_userprofile WHERE NOT is_bot')).rows;
      const words = (await client.query<{ id: number; word: string }>('SELECT user_profile_id AS id, word FROM zerver_alertword')).rows;
      for (const [index, outcome] of outcomes.entries()) {
        const user = USERS[index] as number;
        const exported = directoryOf(outcome);
        const tables = readTables(exported);
        t.same(tables.zerver_userprofile?.map((row) => row.id), [user], `${user}: one account`);
        for (const [table, rows] of Object.entries(tables)) {
          const key = OWNER_KEYS.find((each) => rows.some((row) => each in row));
          if (key !== undefined) t.ok(rows.every((row) => row[key] === user), `${user}: ${table} are the user's own`);
        }
        t.ok(tables.zerver_realmauditlog?.every((row) => row.modified_user === user || row.acting_user === user));
        const received = new Set((await client.query<{ id: number }>('SELECT message_id::float8 AS id FROM zerver_usermessage WHERE user_profile_id = $1', [user])).rows.map(({ id }) => id));
        t.ok(tables.zerver_message?.length, `${user}: messages`);
        t.ok(tables.zerver_message?.every((row) => received.has(row.id as number)), `${user}: only messages that the user received`);
        const text = JSON.stringify({ ...tables, zerver_message: [] });
        t.same(addresses.filter(({ id, email }) => id !== user && text.includes(`"${email}"`)), [], `${user}: nobody else's address`);
        const own = new Set(words.filter(({ id }) => id === user).map(({ word }) => word));
        t.ok(tables.zerver_alertword?.every((row) => own.has(row.word as string)), `${user}: nobody else's alert words`);
        for (const area of ['uploads', 'avatars']) {
          const records = JSON.parse(readFileSync(join(exported, area, 'records.json'), 'utf8')) as { user_profile_id: number }[];
          t.ok(records.every((record) => record.user_profile_id === user), `${user}: own ${area}`);
        }
      }
    } finally {
      await client.end();
    }
  });
});
