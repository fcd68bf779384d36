/** Has somebody used the realm since it was loaded? What it then says would be lost, so an update does not touch it. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { lastTransaction, type LoadRecord, type Written } from '../load/server/load-record.js';
import { realmCensus, type Counted } from '../load/server/realm-census.js';
import type { TargetTables } from '../load/server/target-tables.js';
import { thousands } from '../numbers.js';

const REFUSED = 'UPDATE_REFUSED';
const INSTEAD = "what was done there would be lost: if that may be, remove the realm (manage.py delete_realm) and load the export afresh";

/** Tables that an error names at most. */
const TOLD = 6;

/** From so many transactions on, their numbers do not say which is the younger. */
const HALF_ROUND = 2n ** 31n;

/**
 * @returns tables to which the server's jobs have added rows
 * @throws RealmliftError UPDATE_REFUSED naming the tables that give it away, and how many of their rows
 */
export async function refuseUsed(client: pg.Client, tables: TargetTables, record: LoadRecord): Promise<string[]> {
  const { transaction, system, realmId } = record.identity;
  const now = await lastTransaction(client);
  const doubt = system === null ? 'the role may not ask which cluster this is (pg_control_system)'
    : system !== now.system || BigInt(now.transaction) < BigInt(transaction) ? 'the database was restored or copied since it was loaded, and its rows are all younger'
      : BigInt(now.transaction) - BigInt(transaction) >= HALF_ROUND ? 'two thousand million transactions have passed since it was loaded' : undefined;
  if (doubt !== undefined) throw refused(`the rows of the realm do not say whether it was used: ${doubt}`);
  const census = await realmCensus(client, tables, realmId, transaction, 'where younger');
  const written = await record.written(client);
  const found = census.flatMap((counted) => {
    const then = written.get(counted.table);
    // A table that was made since belongs to something else than Zulip: its migrations are the same.
    return then === undefined ? [] : difference(then, counted);
  });
  if (found.length > 0) throw refused(`somebody has used the realm since it was loaded, as rows show that are not as the load left them: ${found.slice(0, TOLD).join(', ')}${found.length > TOLD ? ` and ${found.length - TOLD} more tables` : ''}`);
  return census.filter(({ added }) => added > 0).map(({ table }) => table);
}

/** As {@link refuseUsed} finds. */
export async function isUsed(client: pg.Client, tables: TargetTables, record: LoadRecord): Promise<boolean> {
  return refuseUsed(client, tables, record).then(() => false, (error: unknown) => {
    if (error instanceof RealmliftError && error.code === REFUSED) return true;
    throw error;
  });
}

/** `zerver_reaction (3 fewer)`; none where all is as it was. */
function difference(then: Written, { table, rows, younger, digest }: Counted): string[] {
  const [gone, more] = [Math.max(0, then.rows - rows), Math.max(0, rows - then.rows)];
  const changed = digest !== undefined && digest === then.digest ? 0 : Math.max(0, younger - more);
  const what = [more > 0 ? `${thousands(more)} more` : '', gone > 0 ? `${thousands(gone)} fewer` : '', changed > 0 ? `${thousands(changed)} changed` : ''].filter((each) => each !== '');
  return what.length > 0 ? [`${table} (${what.join(', ')})`] : [];
}

function refused(message: string): RealmliftError {
  return new RealmliftError(REFUSED, 'load', `nothing was changed: ${message}`, { hint: INSTEAD, exit: EXIT.nothingExported });
}
