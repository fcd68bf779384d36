/** The physical limit: COPY of exactly the rows that are exported, messages and usermessages in two sessions at once. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyRows } from '../src/copy/copy-rows.js';
import { withClient } from '../test/testbed/database-client.js';

export interface RowCounts {
  readonly zerver_message: number;
  readonly zerver_usermessage: number;
}

export interface RawCopy {
  /** The two queries, without COPY. */
  readonly queries: readonly [message: string, usermessage: string];
  /** What discards the bytes. */
  readonly client: string;
  /** Seconds of one run. */
  run(): Promise<number>;
}

/**
 * Of the realm's messages, all travel but those of group conversations with people of other realms; of their usermessages,
 * those of the realm's own people. No order is asked for: the server may take the rows as it finds them.
 */
function queries(realm: number): [string, string] {
  const travelling = `m.realm_id = ${realm} AND m.recipient_id NOT IN (
    SELECT s.recipient_id FROM zulip.zerver_subscription s JOIN zulip.zerver_recipient r ON r.id = s.recipient_id AND r.type = 3
    JOIN zulip.zerver_userprofile u ON u.id = s.user_profile_id WHERE u.realm_id <> ${realm})`;
  return [
    `SELECT m.* FROM zulip.zerver_message m WHERE ${travelling}`,
    `SELECT um.* FROM zulip.zerver_usermessage um JOIN zulip.zerver_message m ON m.id = um.message_id
     JOIN zulip.zerver_userprofile u ON u.id = um.user_profile_id WHERE ${travelling} AND u.realm_id = ${realm} AND NOT u.is_mirror_dummy`,
  ];
}

/** @param realm id of the realm */
export function rawCopy(url: string, realm: number): RawCopy {
  return rawCopyOf(url, queries(realm));
}

/** Of these two queries. */
export function rawCopyOf(url: string, both: RawCopy['queries']): RawCopy {
  const psql = hasPsql();
  const copy = psql ? copyByPsql : copyByDriver;
  return {
    queries: both,
    client: psql ? 'psql' : 'the driver in this process (no psql on PATH)',
    run: async () => {
      const started = process.hrtime.bigint();
      await Promise.all(both.map((query) => copy(url, query)));
      return Number(process.hrtime.bigint() - started) / 1e9;
    },
  };
}

/** Rows of the two queries. */
export async function countRows(url: string, raw: RawCopy): Promise<RowCounts> {
  return withClient(url, async (client) => {
    const count = async (query: string): Promise<number> => Number((await client.query<{ count: string }>(`SELECT count(*) FROM (${query}) AS rows`)).rows[0]?.count);
    return { zerver_message: await count(raw.queries[0]), zerver_usermessage: await count(raw.queries[1]) };
  });
}

async function copyByPsql(url: string, query: string): Promise<void> {
  const child = spawn('psql', ['-X', '-q', '-d', url, '-c', `COPY (${query}) TO STDOUT CSV`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`psql ended with ${code}`);
}

async function copyByDriver(url: string, query: string): Promise<void> {
  await withClient(url, (client) => copyRows(client, query, () => undefined, 'the raw copy'));
}

function hasPsql(): boolean {
  try {
    execFileSync('psql', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
