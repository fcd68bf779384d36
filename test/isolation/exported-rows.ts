/** What realmlift's compiled queries select, without workers and files: the plan of an export and its queries in one session. */
import type pg from 'pg';
import { ledgerQuery, queryOf, type PlannedTable } from '../../src/plan/plan-tables.js';
import { bindMessageIds } from '../../src/plan/parameters.js';
import { planExport, type ExportPlan, type ExportRequest } from '../../src/plan/plan-export.js';
import type { Source } from '../../src/plan/source.js';
import type { Row, Tables } from './server-rows.js';

export interface Exported {
  readonly plan: ExportPlan;
  /** By the names of the export, keys as the export has them. */
  readonly tables: Tables;
  /** Rows of the ledger's views: what stays. */
  readonly ledger: Tables;
}

export const FREE_CHOICE = { decisions: { strip: new Set<string>(), keep: new Set<string>() }, consentMessage: undefined, force: true, seed: 'seed' };

/** Plans and runs one export in the open transaction of `client`. */
export async function exportedRows(client: pg.Client, source: Source, request: ExportRequest): Promise<Exported> {
  const plan = await planExport(client, source, request);
  const { compiled, parameters } = plan;
  const small = plan.tables.filter((table) => table.name !== 'zerver_usermessage');
  const rows = await rowsOf(client, new Map([
    ...small.map((table) => [table.name, queryOf(table, compiled, parameters)] as const),
    ...compiled.ledger.map((view) => [`ledger ${view.name}`, ledgerQuery(view, compiled, parameters)] as const),
  ]));
  const tables: Tables = Object.fromEntries(small.map((table) => [table.name, keyed(table, rows.get(table.name) ?? [])]));
  const usermessage = plan.tables.find((table) => table.name === 'zerver_usermessage');
  if (usermessage !== undefined) {
    const ids = (tables.zerver_message ?? []).map((row) => row.id as number);
    const query = bindMessageIds(queryOf(usermessage, compiled, parameters), ids);
    tables.zerver_usermessage = keyed(usermessage, (await rowsOf(client, new Map([['rows', query]]))).get('rows') ?? []);
  }
  return { plan, tables, ledger: Object.fromEntries(compiled.ledger.map(({ name }) => [name, rows.get(`ledger ${name}`) ?? []])) };
}

/** All queries in one round trip. */
async function rowsOf(client: pg.Client, queries: ReadonlyMap<string, string>): Promise<Map<string, Row[]>> {
  const selects = [...queries].map(([name, query]) => `SELECT '${name}' AS name, (SELECT json_agg(row_to_json(q)) FROM (${query}) AS q) AS rows`);
  const { rows } = await client.query<{ name: string; rows: Row[] | null }>(selects.join('\nUNION ALL\n'));
  return new Map(rows.map(({ name, rows: of }) => [name, of ?? []]));
}

function keyed({ columns, keys }: PlannedTable, rows: readonly Row[]): Row[] {
  return rows.map((row) => Object.fromEntries(columns.map((column, index) => [keys[index] as string, row[column]])));
}
