/**
 * May the versions of rows be believed: is every row that this snapshot sees, written by a transaction that had ended when the base
 * was taken, the row that the base saw? Only then, and the reason is told where not; the rows are then compared one by one.
 *
 * - Transactions are numbered within one history: the same cluster on the same timeline. A copy of its disk that was started
 *   elsewhere has the same numbers for other transactions: it is told by its address, unless a standby, which has no history of its own, is asked.
 * - A server that crashed may have lost transactions that others had seen (`synchronous_commit = off`), and gives their ids to new ones. It
 *   counts what it does anew then, as it does when somebody has its statistics reset.
 * - This snapshot must see whatever the base's did: a standby may lag.
 * - `xmin` of a row lacks the upper half of the number: nothing is told of bases older than half of the space of the lower half. Rows
 *   keep it when they are frozen (since PostgreSQL 9.4), also by COPY FREEZE and VACUUM FULL.
 * - Transactions that were under way at the base are not believed, nor is any that began behind the oldest of them: subtransactions are
 *   not listed, and are younger than the one that they belong to.
 * - A column with a default may have come and gone without a new version of any row: the tables must have the same columns. A table that
 *   has another file was written anew, by whatever means.
 */
import { difference } from '../../snapshot/table-facts.js';
import type { Origin, OriginServer } from './origin.js';

/**
 * Has nothing at all been written since, in any database of the server? A change that others see has an id of a transaction, which ended, and
 * two snapshots of one start of the server that saw the same transactions as ended see the same rows: DDL, prepared transactions and
 * subtransactions have ids as well (those of subtransactions are not listed, but lie behind that of one that is, or had ended). After a crash the ids of what was
 * lost may be given anew, and a standby does not tell what is under way: there nobody knows.
 */
export function wroteNothing(then: OriginServer, now: OriginServer): boolean {
  return !then.recovering && !now.recovering && then.system !== null && typeof then.counting === 'string'
    && (['system', 'timeline', 'counting', 'started', 'xmin', 'xmax'] as const).every((name) => then[name] === now[name]) && then.running.join() === now.running.join();
}

/** Half of the transaction ids, less what may begin while we ask. */
const FARTHEST = 2n ** 31n - 10_000_000n;

/** @returns why the versions cannot be believed; undefined where they can */
export function distrust(base: Origin, now: Origin): string | undefined {
  if (base.query !== now.query) return 'other people agree, or were approved, than then, or the system bots have other ids';
  const [then, server] = [base.server, now.server];
  if (server.system === null || then.system === null) return 'the role may not ask which cluster it is (pg_control_system)';
  if (server.system !== then.system) return 'it is another cluster';
  if (server.timeline === null || server.timeline !== then.timeline) return `the server was promoted or restored since: timeline ${then.timeline ?? 'unknown'} then, ${server.timeline ?? 'unknown'} now`;
  if (!then.recovering && !server.recovering && then.started !== server.started && then.address !== server.address) return 'the server was restarted and has another address since: it may be a copy with a history of its own';
  if (!then.recovering && !server.recovering && then.counting !== server.counting) return 'the server crashed since, or its statistics were reset: what a crash lost may have had the ids of later transactions';
  if (!seesAll(server, then)) return 'this snapshot does not see all that the base saw, or a transaction of then is still under way';
  if (BigInt(server.xmax) - BigInt(then.xmin) > FARTHEST) return 'the base is older than half of the transaction ids';
  return changedTable(base, now);
}

/** Every transaction that had ended for `then` has ended for `now`. */
function seesAll(now: OriginServer, then: OriginServer): boolean {
  if (BigInt(now.xmin) >= BigInt(then.xmax)) return true;
  if (now.recovering || BigInt(now.xmax) < BigInt(then.xmax)) return false;
  return now.running.every((each) => BigInt(each) >= BigInt(then.xmax) || then.running.includes(each));
}

function changedTable(base: Origin, now: Origin): string | undefined {
  if (now.tables.some(({ relkind }) => relkind === 'v')) return 'the tables are read through views, which do not show the versions of rows';
  const found = new Map(now.tables.map((fact) => [fact.oid, fact]));
  for (const fact of base.tables) {
    const { what } = difference(fact, found.get(fact.oid)) ?? {};
    if (what !== undefined) return `${fact.name} ${what} since`;
  }
  return now.tables.length === base.tables.length ? undefined : 'the tables got partitions since';
}

/** The oldest transaction whose rows may be new, as 32 bits: a snapshot's never has one of the three reserved numbers. */
export function firstNew({ xmin }: OriginServer): string {
  return String(BigInt.asUintN(32, BigInt(xmin)));
}
