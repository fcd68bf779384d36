/** Addresses of users who hide theirs: Zulip shows `user12@…` in their place, made of the id. */
import type { IdSpace } from './id-space.js';

export interface Addresses {
  /** By user: those that are made of the user's id. */
  readonly byId: ReadonlyMap<number, string>;
  /** All others, in small letters, as Zulip compares them. */
  readonly others: ReadonlySet<string>;
}

/** What an address is for a comparison. */
export function comparable(address: string): string {
  return address.toLowerCase();
}

/**
 * The addresses that change, by the old id of the user. One stays as it was, as with Zulip's own import all do, where another user has
 * the new one: it is the address of somebody in truth, or one that stays itself.
 */
export function shownAddresses({ byId, others }: Addresses, users: IdSpace): Map<number, string> {
  const changing = new Map<number, string>();
  for (const [id, address] of byId) {
    const to = users.get(id);
    if (to !== undefined && to !== id) changing.set(id, `user${to}${address.slice(`user${id}`.length)}`);
  }
  const taken = new Set(others);
  for (const [id, address] of byId) if (!changing.has(id)) taken.add(comparable(address));
  for (let before = NaN; before !== changing.size;) {
    before = changing.size;
    for (const [id, to] of changing) {
      if (!taken.has(comparable(to))) continue;
      changing.delete(id);
      taken.add(comparable(byId.get(id) as string));
    }
  }
  return changing;
}
