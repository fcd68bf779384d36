/**
 * What realmlift's compiled views select, without workers and files: the plan of an export and its SELECTs in one statement.
 *
 * An export runs each table's query on its own, with the selections in front of each; here all share them, materialised, which
 * costs PostgreSQL a tenth (planning is nearly all of it on a small server). whole-export.test.ts runs the queries as they are.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { quote, type CompiledRegistry, type CompiledView } from '../../src/plan/views/compile-view.js';
import { inline, type Parameters } from '../../src/plan/parameters.js';
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
  const of = await rowsOfViews(client, compiled, plan.parameters, given);
  return {
    plan,
    tables: Object.fromEntries(plan.tables.map(({ name, columns, keys }) => [
      name, (of.get(compiled.tables.get(name) as CompiledView) ?? []).map((row) => Object.fromEntries(columns.map((column, index) => [keys[index] as string, row[column]]))),
    ])),
    ledger: Object.fromEntries(compiled.ledger.map((view) => [view.name, of.get(view) ?? []])),
    messageIds: (of.get(compiled.messageIds) ?? []).map(({ id }) => id as number),
  };
}

/**
 * The rows of every view of an export, in one statement. Many small servers differ in its parameters alone, so that PostgreSQL plans it once
 * for all of them: planning takes longer than anything else.
 *
 * @param given puts what an export learns on its way in the place of the parameters that name it
 */
export async function rowsOfViews(client: pg.Client, compiled: CompiledRegistry, parameters: Parameters, given: (sql: string) => string): Promise<Map<CompiledView, Row[]>> {
  const views = [...compiled.tables.values(), ...compiled.ledger, compiled.messageIds];
  const statement = statements.get(compiled) ?? statementOf(compiled, views, parameters, given);
  statements.set(compiled, statement);
  const { rows } = await client.query<{ view: number; rows: Row[] | null }>({ name: statement.name, text: statement.text, values: statement.parameters.map((name) => parameters[name]) });
  return new Map(rows.map((each) => [views[each.view] as CompiledView, each.rows ?? []]));
}

interface Statement {
  readonly name: string;
  readonly text: string;
  /** Of `$1`, `$2` and so on. */
  readonly parameters: readonly (keyof Parameters)[];
}

const statements = new WeakMap<CompiledRegistry, Statement>();

function statementOf(compiled: CompiledRegistry, views: readonly CompiledView[], parameters: Parameters, given: (sql: string) => string): Statement {
  const selects = views.map((view, index) => `SELECT ${index} AS view, (SELECT json_agg(row_to_json(q)) FROM (${sortedRows(view)}) AS q) AS rows`);
  const selections = [...compiled.selections.values()].map(({ name, sql }) => `${name} AS MATERIALIZED (\n${sql}\n)`);
  const sql = given(`WITH ${selections.join(', ')}\n${selects.join('\nUNION ALL\n')}`);
  // As an export has them: what is not known, or not set, is refused.
  inline(sql, parameters);
  const names = [...new Set([...sql.matchAll(PARAMETER)].map(([, name]) => name as keyof Parameters))];
  const type = (value: unknown): string => (Array.isArray(value) ? 'bigint[]' : typeof value === 'string' ? 'text' : 'bigint');
  const text = sql.replace(PARAMETER, (_, name: keyof Parameters) => `$${names.indexOf(name) + 1}::${type(parameters[name])}`);
  return { name: createHash('sha256').update(text).digest('hex').slice(0, 32), text, parameters: names };
}

/** A `:name` that is not part of a `::cast`. */
const PARAMETER = /(?<!:):([a-z_]+)\b/g;

/** What an export learns from the messages that it has copied, asked of the selection of these messages. */
function given(sql: string): string {
  return sql.replaceAll(':message_ids', '(SELECT array_agg(id) FROM exported_message)::bigint[]')
    .replaceAll(':message_client_ids', '(SELECT array_agg(sending_client_id) FROM exported_message)::bigint[]');
}

function sortedRows({ columns, sql }: CompiledView): string {
  return `SELECT ${columns.map(quote).join(', ')} FROM (\n${sql}\n) AS t ORDER BY t.id`;
}
