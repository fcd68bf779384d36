import { createHash } from 'node:crypto';

/** By which Zulip finds a group of direct messages: SHA-1 of the sorted, distinct ids of its users (zerver/models/recipients.py, get_direct_message_group_hash). */
export function groupHash(users: Iterable<number>): string {
  return createHash('sha1').update([...new Set(users)].sort((a, b) => a - b).join(',')).digest('hex');
}
