/**
 * What the plan and the view files name must be there, and ids must be whole numbers: a schema that differs in that is refused
 * before any row is read, by the name of what is missing. Columns that nobody names come and go freely.
 */
import { EXIT, RealmliftError } from '../../errors.js';
import type { Catalog } from './catalog.js';

/** Named by the plan, the export and the files stage themselves, beside the view files. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  zerver_realm: ['id', 'string_id', 'name', 'deactivated'],
  zerver_userprofile: [
    'id', 'realm_id', 'recipient_id', 'delivery_email', 'email', 'is_bot', 'bot_owner_id', 'is_active', 'is_mirror_dummy', 'role', 'avatar_source', 'avatar_version',
  ],
  zerver_realmemoji: ['id', 'realm_id', 'author_id', 'file_name', 'name', 'deactivated'],
  zerver_message: ['sending_client_id'],
  zerver_attachment: ['id', 'realm_id', 'owner_id', 'path_id', 'size'],
};

/** OIDs of int2, int4 and int8 in pg_type.dat. */
export const INTEGERS = new Set([20, 21, 23]);

/** Zulip's columns that end in _id and are texts. */
const TEXTS = new Set(['string_id', 'path_id']);

/** @throws RealmliftError SCHEMA_UNKNOWN */
export function requireNamedColumns(catalog: Catalog): void {
  for (const [table, columns] of Object.entries(NAMED)) for (const column of columns) requireColumn(catalog, table, column, 'the plan');
}

/**
 * Checks every `alias.column` of a compiled SELECT against the live schema.
 *
 * @param selections of those that it may read: columns, and the table whose columns they are where the selection is of one
 * @throws RealmliftError SCHEMA_UNKNOWN
 */
export function requireColumnsOf(name: string, sql: string, catalog: Catalog, selections: ReadonlyMap<string, { readonly columns: readonly string[]; readonly table: string }>): void {
  // Names in quotes are the live schema's own.
  const text = sql.replace(/"(?:[^"]|"")*"|'[^']*'/g, '');
  const sources = new Map<string, Set<string>>();
  for (const [, source, alias] of text.matchAll(/\b(?:FROM|JOIN)\s+(\w+)\s+(?:AS\s+)?(\w+)/gi) as Iterable<[string, string, string]>) {
    if (!selections.has(source)) requireTable(catalog, source, `the view ${name}`);
    sources.set(alias, (sources.get(alias) ?? new Set()).add(source));
  }
  const derived = new Set([...text.matchAll(/\)\s+AS\s+(\w+)\s/gi)].map((match) => match[1]));
  for (const [, alias, column] of text.matchAll(/\b(\w+)\.(\w+)\b/g) as Iterable<[string, string, string]>) {
    const of = sources.get(alias);
    if (of === undefined || derived.has(alias)) continue;
    // An alias may stand for different things in the branches of a UNION.
    if ([...of].some((source) => selections.get(source)?.columns.includes(column) === true || catalog.get(source)?.columns.has(column) === true)) {
      const tables = [...of].map((source) => selections.get(source)?.table ?? source);
      for (const table of tables) if (catalog.get(table)?.columns.has(column) === true) requireColumn(catalog, table, column, `the view ${name}`);
    } else for (const source of of) requireColumn(catalog, source, column, `the view ${name}`);
  }
}

function requireTable(catalog: Catalog, table: string, who: string): void {
  if (!catalog.has(table)) throw unknown(table, `${who} needs the table ${table}, which this database does not have`);
}

/** @throws RealmliftError SCHEMA_UNKNOWN when `who` names a column that is not there, or an id that is no whole number */
export function requireColumn(catalog: Catalog, table: string, column: string, who: string): void {
  requireTable(catalog, table, who);
  const type = catalog.get(table)?.columns.get(column)?.type;
  if (type === undefined) throw unknown(table, `${who} needs ${table}.${column}, which this database does not have`);
  if (/(^|_)id$/.test(column) && !TEXTS.has(column) && !INTEGERS.has(type)) throw unknown(table, `${table}.${column} is no whole number, as every id of the known Zulip releases is`);
}

function unknown(table: string, message: string): RealmliftError {
  return new RealmliftError('SCHEMA_UNKNOWN', 'plan', message, {
    table, hint: 'this Zulip release differs from the known ones in what the export is built on: sql/README.md says how to add it; nothing was exported', exit: EXIT.nothingExported,
  });
}
