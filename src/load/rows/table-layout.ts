/** Which columns of a table a load writes, and where each value comes from. */
import { EXIT, RealmliftError } from '../../errors.js';
import type { TableFile } from '../../pipe/table-file.js';
import { RowFields } from '../../json/row-fields.js';
import type { Catalog } from '../../plan/views/catalog.js';
import { keyOf } from '../../plan/plan-tables.js';
import type { Registry } from '../../plan/views/registry.js';
import { ADDED } from '../../remap/reference-catalog.js';
import { MADE_ANEW, type Rules } from './import-rules.js';
import { RowEncoder, type EncodedColumn } from './row-encoder.js';
import type { TargetTables } from '../server/target-tables.js';

export interface Schema {
  readonly tables: TargetTables;
  readonly registry: Registry;
  readonly catalog: Catalog;
}

export interface TableLayout {
  /** As the database names it. */
  readonly table: string;
  readonly columns: readonly EncodedColumn[];
}

/**
 * @param name of the table in the export
 * @returns undefined when it has no rows
 * @throws RealmliftError TABLE_UNKNOWN, COLUMN_UNKNOWN, COLUMN_MISSING
 */
export function layoutOf(name: string, file: TableFile, { tables, registry, catalog }: Schema, rules: Rules): TableLayout | undefined {
  const [row] = file.rows(name);
  if (row === undefined) return undefined;
  const view = registry.tables.get(name);
  const live = view === undefined ? undefined : tables.columns.get(view.table);
  if (view === undefined || live === undefined) throw misfit('TABLE_UNKNOWN', name, `the new server has no table ${name}`);
  const fields = new RowFields().split(row);
  const keys = new Set(Array.from({ length: fields.count }, (_, field) => fields.key(field)));
  const columns: EncodedColumn[] = [];
  for (const { name: column, kind, needed } of live) {
    const key = keyOf(column, { view }, registry, catalog);
    const present = keys.delete(key);
    const rule = rules[view.table]?.[column] ?? (present ? undefined : MADE_ANEW[view.table]?.[column]);
    if (present || rule !== undefined) columns.push({ name: column, key, kind, rule });
    else if (needed) throw columnMissing(view.table, column);
  }
  const [unknown] = [...keys].filter((key) => !ADDED.has(key));
  if (unknown !== undefined) throw misfit('COLUMN_UNKNOWN', view.table, `the new server's ${view.table} has no ${unknown}`);
  return { table: view.table, columns };
}

export function encoderOf({ columns }: TableLayout): RowEncoder {
  return new RowEncoder(columns, ADDED);
}

/** For a column that may not be null, and for which nothing has a value. */
export function columnMissing(table: string, column: string): RealmliftError {
  return misfit('COLUMN_MISSING', table, `the export has no ${table}.${column}, which the new server demands`);
}

function misfit(code: string, table: string, message: string): RealmliftError {
  return new RealmliftError(code, 'load', message, { table, hint: 'an import takes only an export of its own version: bring both servers to the same one', exit: EXIT.nothingExported });
}
