/** The tree that node-sql-parser makes of a SELECT, as far as the gate for views looks at it. */

export type Node = Readonly<Record<string, unknown>>;

/** Calls `visit` for the node and every node below it. */
export function walk(node: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(node)) for (const each of node) walk(each, visit);
  else if (node !== null && typeof node === 'object') {
    visit(node as Node);
    for (const each of Object.values(node)) walk(each, visit);
  }
}

/** A SELECT and those that UNION ALL and the like join to it. */
export function branches(select: Node): Node[] {
  const next = select._next as Node | null | undefined;
  return next === null || next === undefined ? [select] : [select, ...branches(next)];
}

/** The tables, selections and subqueries of the FROM clause. */
export function sources(select: Node): Node[] {
  return (select.from ?? []) as Node[];
}

/** The SELECT that a source or an operand is, in parentheses. */
export function subselect(node: Node): Node | undefined {
  const inner = (node.ast ?? (node.expr as Node | undefined)?.ast ?? node.expr) as Node | undefined;
  return inner?.type === 'select' ? inner : undefined;
}

/** A condition's parts, all of which must hold. */
export function conjuncts(condition: unknown): Node[] {
  const node = condition as Node | null | undefined;
  if (node === null || node === undefined) return [];
  return node.type === 'binary_expr' && node.operator === 'AND' ? [...conjuncts(node.left), ...conjuncts(node.right)] : [node];
}

/** PostgreSQL folds names to lower case, and all names of Zulip's are. */
export function columnName(node: Node): string {
  const { column } = node;
  const name = typeof column === 'string' ? column : ((column as Node | undefined)?.expr as Node | undefined)?.value;
  return typeof name === 'string' ? name.toLowerCase() : '';
}

/** Alias before the dot of a column; undefined where there is none. */
export function qualifierOf(node: Node): string | undefined {
  const table = typeof node.table === 'string' ? node.table : (node.table as Node | null | undefined)?.value;
  return typeof table === 'string' ? table.toLowerCase() : undefined;
}

/** Name by which the rest of the SELECT knows a source. */
export function aliasOf(source: Node): string {
  const name = source.as ?? source.table;
  return typeof name === 'string' ? name.toLowerCase() : '';
}

/** Name of a called function, with its schema if that is said. */
export function functionName(node: Node): string {
  const { name } = node;
  if (typeof name === 'string') return name.toLowerCase();
  const { schema, name: parts = [] } = (name ?? {}) as { schema?: Node; name?: Node[] };
  return [...(schema === undefined ? [] : [schema]), ...parts].map((part) => String(part.value)).join('.').toLowerCase();
}
