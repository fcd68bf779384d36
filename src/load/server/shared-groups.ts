/**
 * Conversations of system bots alone (Zulip 12 makes groups of all direct messages) belong to no realm, and their hash is the same on
 * every server with these bots: the new server may have them already, from a realm that came before.
 */
import type pg from 'pg';
import { eachRow } from '../../pipe/each-row.js';
import type { TableFile } from '../../pipe/table-file.js';
import type { BotIds, KnownIds } from '../../remap/assignment.js';
import { groupHash } from '../../remap/group-hash.js';
import { namesOf } from '../../remap/remap-request.js';
import type { IdRange } from './load-journal.js';

/** Recipient.DIRECT_MESSAGE_GROUP */
const GROUP = 3;

/**
 * @param bots the new server's
 * @param taken ids that an earlier run of this load took: groups among them are the load's own
 */
export async function sharedGroups(client: pg.Client, files: readonly TableFile[], bots: ReadonlyMap<string, BotIds>, taken: readonly IdRange[]): Promise<KnownIds> {
  const isOwn = (id: number): boolean => taken.some(({ table, first, count }) => table === 'zerver_huddle' && id >= first && id < first + count);
  const users = new Map([...namesOf(files).bots].map(([email, { user }]) => [user, bots.get(email)?.user ?? NaN]));
  const recipients = new Map<number, number>();
  const members = new Map<number, number[]>();
  for (const fields of eachRow(files, 'zerver_recipient')) if (fields.integerOf('type') === GROUP) recipients.set(fields.integerOf('id'), fields.integerOf('type_id'));
  for (const fields of eachRow(files, 'zerver_subscription')) {
    const recipient = fields.integerOf('recipient');
    if (recipients.has(recipient)) members.set(recipient, [...(members.get(recipient) ?? []), users.get(fields.integerOf('user_profile')) ?? NaN]);
  }
  const known = { zerver_huddle: [] as [number, number][], zerver_recipient: [] as [number, number][] };
  for (const [recipient, ids] of members) {
    if (ids.some((id) => Number.isNaN(id))) continue;
    const { rows: [there] } = await client.query<{ group: number; recipient: number | null }>(`
      SELECT h.id::float8 AS group, (SELECT r.id::float8 FROM zerver_recipient r WHERE r.type = ${GROUP} AND r.type_id = h.id) AS recipient FROM zerver_huddle h WHERE h.huddle_hash = $1`, [groupHash(ids)]);
    if (there?.recipient === undefined || there.recipient === null || isOwn(there.group)) continue;
    known.zerver_huddle.push([recipients.get(recipient) as number, there.group]);
    known.zerver_recipient.push([recipient, there.recipient]);
  }
  return known;
}
