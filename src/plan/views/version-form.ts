/**
 * A view with the version of each of its rows, so that the server can tell which have changed since another snapshot: `xmin`, the
 * transaction that wrote the row as it is.
 */
import type { CompiledView } from './compile-view.js';
import { sourceOf } from './select-list.js';

/** The column that is added. */
export const VERSION_COLUMN = 'row_version';

export interface VersionForm {
  readonly view: CompiledView;
  readonly selections: ReadonlyMap<string, CompiledView>;
}

/**
 * The view with {@link VERSION_COLUMN} as its first column.
 *
 * @returns undefined where a row of the view is made of more than one row of its table, so that one version does not tell that it changed
 */
export function versionForm(view: CompiledView, selections: ReadonlyMap<string, CompiledView>): VersionForm | undefined {
  if (view.closed !== undefined) return undefined;
  const end = view.sql.indexOf('\n');
  const list = view.sql.slice('SELECT '.length, end).split(', ');
  const rest = view.sql.slice(end + 1);
  const alias = /^(\w+)\./.exec(list[0] ?? '')?.[1];
  if (alias === undefined || /\b(?:UNION|GROUP BY|DISTINCT)\b/i.test(rest) || list.some((item) => !item.startsWith(`${alias}."`) || !/^\w+\."[^"]+"$/.test(item))) return undefined;
  const source = sourceOf(alias, rest) ?? '';
  const selection = selections.get(source);
  const inner = selection === undefined ? { selections } : innerForm(selection, selections);
  if (inner === undefined || (selection === undefined && source !== view.view.table)) return undefined;
  const version = selection === undefined ? `${alias}.xmin AS ${VERSION_COLUMN}` : `${alias}.${VERSION_COLUMN}`;
  return { view: { ...view, sql: `SELECT ${version}, ${list.join(', ')}\n${rest}`, columns: [VERSION_COLUMN, ...view.columns] }, selections: inner.selections };
}

function innerForm(selection: CompiledView, selections: ReadonlyMap<string, CompiledView>): Pick<VersionForm, 'selections'> | undefined {
  const form = versionForm(selection, selections);
  return form === undefined ? undefined : { selections: new Map([...form.selections, [selection.name, form.view]]) };
}
