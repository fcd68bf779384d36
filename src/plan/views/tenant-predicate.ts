/**
 * Does every row that a SELECT reads belong to the exported realm? Each source of its FROM clause must be bound: by a condition
 * on a parameter, by being a selection or a bound subquery, or by an equality of ids with a source that is bound already.
 * The same holds for every SELECT inside, which may also lean on the sources around it.
 *
 * It is a gate against mistakes in view files, not a proof: an id may be equal for the wrong reason.
 */
import { aliasOf, branches, columnName, conjuncts, functionName, qualifierOf, sources, subselect, type Node } from './sql-tree.js';

/** Parameters that bind rows to the realm, its user, its bots, or to ids that the run has already selected. */
const TENANT_PARAMETERS = new Set(['realm_id', 'realm_ids', 'user_id', 'cross_realm_bot_ids', 'bot_group_ids', 'message_ids', 'consenting_user_ids']);

/** A source that is always bound: a selection, or the table of a view that is shared by all realms. */
export type AlwaysBound = (table: string) => boolean;

/** Alias or table of a source that nothing binds to the realm; undefined when all are bound. */
export function unboundSource(select: Node, always: AlwaysBound, around: ReadonlySet<string> = new Set()): string | undefined {
  for (const branch of branches(select)) {
    const bound = boundAliases(branch, always, around);
    for (const source of sources(branch)) if (!bound.has(aliasOf(source))) return typeof source.table === 'string' ? source.table : aliasOf(source);
    const inside = new Set([...around, ...bound]);
    for (const inner of selectsBelow(branch)) {
      const unbound = unboundSource(inner, always, inside);
      if (unbound !== undefined) return unbound;
    }
  }
  return undefined;
}

function boundAliases(select: Node, always: AlwaysBound, around: ReadonlySet<string>): Set<string> {
  const all = sources(select);
  const inner = all.filter(({ join }) => join === undefined || join === null || join === 'INNER JOIN' || join === 'CROSS JOIN');
  const everywhere = [...conjuncts(select.where), ...inner.flatMap((source) => conjuncts(source.on))];
  const bound = new Set<string>();
  for (let before = -1; bound.size > before;) {
    before = bound.size;
    for (const source of all) {
      // An outer join's condition says nothing of the other sources, and WHERE may not speak of this one.
      const conditions = inner.includes(source) ? everywhere : source.join === 'LEFT JOIN' ? conjuncts(source.on) : [];
      if (isBound(source, conditions, new Set([...around, ...bound]), always)) bound.add(aliasOf(source));
    }
  }
  return bound;
}

function isBound(source: Node, conditions: readonly Node[], known: ReadonlySet<string>, always: AlwaysBound): boolean {
  const inner = subselect(source);
  if (inner !== undefined) return unboundSource(inner, always) === undefined;
  // unnest(:ids) AS x
  if (typeof source.table !== 'string') return (source.expr as Node | undefined)?.type === 'function';
  return always(source.table) || conditions.some((each) => binds(each, source, known, always));
}

/** A condition that holds only for rows of the realm, or an OR of such. */
function binds(condition: Node, source: Node, known: ReadonlySet<string>, always: AlwaysBound): boolean {
  if (condition.type !== 'binary_expr') return false;
  const [left, right] = [condition.left as Node, condition.right as Node];
  switch (condition.operator) {
    case 'OR': return binds(left, source, known, always) && binds(right, source, known, always);
    case '=': return fits(left, right, source) || links(left, right, source, known) || links(right, left, source, known);
    case 'IN': return namesIdOf(left, source) && isBoundList(right, known, always);
    default: return false;
  }
}

/** `alias.realm_id = :realm_id`, `alias.id = ANY (:ids)` */
function fits(left: Node, right: Node, source: Node): boolean {
  if (!isIdOf(left, source)) return false;
  const parameter = right.type === 'function' && functionName(right) === 'any' ? soleArgument(right) : right;
  if (parameter?.type !== 'param' || !TENANT_PARAMETERS.has(String(parameter.value))) return false;
  // Another table's id that happens to equal the realm's is no row of the realm.
  return (parameter.value !== 'realm_id' && parameter.value !== 'realm_ids') || columnName(left) === 'realm_id' || (columnName(left) === 'id' && source.table === 'zerver_realm');
}

/** `alias.id = other.alias_id` with a bound other: one side is a key, or both are the same reference. */
function links(own: Node, other: Node, source: Node, known: ReadonlySet<string>): boolean {
  if (!isIdOf(own, source) || other.type !== 'column_ref' || !isId(columnName(other)) || !known.has(qualifierOf(other) ?? '')) return false;
  const names = [columnName(own), columnName(other)];
  return names.includes('id') || (names[0] === names[1] && !names.some((name) => name.endsWith('client_id')));
}

function isIdOf(node: Node, source: Node): boolean {
  return node.type === 'column_ref' && qualifierOf(node) === aliasOf(source) && isId(columnName(node));
}

/** An id, or `(tenant, id)` in the set form of a view. */
function namesIdOf(node: Node, source: Node): boolean {
  return isIdOf(node, source) || (node.type === 'expr_list' && (node.value as Node[]).some((each) => isIdOf(each, source)));
}

function isId(name: string): boolean {
  return name === 'id' || name.endsWith('_id');
}

/** `(SELECT … )` with bound rows as the list's only item; without a FROM clause its ids are those of a parameter. */
function isBoundList(list: Node, known: ReadonlySet<string>, always: AlwaysBound): boolean {
  const [item, ...more] = (list.value ?? []) as Node[];
  const inner = item === undefined || more.length > 0 ? undefined : subselect(item) ?? subselect({ expr: item });
  if (inner === undefined || unboundSource(inner, always, known) !== undefined) return false;
  return branches(inner).every((branch) => sources(branch).length > 0 || isTenantList(branch));
}

/** `SELECT unnest(:ids)` */
function isTenantList(select: Node): boolean {
  const [column, ...more] = (select.columns ?? []) as Node[];
  const called = column?.expr as Node | undefined;
  const parameter = more.length === 0 && called?.type === 'function' && functionName(called) === 'unnest' ? soleArgument(called) : undefined;
  return parameter?.type === 'param' && TENANT_PARAMETERS.has(String(parameter.value));
}

function soleArgument(call: Node): Node | undefined {
  const values = ((call.args as Node | undefined)?.value ?? []) as Node[];
  return values.length === 1 ? values[0] : undefined;
}

/** The SELECTs inside this one, but not those inside them, nor the other branches of its UNION. */
function selectsBelow(select: Node): Node[] {
  const found: Node[] = [];
  const search = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(search);
    else if (node !== null && typeof node === 'object') {
      if ((node as Node).type === 'select') found.push(node as Node);
      else Object.values(node).forEach(search);
    }
  };
  for (const [key, value] of Object.entries(select)) if (key !== '_next') search(value);
  return found;
}
