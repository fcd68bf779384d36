/** What the live schema has that nothing classifies: named in every summary, never passed over in silence. */
import type { Catalog } from './catalog.js';
import { describe } from './condition.js';
import type { CompiledRegistry, Decisions } from './compile-view.js';
import { reasonNotExported, type Registry } from './registry.js';

export interface SchemaReview {
  /** Tables without a view and without a reason not to have one. They are not exported. */
  readonly unknownTables: readonly string[];
  /** Columns of exported tables that no known Zulip release has, as `table.column`. They are exported. */
  readonly unknownColumns: readonly string[];
  /** Columns that a known release has as a foreign key and this schema has without one. */
  readonly unboundReferences: readonly string[];
  /** Table -> why it does not travel: of the tables that this server has, and of those that other releases have. */
  readonly notExported: ReadonlyMap<string, string>;
  /** Secret columns of exported tables that this server has, as `table.column`: stripped although Zulip exports them. */
  readonly stripped: readonly string[];
  /** Secret-looking columns that travel all the same -> why. */
  readonly kept: ReadonlyMap<string, string>;
}

export function reviewSchema(registry: Registry, catalog: Catalog, compiled: CompiledRegistry, decisions: Decisions): SchemaReview {
  const views = [...registry.tables.values()];
  const exported = new Set(views.map((view) => view.table));
  const unknownTables: string[] = [];
  const notExported = new Map<string, string>();
  const unknownColumns: string[] = [];
  const unboundReferences: string[] = [];
  for (const table of catalog.values()) {
    if (!exported.has(table.name)) {
      const reason = reasonNotExported(registry, table.name);
      if (reason === undefined) unknownTables.push(table.name);
      else notExported.set(table.name, reason);
      continue;
    }
    const known = registry.known.get(table.name);
    for (const column of table.columns.values()) {
      if (compiled.secrets.get(table.name)?.has(column.name) === true) continue;
      if (known?.has(column.name) !== true) unknownColumns.push(`${table.name}.${column.name}`);
      else if (known.get(column.name) !== undefined && column.references === undefined) unboundReferences.push(`${table.name}.${column.name}`);
    }
  }
  for (const view of views) {
    if (!catalog.has(view.table)) notExported.set(view.table, 'this database has no such table');
    else if (view.since.length > 0 && !compiled.tables.has(view.name) && view.name === view.table) notExported.set(view.table, `exported since ${describe(view.since)}`);
  }
  const present = (table: string, column: string): boolean => catalog.get(table)?.columns.has(column) === true;
  const omitted = new Set([...views, ...registry.selections.values()].flatMap((view) => [...view.omit].map((column) => `${view.table}.${column}`)));
  const stripped = [...compiled.secrets].flatMap(([table, columns]) => [...columns].filter((column) => present(table, column)).map((column) => `${table}.${column}`))
    .filter((each) => !omitted.has(each));
  const travels = new Set([...compiled.tables.values()].map(({ view }) => view.table));
  const kept = new Map([...decisions.keep].filter((column) => travels.has(column.replace(/\..*/, ''))).map((column) => [column, 'asked for with --keep']));
  for (const { table, keep } of views) {
    // A single user's export has not all tables.
    if (!travels.has(table)) continue;
    for (const [column, reason] of keep) if (present(table, column) && compiled.secrets.get(table)?.has(column) !== true) kept.set(`${table}.${column}`, reason);
  }
  return { unknownTables, unknownColumns, unboundReferences, notExported, stripped, kept };
}
