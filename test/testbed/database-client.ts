/** Short connections of tests to their databases. */
import pg from 'pg';

/** Runs `work` with a session of its own, which ends with it. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  // A server that goes away shows in the next query.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Changes Zulip's tables, all statements in one transaction. */
export async function change(url: string, ...statements: string[]): Promise<void> {
  await withClient(url, (client) => client.query(['SET search_path = zulip', ...statements].join(';')));
}
