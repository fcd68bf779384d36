/** A second sample server, on which bots, clients and everything else have other ids. */
import { change } from '../testbed/database-client.js';
import { withTestDatabase } from '../testbed/test-database.js';

export const MOVED = { client: 500, bot: 700, recipient: 800, messages: 90_000 } as const;

/** Runs `work` with the URL of a database like that of the samples, in which ids are others. Its rows no longer fit together. */
export async function withNewServer<T>(work: (url: string) => Promise<T>): Promise<T> {
  return withTestDatabase('zulip-11/local', async (url) => {
    await change(url, `
      SET session_replication_role = replica;
      UPDATE zerver_client SET id = id + ${MOVED.client} WHERE name <> 'website';
      UPDATE zerver_userprofile SET id = id + ${MOVED.bot}, recipient_id = recipient_id + ${MOVED.recipient} WHERE realm_id = 1;
      DELETE FROM zerver_client WHERE name = 'website';
      SELECT setval(pg_get_serial_sequence('zerver_client', 'id'), (SELECT max(id) FROM zerver_client));
      SELECT setval(pg_get_serial_sequence('zerver_userprofile', 'id'), (SELECT max(id) FROM zerver_userprofile));
      SELECT setval(pg_get_serial_sequence('zerver_message', 'id'), ${MOVED.messages})`);
    return work(url);
  });
}
