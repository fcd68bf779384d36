/**
 * The gate for every SELECT before it is run or installed: node-sql-parser reads the text and refuses what a view must not do.
 * A view is one SELECT; it reads only tables that the registry knows, calls only harmless functions, mentions no secret column
 * and binds its rows to the exported realm. It may say `alias.*` in its first select list: the compiler expands that to the
 * columns that may travel.
 */
import { EXIT, RealmliftError } from '../../errors.js';
import { parseSelect } from './parse-select.js';
import { aliasOf, branches, columnName, functionName, qualifierOf, sources, walk, type Node } from './sql-tree.js';
import { unboundSource } from './tenant-predicate.js';

export interface ViewRules {
  /** Real tables that views may read. */
  readonly tables: ReadonlySet<string>;
  /** Selections, all of them bound to the realm. */
  readonly selections: ReadonlySet<string>;
  /** Table -> its secret columns, those that the operator strips among them. */
  readonly secrets: ReadonlyMap<string, ReadonlySet<string>>;
  /** What the operator strips, as `table.column`. */
  readonly stripped: ReadonlySet<string>;
}

/** Functions that views may call: none reads files, sleeps, writes or leaves the database. */
const FUNCTIONS = new Set([
  'unnest', 'any', 'all', 'array', 'bool_or', 'count', 'array_agg', 'array_remove', 'coalesce', 'to_jsonb', 'jsonb_build_array', 'jsonb_build_object', 'left', 'encode', 'sha256',
  'convert_to', 'split_part', 'get_byte', 'string_agg', 'mod', 'exists', 'date_trunc',
]);

/** What view files are made of. Of anything else this gate does not know what it does. */
const KINDS = new Set([
  'select', 'column_ref', 'default', 'double_quote_string', 'single_quote_string', 'number', 'bool', 'null', 'param', 'expr', 'expr_list',
  'binary_expr', 'unary_expr', 'function', 'aggr_func', 'case', 'when', 'else', 'cast', 'array', 'collate',
]);

/** Parts of a SELECT that views use. */
const CLAUSES = new Set(['type', 'columns', 'from', 'where', 'groupby', 'limit', '_next', 'set_op']);

/**
 * @param sql text of one SELECT of a view file
 * @param shared true for a view whose own table's rows belong to no realm
 * @param standIns names in the text that stand for columns whose own names the parser does not read
 * @throws RealmliftError VIEW_REFUSED saying which rule the view breaks; COLUMN_NEEDED when it needs what the operator strips
 */
export function checkView(name: string, sql: string, rules: ViewRules, shared: boolean, standIns: ReadonlyMap<string, string> = new Map()): void {
  const refuse: Refuse = (why) => {
    throw new RealmliftError('VIEW_REFUSED', 'plan', `the view ${name} ${why}`, { table: name, hint: 'see sql/README.md for what a view may do' });
  };
  const statement = onlySelect(name, sql, refuse);
  const starred = starsOfFirstList(statement);
  if (starred.size > 1) refuse('has more than one *');
  const { tables, aliases } = checkSources(statement, refuse);
  for (const table of tables) if (!rules.tables.has(table) && !rules.selections.has(table)) refuse(`reads ${table}, which does not travel`);
  const secrets = new Map([...tables].flatMap((table) => [...(rules.secrets.get(table) ?? [])].map((column) => [column, table] as const)));
  walk(statement, (node) => {
    if (node.type === 'function' || node.type === 'aggr_func') checkFunction(node, refuse);
    if (node.type !== 'column_ref') return;
    const written = columnName(node);
    const column = standIns.get(written) ?? written;
    if (column === '*' && !starred.has(node)) refuse('has a * outside of its first select list, which nothing expands');
    const secret = secrets.has(column) ? `${secrets.get(column) ?? ''}.${column}` : undefined;
    if (secret !== undefined && rules.stripped.has(secret)) throw columnNeeded(secret);
    if (secret !== undefined) refuse(`reads the secret column ${secret}`);
    if (qualifierOf(node) === undefined && aliases.has(column)) refuse(`takes whole rows of ${column}`);
  });
  const unbound = unboundSource(statement, (table) => rules.selections.has(table) || (shared && table === name));
  if (unbound !== undefined) refuse(`has no tenant predicate for ${unbound}`);
  if (!shared && branches(statement).some((branch) => sources(branch).length === 0)) refuse('has no tenant predicate: it reads no table');
}

type Refuse = (why: string) => never;

/** The tree of the one SELECT that the text is. */
function onlySelect(name: string, sql: string, refuse: Refuse): Node {
  let statements: Node[];
  try {
    statements = parseSelect(sql);
  } catch (cause) {
    throw new RealmliftError('VIEW_REFUSED', 'plan', `the view ${name} cannot be parsed`, { table: name, cause });
  }
  const [statement] = statements;
  return statements.length === 1 && statement?.type === 'select' ? statement : refuse('is not one SELECT');
}

/** Refuses what this check does not know, and sources that are no plain tables. @returns the tables that are read, and what they are called */
function checkSources(statement: Node, refuse: Refuse): { readonly tables: ReadonlySet<string>; readonly aliases: ReadonlySet<string> } {
  const tables = new Set<string>();
  const aliases = new Set<string>();
  walk(statement, (node) => {
    if (typeof node.type === 'string' && !KINDS.has(node.type)) refuse(`has a part of the kind ${node.type}, which this check does not know`);
    if (node.type !== 'select') return;
    const unknown = Object.entries(node).find(([clause, value]) => !CLAUSES.has(clause) && !isEmpty(value));
    if (unknown !== undefined) refuse(unknown[0] === 'into' ? 'writes' : `has the clause ${unknown[0]}, which views do not need`);
    for (const source of sources(node)) {
      if (typeof source.db === 'string') refuse(`names the schema ${source.db}`);
      if (!/^\w*$/.test(aliasOf(source))) refuse('renames the columns of a source');
      if (typeof source.table === 'string') tables.add(source.table);
      aliases.add(aliasOf(source));
    }
  });
  return { tables, aliases };
}

function checkFunction(node: Node, refuse: Refuse): void {
  const called = functionName(node);
  if (!FUNCTIONS.has(called)) refuse(`calls ${called}()`);
}

/** What decides which rows travel, or in which order, cannot be left out. */
export function columnNeeded(column: string): RealmliftError {
  return new RealmliftError('COLUMN_NEEDED', 'plan', `--strip ${column}: no export can do without it`, { table: column.split('.')[0], hint: 'strip another column', exit: EXIT.usage });
}

/** `alias.*` of the first SELECT: the only ones that the compiler replaces by the columns that may travel. */
function starsOfFirstList(statement: Node): Set<unknown> {
  const items = (statement.columns ?? []) as Node[];
  return new Set(items.map((item) => item.expr as Node).filter((each) => each.type === 'column_ref' && columnName(each) === '*' && qualifierOf(each) !== undefined));
}

/** The parser gives clauses that are not there as null, or as objects without content. */
function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.entries(value).every(([key, inner]) => key === 'seperator' || isEmpty(inner));
}
