/** Has somebody used the realm since it was loaded? What it then says would be lost, so an update does not touch it. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import type { LoadRecord } from '../load/load-record.js';
import { lastTransaction } from '../load/load-record.js';
import { realmCensus } from '../load/realm-census.js';
import type { TargetTables } from '../load/target-tables.js';
import { thousands } from '../numbers.js';

const INSTEAD = "what was done there would be lost: if that may be, remove the realm (manage.py delete_realm) and load the export afresh";

/** Tables that an error names at most. */
const TOLD = 6;

/** @throws RealmliftError UPDATE_REFUSED naming the tables that give it away, and how many of their rows */
export async function refuseUsed(client: pg.Client, tables: TargetTables, record: LoadRecord): Promise<void> {
  const { transaction, system, realmId } = record.identity;
  const now = await lastTransaction(client);
  if (system === null || system !== now.system || BigInt(now.transaction) < BigInt(transaction)) {
    throw refused(`the rows of the realm do not say whether it was used: ${system === null ? 'the role may not ask which cluster this is (pg_control_system)' : 'the database was restored or copied since it was loaded, and its rows are all younger'}`);
  }
  const written = await record.written(client);
  const found: string[] = [];
  for (const { table, rows, younger, digest } of await realmCensus(client, tables, realmId, transaction, 'where younger')) {
    const then = written.get(table);
    // A table that was made since belongs to something else than Zulip: its migrations are the same.
    if (then === undefined) continue;
    const [gone, more] = [Math.max(0, then.rows - rows), Math.max(0, rows - then.rows)];
    const changed = digest !== undefined && digest === then.digest ? 0 : Math.max(0, younger - more);
    const what = [more > 0 ? `${thousands(more)} more` : '', gone > 0 ? `${thousands(gone)} fewer` : '', changed > 0 ? `${thousands(changed)} changed` : ''].filter((each) => each !== '');
    if (what.length > 0) found.push(`${table} (${what.join(', ')})`);
  }
  if (found.length > 0) throw refused(`somebody has used the realm since it was loaded, as rows show that are not as the load left them: ${found.slice(0, TOLD).join(', ')}${found.length > TOLD ? ` and ${found.length - TOLD} more tables` : ''}`);
}

function refused(message: string): RealmliftError {
  return new RealmliftError('UPDATE_REFUSED', 'load', `nothing was changed: ${message}`, { hint: INSTEAD, exit: EXIT.nothingExported });
}
