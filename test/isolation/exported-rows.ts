/**
 * What realmlift's compiled views select, without workers and files: the plan of an export and its SELECTs in one statement.
 *
 * An export runs each table's query on its own, with the selections in front of each; here all share them, materialised, which
 * costs PostgreSQL a tenth (planning is nearly all of it on a small server). whole-export.test.ts runs the queries as they are.
 */
import type pg from 'pg';
import { quote, type CompiledRegistry, type CompiledView } from '../../src/plan/views/compile-view.js';
import { inline } from '../../src/plan/parameters.js';
import { planExport, type ExportPlan, type ExportRequest } from '../../src/plan/plan-export.js';
import type { Source } from '../../src/plan/source.js';
import type { Row, Tables } from './server-rows.js';

export interface Exported {
  readonly plan: ExportPlan;
  /** By the names of the export, keys as the export has them. */
  readonly tables: Tables;
  /** Rows of the ledger's views: what stays. */
  readonly ledger: Tables;
  /** Ids by which messages are shared out to files, rising. */
  readonly messageIds: readonly number[];
}

export const FREE_CHOICE = { decisions: { strip: new Set<string>(), keep: new Set<string>() }, consentMessage: undefined, force: true, seed: 'seed' };

/** Plans and runs one export in the open transaction of `client`. */
export async function exportedRows(client: pg.Client, source: Source, request: ExportRequest): Promise<Exported> {
  const plan = await planExport(client, source, request);
  const { compiled } = plan;
  const of = await rowsOfViews(client, compiled, (sql) => inline(given(sql), plan.parameters));
  return {
    plan,
    tables: Object.fromEntries(plan.tables.map(({ name, columns, keys }) => [
      name, (of.get(compiled.tables.get(name) as CompiledView) ?? []).map((row) => Object.fromEntries(columns.map((column, index) => [keys[index] as string, row[column]]))),
    ])),
    ledger: Object.fromEntries(compiled.ledger.map((view) => [view.name, of.get(view) ?? []])),
    messageIds: (of.get(compiled.messageIds) ?? []).map(({ id }) => id as number),
  };
}

/** The rows of every view of an export, in one statement. @param bound gives the text its parameters */
export async function rowsOfViews(client: pg.Client, compiled: CompiledRegistry, bound: (sql: string) => string): Promise<Map<CompiledView, Row[]>> {
  const views = [...compiled.tables.values(), ...compiled.ledger, compiled.messageIds];
  const selects = views.map((view, index) => `SELECT ${index} AS view, (SELECT json_agg(row_to_json(q)) FROM (${sortedRows(view)}) AS q) AS rows`);
  const selections = [...compiled.selections.values()].map(({ name, sql }) => `${name} AS MATERIALIZED (\n${sql}\n)`);
  const { rows } = await client.query<{ view: number; rows: Row[] | null }>(bound(`WITH ${selections.join(', ')}\n${selects.join('\nUNION ALL\n')}`));
  return new Map(rows.map((each) => [views[each.view] as CompiledView, each.rows ?? []]));
}

/** What an export learns from the messages that it has copied, asked of the selection of these messages. */
function given(sql: string): string {
  return sql.replaceAll(':message_ids', '(SELECT array_agg(id) FROM exported_message)::bigint[]')
    .replaceAll(':message_client_ids', '(SELECT array_agg(sending_client_id) FROM exported_message)::bigint[]');
}

function sortedRows({ columns, sql }: CompiledView): string {
  return `SELECT ${columns.map(quote).join(', ')} FROM (\n${sql}\n) AS t ORDER BY t.id`;
}
