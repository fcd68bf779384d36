/**
 * Which of several versions of a row goes into the union: that of the latest snapshot, unless it is scrubbed and another is not.
 *
 * A consent export replaces users who did not agree by mirror dummies with default settings, and reduces their subscriptions to
 * the bare fact with a random colour. Where another export holds the same user with consent, that is the row to keep.
 */
import { isUnscrubbed } from './merge-input.js';
import type { Candidate } from './sorted-rows.js';

export interface Choice {
  readonly chosen: Candidate;
  /** Versions that were not chosen although they say something else, and are no scrubbed copy of it. */
  readonly differing: readonly Candidate[];
  /** Scrubbed versions that gave way. */
  readonly gaveWay: number;
}

/** Users stand in two tables under one set of ids. */
export const USER_TABLES: ReadonlySet<string> = new Set(['zerver_userprofile', 'zerver_userprofile_mirrordummy']);

/** Keys whose values are drawn at random where a user is scrubbed. */
const RANDOM: Readonly<Record<string, string>> = {
  zerver_subscription: 'color', zerver_userprofile: 'delivery_email', zerver_userprofile_mirrordummy: 'delivery_email',
};

/** Lists of what else is exported: they are united, and no difference. */
export const LISTS = ['messages', 'scheduled_messages'] as const;

export function isList(key: string): key is (typeof LISTS)[number] {
  return (LISTS as readonly string[]).includes(key);
}

/** @param versions of one row; at least one, oldest snapshot first */
export function choose(versions: readonly Candidate[]): Choice {
  const ranks = versions.map(rank);
  const best = Math.max(...ranks);
  const chosen = versions[ranks.lastIndexOf(best)] as Candidate;
  const rivals = versions.filter((each, index) => each !== chosen && !each.row.equals(chosen.row) && ranks[index] === best);
  const differing = rivals.filter((each) => differentKeys(each, chosen, best < UNSCRUBBED).length > 0 || each.table !== chosen.table);
  return { chosen, differing, gaveWay: ranks.filter((each) => each < best).length };
}

/** Keys under which two versions differ. */
export function differentKeys(a: Candidate, b: Candidate, scrubbed = false): string[] {
  const keys = new Set<string>();
  for (const { fields } of [a, b]) for (let field = 0; field < fields.count; field++) keys.add(fields.key(field));
  return [...keys].filter((key) => {
    if (isList(key) || (scrubbed && RANDOM[a.table] === key)) return false;
    const [one, two] = [a.fields.find(key), b.fields.find(key)];
    return one === -1 || two === -1 || !a.fields.bytes(one).equals(b.fields.bytes(two));
  });
}

const UNSCRUBBED = 2;

/** The user as such, else an account, else a placeholder; other tables' rows are never scrubbed. */
function rank({ input, table, id, fields }: Candidate): number {
  const user = USER_TABLES.has(table) ? id : table === 'zerver_subscription' ? fields.integerOf('user_profile') : undefined;
  if (user === undefined || isUnscrubbed(input, user)) return UNSCRUBBED;
  return table === 'zerver_userprofile_mirrordummy' ? 0 : 1;
}
