/**
 * The gate for every SELECT before it is run or installed: node-sql-parser reads the text and refuses what a view must not do.
 * A view is one SELECT; it reads only tables that the registry knows, calls only harmless functions, mentions no secret column
 * and binds its rows to the exported realm. It may say `alias.*`: the compiler expands that to the columns that may travel.
 */
import sqlParser from 'node-sql-parser/build/postgresql.js';
import { RealmliftError } from '../errors.js';

export interface ViewRules {
  /** Real tables that views may read. */
  readonly tables: ReadonlySet<string>;
  /** Selections, all of them bound to the realm. */
  readonly selections: ReadonlySet<string>;
  /** Table -> its secret columns. */
  readonly secrets: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Functions that views may call: none reads files, sleeps, writes or leaves the database. */
const FUNCTIONS = new Set([
  'unnest', 'any', 'all', 'bool_or', 'array_agg', 'array_remove', 'coalesce', 'to_jsonb', 'json_build_array', 'left', 'encode', 'sha256',
  'convert_to', 'split_part', 'get_byte', 'string_agg', 'mod', 'exists',
]);

/** Parameters that bind rows to the realm, its user, its bots, or to ids that the run has already selected. */
const TENANT_PARAMETERS = new Set(['realm_id', 'user_id', 'cross_realm_bot_ids', 'message_ids', 'consenting_user_ids']);

type Node = Readonly<Record<string, unknown>>;
const parser = new sqlParser.Parser();

/** Texts already parsed: all realms of a run are planned from the same files, and parsing is nearly the whole cost of a plan (90 ms). */
const parsed = new Map<string, readonly Node[]>();

function parse(sql: string): readonly Node[] {
  let statements = parsed.get(sql);
  if (statements === undefined) {
    const ast: unknown = parser.astify(sql, { database: 'Postgresql' });
    statements = Array.isArray(ast) ? ast as Node[] : [ast as Node];
    parsed.set(sql, statements);
  }
  return statements;
}

/**
 * @param sql text of one SELECT of a view file
 * @param shared true for tables whose rows belong to no realm
 * @throws RealmliftError VIEW_REFUSED saying which rule the view breaks
 */
export function checkView(name: string, sql: string, rules: ViewRules, shared: boolean): void {
  const refuse = (why: string): never => {
    throw new RealmliftError('VIEW_REFUSED', 'plan', `the view ${name} ${why}`, { table: name, hint: 'see sql/README.md for what a view may do' });
  };
  let statements: readonly Node[];
  try {
    statements = parse(sql);
  } catch (cause) {
    throw new RealmliftError('VIEW_REFUSED', 'plan', `the view ${name} cannot be parsed`, { table: name, cause });
  }
  const statement = statements[0];
  if (statements.length !== 1 || statement?.type !== 'select') return refuse('is not one SELECT');

  const read = new Set<string>();
  const columns = new Set<string>();
  walk(statement, (node) => {
    if (typeof node.table === 'string' && 'as' in node && node.type === undefined) read.add(node.table);
    if (node.type === 'column_ref') columns.add(columnName(node));
    if (node.type === 'function' || node.type === 'aggr_func') {
      const called = functionName(node);
      if (!FUNCTIONS.has(called)) refuse(`calls ${called}()`);
    }
    if (node.type !== undefined && typeof node.type === 'string' && ['insert', 'update', 'delete', 'create', 'drop', 'into'].includes(node.type)) refuse('writes');
    if (typeof node.into === 'object' && (node.into as Node | null)?.position !== undefined && (node.into as Node).position !== null) refuse('writes');
  });
  for (const table of read) {
    if (!rules.tables.has(table) && !rules.selections.has(table)) refuse(`reads ${table}, which does not travel`);
    for (const secret of rules.secrets.get(table) ?? []) if (columns.has(secret)) refuse(`reads the secret column ${table}.${secret}`);
  }
  if (!shared) for (const branch of branches(statement)) if (!bound(branch, rules.selections)) refuse('has no tenant predicate');
}

/** The SELECTs of a UNION. */
function branches(select: Node): Node[] {
  const next = select._next as Node | undefined;
  return next === undefined ? [select] : [select, ...branches(next)];
}

/** True when the rows of this SELECT are bound to the realm by a conjunct of WHERE or an inner join. */
function bound(select: Node, selections: ReadonlySet<string>): boolean {
  const from = (select.from ?? []) as Node[];
  const inner = from.filter((source) => !/^(LEFT|FULL|RIGHT)/.test(typeof source.join === 'string' ? source.join : 'INNER'));
  if (inner.some((source) => typeof source.table === 'string' && selections.has(source.table))) return true;
  if (inner.some((source) => isSubquery(source) && branches(subquery(source)).every((each) => bound(each, selections)))) return true;
  const conditions = [select.where, ...inner.map((source) => source.on)].filter((each) => each !== null && each !== undefined) as Node[];
  if (conditions.flatMap(conjuncts).some((each) => binds(each, selections))) return true;
  // SELECT unnest(:ids): the ids were selected by an earlier view.
  return from.length === 0 && parametersIn(select).some((name) => TENANT_PARAMETERS.has(name));
}

function conjuncts(condition: Node): Node[] {
  return condition.type === 'binary_expr' && condition.operator === 'AND'
    ? [...conjuncts(condition.left as Node), ...conjuncts(condition.right as Node)]
    : [condition];
}

/** `column = :realm_id`, `column = ANY (:ids)`, `column IN (SELECT … bound …)`, or an OR of which each side binds. */
function binds(condition: Node, selections: ReadonlySet<string>): boolean {
  if (condition.type !== 'binary_expr') return false;
  const [left, right] = [condition.left as Node, condition.right as Node];
  if (condition.operator === 'OR') return binds(left, selections) && binds(right, selections);
  if (left.type !== 'column_ref') return false;
  if (condition.operator === '=') {
    if (right.type === 'param') return TENANT_PARAMETERS.has(String(right.value));
    return right.type === 'function' && functionName(right) === 'any' && parametersIn(right).some((name) => TENANT_PARAMETERS.has(name));
  }
  if (condition.operator !== 'IN') return false;
  const items = (right.value ?? []) as Node[];
  return items.some((item) => isSubquery({ expr: item }) && branches(subquery({ expr: item })).every((each) => bound(each, selections)));
}

function isSubquery(source: Node): boolean {
  return subqueryOf(source)?.type === 'select';
}

function subquery(source: Node): Node {
  return subqueryOf(source) as Node;
}

function subqueryOf(source: Node): Node | undefined {
  const expression = source.expr as Node | undefined;
  return (expression?.ast as Node | undefined) ?? expression;
}

function parametersIn(node: Node): string[] {
  const names: string[] = [];
  walk(node, (each) => { if (each.type === 'param') names.push(String(each.value)); });
  return names;
}

function columnName(node: Node): string {
  const column = node.column;
  if (typeof column === 'string') return column;
  const value = ((column as Node | undefined)?.expr as Node | undefined)?.value;
  return typeof value === 'string' ? value : '';
}

function functionName(node: Node): string {
  const name = node.name;
  if (typeof name === 'string') return name.toLowerCase();
  const parts = ((name as Node | undefined)?.name ?? []) as Node[];
  return parts.map((part) => String(part.value)).join('.').toLowerCase();
}

function walk(node: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(node)) for (const each of node) walk(each, visit);
  else if (node !== null && typeof node === 'object') {
    visit(node as Node);
    for (const each of Object.values(node)) walk(each, visit);
  }
}
