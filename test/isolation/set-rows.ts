/** What the views of a set select for one of its realms, held against what the views of that realm alone select. */
import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import type { CompiledView } from '../../src/plan/views/compile-view.js';
import { canJoinSet, planSet } from '../../src/plan/plan-set.js';
import { listRealms } from '../../src/plan/realm.js';
import { TENANT } from '../../src/plan/views/set-form.js';
import type { Source } from '../../src/plan/source.js';
import { FREE_CHOICE, rowsOfViews, type Exported } from './exported-rows.js';
import type { Row } from './server-rows.js';

/**
 * Views whose rows for the exported realm are others than in its own export, and rows of realms outside the set.
 * @param others how many of the server's other realms are in the set
 */
export async function setFaults(client: pg.Client, source: Source, exported: Exported, others: number): Promise<string[]> {
  const { realm } = exported.plan.request;
  const beside = (await listRealms(client)).filter((each) => each.id !== realm.id && canJoinSet(each)).slice(0, others);
  const plan = planSet(source, [...beside, realm], FREE_CHOICE.decisions);
  const allowed = new Set(plan.parameters.realm_ids);
  const of = await rowsOfViews(client, plan.compiled, plan.parameters, given);
  const messages = new Set(exported.messageIds);
  const found: string[] = [];
  const compare = ({ name, columns: all, sql }: CompiledView, rows: readonly Row[], expected: readonly Row[], keys: readonly string[]): void => {
    const outside = rows.filter((row) => !allowed.has(row[TENANT] as number));
    if (outside.length > 0) found.push(`${name}: ${outside.length} rows of realms outside the set`);
    const columns = all.filter((column) => column !== TENANT);
    // The run knows whose message it is that a usermessage or a reaction is of.
    const mine = rows.filter((row) => row[TENANT] === realm.id && (!sql.includes(':message_ids') || messages.has(row.message_id as number))).map((row) => Object.fromEntries(columns.map((column, index) => [keys[index] as string, row[column]])));
    if (!isDeepStrictEqual(mine, expected)) found.push(`${name}: ${mine.length} rows in a set of ${allowed.size}, alone ${expected.length}, or not the same`);
  };
  for (const { name, keys } of plan.tables) {
    const view = plan.compiled.tables.get(name) as CompiledView;
    compare(view, of.get(view) ?? [], exported.tables[name] ?? [], keys);
  }
  for (const view of plan.compiled.ledger) compare(view, of.get(view) ?? [], exported.ledger[view.name] ?? [], view.columns.filter((column) => column !== TENANT));
  return found;
}

/** What the run learns of the messages that it has copied, asked of the selection of these messages. */
function given(sql: string): string {
  return sql.replaceAll(':message_ids', '(SELECT array_agg(id) FROM exported_message)::bigint[]')
    .replaceAll('SELECT unnest(:message_client_realm_ids), unnest(:message_client_ids)', 'SELECT tenant, sending_client_id FROM exported_message');
}
