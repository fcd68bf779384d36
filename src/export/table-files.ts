/** The files of an export that hold several tables, such as realm.json: which tables, what else, and by what they are made. */
import { hold } from '../plan/views/condition.js';
import { circumstancesOf, type ExportPlan } from '../plan/plan-export.js';
import type { PlannedTable } from '../plan/plan-tables.js';
import type { Source } from '../plan/source.js';
import { digest } from './base/run-identity.js';

/** Each with its tables, in the order of the plan. */
export function tableFiles({ tables }: Pick<ExportPlan, 'tables'>): Map<string, PlannedTable[]> {
  const files = new Map<string, PlannedTable[]>();
  for (const table of tables) if (table.file !== 'messages') files.set(table.file, [...files.get(table.file) ?? [], table]);
  return files;
}

/** Values beside the tables of a file, such as import_source. */
export function constants({ request, compiled }: ExportPlan, source: Source, file: string): { readonly key: string; readonly value: unknown }[] {
  if (file !== 'realm.json') return [];
  const circumstances = circumstancesOf(request, source);
  const entries = [...compiled.tables.values()].flatMap(({ view }) => view.entries.filter((entry) => hold(entry.when, circumstances)));
  return [...new Map(entries.map(({ key, value }) => [key, { key, value }])).values()];
}

/** Digest of all that a file is made by. @param query digest of a table's query @returns undefined where one of them is not known */
export function digestOfTableFile(plan: ExportPlan, source: Source, file: string, tables: readonly PlannedTable[], query: (table: PlannedTable) => string | undefined): string | undefined {
  const queries = tables.map((table) => [table.name, query(table)]);
  return queries.some(([, each]) => each === undefined) ? undefined : digest([queries, constants(plan, source, file)]);
}
