/** The tables of one realm's export: for each the query to copy, the keys of its rows, and the file it goes to. */
import type { Catalog } from './views/catalog.js';
import { withSelections, type CompiledRegistry, type CompiledView } from './views/compile-view.js';
import type { Mode } from './views/condition.js';
import { inline, MESSAGE_RANGE, type Parameters } from './parameters.js';
import type { Registry } from './views/registry.js';

export interface PlannedTable {
  /** Name in the export. */
  readonly name: string;
  readonly dataClass: string;
  /** File of the export; `messages` for the numbered ones. */
  readonly file: string;
  /** Columns of the query, in order. */
  readonly columns: readonly string[];
  /** Keys of the rows, in the same order. */
  readonly keys: readonly string[];
  /** Keys that must not be written whatever the query yields: the second lock. */
  readonly stripped: readonly string[];
  /** Why this SELECT, in words; empty when there is only one. */
  readonly rule: string;
}

export function planTables(compiled: CompiledRegistry, registry: Registry, catalog: Catalog, mode: Mode): PlannedTable[] {
  return [...compiled.tables.values()].map((each) => {
    const { view } = each;
    const file = view.file === 'messages' ? 'messages' : mode === 'user' ? 'user.json' : (view.file as string);
    const keys = each.columns.map((column) => keyOf(column, each, registry, catalog));
    const stripped = [...(compiled.secrets.get(view.table) ?? [])];
    return { name: view.name, dataClass: view.dataClass, file, columns: each.columns, keys, stripped, rule: each.rule };
  });
}

/**
 * Key of a column: its name, less `_id` where it is a foreign key, with the exceptions that the view file declares. A column
 * that a known release has as a foreign key counts as one even where this database has lost the constraint.
 */
export function keyOf(column: string, { view }: Pick<CompiledView, 'view'>, registry: Registry, catalog: Catalog): string {
  const declared = view.keys.get(column);
  if (declared !== undefined) return declared;
  const live = catalog.get(view.table)?.columns.get(column);
  const references = live === undefined ? undefined : (live.references ?? registry.known.get(view.table)?.get(column));
  return references === undefined ? column : column.replace(/_id$/, '');
}

/** The query of a table, ready to run: rows sorted by id. */
export function queryOf(table: PlannedTable, compiled: CompiledRegistry, parameters: Parameters): string {
  return `${selectOf(table, compiled, parameters)} ORDER BY t.id`;
}

/** The same of some of its rows. */
export function rowsOf(table: PlannedTable, compiled: CompiledRegistry, parameters: Parameters, ids: readonly number[]): string {
  return `${selectOf(table, compiled, parameters)} WHERE t.id = ANY ('{${ids.join(',')}}') ORDER BY t.id`;
}

/**
 * The query of the messages in a range of ids, which bindMessageRange completes, sorted by id. No id is null; said so, the
 * descending index of the realm's messages, whose nulls are last, yields that order read backward.
 */
export function messagesQuery(table: PlannedTable, compiled: CompiledRegistry, parameters: Parameters): string {
  return `${selectOf(table, compiled, parameters)} WHERE ${MESSAGE_RANGE} ORDER BY t.id NULLS FIRST`;
}

function selectOf({ name }: PlannedTable, compiled: CompiledRegistry, parameters: Parameters): string {
  return inline(withSelections(compiled.tables.get(name) as CompiledView, compiled.selections), parameters);
}

/** The query of the ids of the messages that travel, in no order. */
export function messageIdsQuery(compiled: CompiledRegistry, parameters: Parameters): string {
  return inline(withSelections(compiled.messageIds, compiled.selections), parameters);
}

/** The query of a view of the ledger. */
export function ledgerQuery(view: CompiledView, compiled: CompiledRegistry, parameters: Parameters): string {
  return `${inline(withSelections(view, compiled.selections), parameters)} ORDER BY t.id`;
}
