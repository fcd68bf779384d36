/**
 * Rows that are made anew under another id: a reaction taken back and given again, a topic followed, forgotten and followed.
 * By id such rows are two, but the database allows one per natural key, and an import of both would stop half-way. The row of
 * the later snapshot takes the place of the other. Only tables whose rows nothing refers to are listed.
 *
 * Keys are found by a hash that goes to sorted temporary files, since reactions and usermessages grow with the messages; only
 * rows whose hash comes twice are looked at again.
 */
import { pathId } from '../ids/id-table.js';
import { findRepeated, mergeRuns, IdSpool } from '../ids/id-spool.js';
import { withTemporaryFiles } from '../ids/temporary-files.js';
import { choose } from './choose-row.js';
import { grouped, type Candidate, type SortedRows } from './sorted-rows.js';

/**
 * The unique constraints of Zulip's tables, under the keys of exports. Those of 4.11, 8.4, 11.0-dev and 12.0-beta1 are held to real
 * databases by the tests.
 */
export const NATURAL_KEYS: Readonly<Record<string, readonly string[]>> = {
  analytics_realmcount: ['realm', 'property', 'subgroup', 'end_time'],
  analytics_streamcount: ['stream', 'property', 'subgroup', 'end_time'],
  analytics_usercount: ['user', 'property', 'subgroup', 'end_time'],
  zerver_alertword: ['user_profile', 'word'],
  zerver_botconfigdata: ['bot_profile', 'key'],
  zerver_botstoragedata: ['bot_profile', 'key'],
  zerver_customprofilefieldvalue: ['user_profile', 'field'],
  zerver_defaultstream: ['realm', 'stream'],
  zerver_externalauthid: ['user', 'external_auth_method_name'],
  zerver_groupgroupmembership: ['supergroup', 'subgroup'],
  zerver_mutedtopic: ['user_profile', 'stream', 'topic_name'],
  zerver_muteduser: ['user_profile', 'muted_user'],
  zerver_navigationview: ['user', 'fragment'],
  zerver_onboardingstep: ['user', 'onboarding_step'],
  zerver_presencesequence: ['realm'],
  zerver_reaction: ['user_profile', 'message', 'reaction_type', 'emoji_code'],
  zerver_realmauthenticationmethod: ['realm', 'name'],
  zerver_realmdomain: ['realm', 'domain'],
  zerver_realmfilter: ['realm', 'pattern'],
  zerver_realmplayground: ['realm', 'pygments_language', 'name'],
  zerver_realmuserdefault: ['realm'],
  zerver_subscription: ['user_profile', 'recipient'],
  zerver_useractivity: ['user_profile', 'client', 'query'],
  zerver_usergroupmembership: ['user_group', 'user_profile'],
  zerver_userhotspot: ['user', 'hotspot'],
  zerver_usermessage: ['user_profile', 'message'],
  // Until Zulip 6 one row a client; later rows have no such key.
  zerver_userpresence: ['user_profile', 'client'],
  zerver_userstatus: ['user_profile'],
  zerver_usertopic: ['user_profile', 'stream', 'topic_name'],
};

/** Compared without regard to case by the constraint. */
const CASELESS = new Set(['topic_name']);

export function hasNaturalKey(table: string): boolean {
  return table in NATURAL_KEYS;
}

function naturalKey({ table, fields }: Candidate): string {
  return (NATURAL_KEYS[table] as readonly string[]).map((key) => {
    const field = fields.find(key);
    const text = field === -1 ? '' : fields.bytes(field).toString('utf8');
    return CASELESS.has(key) ? text.toLowerCase() : text;
  }).join('\u0000');
}

/**
 * Ids of the rows of one table that give way. Two passes over them where the exports may hold one thing under two ids; none keeps more than
 * what collides.
 *
 * @param streams the rows of all exports, anew with each call
 */
export function supersededIn(streams: () => SortedRows[]): ReadonlySet<number> | undefined {
  const suspicious = withTemporaryFiles((open) => {
    const watch = new NaturalKeyWatch(open(2) as [number, number]);
    for (const versions of grouped(streams())) watch.add(choose(versions).chosen);
    return watch.suspicious();
  });
  if (suspicious.size === 0) return undefined;
  const superseded = new Superseded(suspicious);
  for (const versions of grouped(streams())) superseded.look(choose(versions).chosen);
  return superseded.ids;
}

/** Watches the rows of one table go by and tells afterwards which natural keys may have come twice. */
class NaturalKeyWatch {
  readonly #spool: IdSpool;
  readonly #scratch: IdSpool;
  #first: number | undefined;
  #several = false;

  /** @param fds two empty temporary files, used by nobody else meanwhile */
  constructor([spool, scratch]: readonly [number, number]) {
    this.#spool = new IdSpool(spool);
    this.#scratch = new IdSpool(scratch);
  }

  add(row: Candidate): void {
    // Rows of one export never collide.
    this.#first ??= row.input.index;
    if (row.input.index !== this.#first) this.#several = true;
    this.#spool.add(pathId(naturalKey(row)));
  }

  /** Hashes of keys that came more than once. */
  suspicious(): Set<number> {
    const hashes = new Set<number>();
    const runs = this.#spool.finish();
    if (this.#several) findRepeated(mergeRuns(runs, this.#scratch), (hash) => hashes.add(hash));
    return hashes;
  }
}

/** Ids of the rows that give way to another of the same natural key from a later snapshot. */
class Superseded {
  readonly ids = new Set<number>();
  readonly #suspicious: ReadonlySet<number>;
  readonly #best = new Map<string, { readonly id: number; readonly index: number }>();

  constructor(suspicious: ReadonlySet<number>) {
    this.#suspicious = suspicious;
  }

  /** To be called with every row of the table. */
  look(row: Candidate): void {
    const key = naturalKey(row);
    if (!this.#suspicious.has(pathId(key))) return;
    const mine = { id: row.id, index: row.input.index };
    const other = this.#best.get(key);
    if (other === undefined || other.index <= mine.index) this.#best.set(key, mine);
    if (other !== undefined && other.index !== mine.index) this.ids.add(other.index < mine.index ? other.id : mine.id);
  }
}
