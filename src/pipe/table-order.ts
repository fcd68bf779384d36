/**
 * Parents before children: the order in which a loader can insert tables whose foreign keys are enforced, computed from the
 * foreign keys of the known Zulip releases.
 *
 * Zulip's foreign keys have cycles, so a few point forward, all of them nullable or deferrable: those of zerver_realm, those
 * from users to channels, and those from users to users (a bot may have a lower id than its owner).
 */
import type { Registry } from '../plan/views/registry.js';

/** Tables that share the ids of another, under which foreign keys know them. */
const SAME_IDS: Readonly<Record<string, string>> = {
  zerver_userprofile_mirrordummy: 'zerver_userprofile', zerver_userprofile_crossrealm: 'zerver_userprofile',
};

/** Folded into the rows of attachments, and until Zulip 5 of groups, as lists of ids. */
const LISTS: Readonly<Record<string, readonly string[]>> = { zerver_attachment: ['zerver_message', 'zerver_scheduledmessage'], zerver_usergroup: ['zerver_userprofile'] };

/** True for a foreign key that may point to a row that comes later. */
export function pointsForward(table: string, referenced: string): boolean {
  const of = SAME_IDS[table] ?? table;
  return of === referenced || of === 'zerver_realm' || (of === 'zerver_userprofile' && referenced === 'zerver_stream');
}

/** The tables in the order in which they are to be loaded. Those that nothing is known of come last. */
export function parentsFirst(tables: readonly string[], { tables: views, known }: Registry): string[] {
  const rank = new Map([...views.keys()].map((name, index) => [name, index]));
  const left = [...tables].sort((a, b) => (rank.get(a) ?? Infinity) - (rank.get(b) ?? Infinity) || (a < b ? -1 : 1));
  const parents = new Map(left.map((table) => [table, parentsOf(table, left, known)]));
  const ordered: string[] = [];
  while (left.length > 0) {
    const next = left.findIndex((table) => (parents.get(table) as string[]).every((parent) => ordered.includes(parent)));
    // A cycle that a later release brings is cut at its first table.
    ordered.push(...left.splice(Math.max(next, 0), 1));
  }
  return ordered;
}

function parentsOf(table: string, present: readonly string[], known: Registry['known']): string[] {
  const columns = known.get(SAME_IDS[table] ?? table) ?? new Map<string, string | undefined>();
  const referenced = new Set([...[...columns.values()].filter((each) => each !== undefined), ...(LISTS[table] ?? [])]);
  return present.filter((other) => other !== table && [...referenced].some((each) => (SAME_IDS[other] ?? other) === each && !pointsForward(table, each)));
}
