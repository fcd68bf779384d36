/**
 * From a view of one realm to the same view of a set of realms: what every row of the view would be for each realm of
 * `:realm_ids` alone, with that realm in front, in the column `tenant`. View files are written for one realm; this rewrites the tree
 * that node-sql-parser makes of them, so that the text that comes out is read by the same gate as every other.
 *
 * In each SELECT one expression says whose row it is. `t.realm_id = :realm_id` makes it t.realm_id, and binds it to the set; else it is the
 * tenant of the first selection that is read; else rows belong to every realm (system bots, clients) and the selection `tenant` is
 * joined. The clients that the run gives (`:message_client_ids`) go with their realms; of its messages (`:message_ids`) it knows these itself. All other selections must be of the same tenant, and wherever else `:realm_id` stands, the expression takes its place.
 */
import { createRequire } from 'node:module';
import type * as sqlParser from 'node-sql-parser/build/postgresql.js';
import { parseSelect } from './parse-select.js';
import { aliasOf, branches, columnName, conjuncts, functionName, qualifierOf, sources, subselect, walk, type Node } from './sql-tree.js';

/** Column of the set form's rows: the id of the realm that the row belongs to; and the selection of these realms. */
export const TENANT = 'tenant';

type Tree = Record<string, unknown>;

/** @param selections names of the selections, whose rows have a tenant in their set form */
export function setForm(sql: string, selections: ReadonlySet<string>): string {
  const [statement] = structuredClone(parseSelect(sql)) as Tree[];
  new SetForm(selections).rows(statement as Tree);
  const { Parser } = createRequire(import.meta.url)('node-sql-parser/build/postgresql.js') as typeof sqlParser;
  const text = new Parser().sqlify(statement as unknown as sqlParser.AST, { database: 'Postgresql' });
  // Names in view files need no quotes, which the compiler does not expect; nor does the gate the order that is the default.
  return text.replace(/'[^']*'|"(\w+)"| ASC\b/g, (whole: string, name: string | undefined) => name ?? (whole === ' ASC' ? '' : whole));
}

class SetForm {
  readonly #selections: ReadonlySet<string>;

  constructor(selections: ReadonlySet<string>) {
    // It is the realms themselves.
    this.#selections = new Set([...selections].filter((name) => name !== TENANT));
  }

  /** A SELECT whose rows come for every tenant. */
  rows(select: Tree): void {
    for (const branch of branches(select) as Tree[]) {
      const tenant = this.#tenantOf(branch) ?? joinTenant(branch);
      this.#bind(branch, tenant);
      branch.columns = [{ type: 'expr', expr: tenant, as: TENANT }, ...(branch.columns as Tree[])];
      const grouped = (branch.groupby as Tree | null | undefined)?.columns as Tree[] | null | undefined;
      if (grouped !== null && grouped !== undefined && grouped.length > 0) grouped.unshift(tenant);
    }
  }

  /** The expression that says whose row it is; its condition is bound to the set. */
  #tenantOf(branch: Tree): Tree | undefined {
    const inner = (sources(branch) as Tree[]).filter(({ join }) => join === undefined || join === null || join === 'INNER JOIN' || join === 'CROSS JOIN');
    const conditions = [...conjuncts(branch.where), ...inner.flatMap((source) => conjuncts(source.on))] as Tree[];
    for (const condition of conditions) {
      const { operator, left, right } = condition as { operator?: string; left?: Node; right?: Node };
      if (operator !== '=' || right?.type !== 'param' || right.value !== 'realm_id' || left?.type !== 'column_ref') continue;
      if (!inner.some((source) => aliasOf(source) === qualifierOf(left))) continue;
      condition.right = call('ANY', { type: 'param', value: 'realm_ids' });
      return left;
    }
    const selection = inner.find((source) => this.#hasTenant(source));
    return selection === undefined ? undefined : column(aliasOf(selection), TENANT);
  }

  /** Everything in the SELECT is to be of this tenant. */
  #bind(branch: Tree, tenant: Tree): void {
    for (const source of sources(branch) as Tree[]) {
      const inner = subselect(source);
      if (inner !== undefined) this.rows(inner);
      if (!this.#hasTenant(source) || (tenant.table === aliasOf(source) && columnName(tenant) === TENANT)) continue;
      const same = equal(column(aliasOf(source), TENANT), tenant);
      const holder = source.on === undefined || source.on === null ? branch : source;
      const key = holder === branch ? 'where' : 'on';
      holder[key] = holder[key] === undefined || holder[key] === null ? same : and(holder[key] as Tree, same);
    }
    for (const [key, value] of Object.entries(branch)) {
      if (key === '_next') continue;
      // Of the sources, what is in parentheses has been seen to.
      if (key === 'from') for (const source of (value ?? []) as Tree[]) this.#inside(source.on, tenant, source, 'on');
      else this.#inside(value, tenant, branch, key);
    }
  }

  #inside(node: unknown, tenant: Tree, holder: Tree | unknown[], key: string | number): void {
    if (Array.isArray(node)) {
      node.forEach((each, index) => this.#inside(each, tenant, node, index));
      return;
    }
    if (node === null || typeof node !== 'object') return;
    const tree = node as Tree;
    if (tree.type === 'param' && tree.value === 'realm_id') (holder as Tree)[key] = tenant;
    else if (tree.type === 'select') for (const branch of branches(tree) as Tree[]) this.#bind(branch, tenant);
    else if (tree.type === 'binary_expr' && (tree.operator === 'IN' || tree.operator === 'NOT IN') && this.#listOf(tree) !== undefined) {
      this.#inside(tree.left, tenant, tree, 'left');
      tree.left = { type: 'expr_list', value: [tenant, tree.left], parentheses: true };
      this.rows(this.#listOf(tree) as Tree);
    } else if (isClientList(tree)) {
      const list = { type: 'select', columns: ['message_client_realm_ids', 'message_client_ids'].map((value) => ({ type: 'expr', expr: call('unnest', { type: 'param', value }) })) };
      Object.assign(tree, { operator: 'IN', left: { type: 'expr_list', value: [tenant, tree.left], parentheses: true }, right: { type: 'expr_list', value: [{ ast: list }] } });
    } else for (const [inner, value] of Object.entries(tree)) this.#inside(value, tenant, tree, inner);
  }

  /** The SELECT behind an IN whose rows differ from realm to realm. */
  #listOf({ right }: Tree): Node | undefined {
    const [item, ...more] = ((right as Tree).value ?? []) as Node[];
    const list = item === undefined || more.length > 0 ? undefined : subselect(item) ?? subselect({ expr: item });
    let differs = false;
    if (list !== undefined) {
      walk(list, (node) => {
        differs ||= (node.type === 'param' && node.value === 'realm_id') || (typeof node.table === 'string' && this.#selections.has(node.table) && node.type !== 'column_ref');
      });
    }
    return differs ? list : undefined;
  }

  #hasTenant(source: Node): boolean {
    return (typeof source.table === 'string' && this.#selections.has(source.table)) || subselect(source) !== undefined;
  }
}

/** Rows that belong to every realm. */
function joinTenant(branch: Tree): Tree {
  (branch.from as Tree[]).push({ db: null, table: TENANT, as: TENANT, join: 'CROSS JOIN' });
  return column(TENANT, 'id');
}

/** `c.id = ANY (:message_client_ids)`: the clients of the messages of one realm, which go with that realm. */
function isClientList({ type, operator, right }: Tree): boolean {
  const list = right as Node | undefined;
  const [argument] = ((list?.args as Node | undefined)?.value ?? []) as Node[];
  return type === 'binary_expr' && operator === '=' && list?.type === 'function' && functionName(list) === 'any' && argument?.type === 'param' && argument.value === 'message_client_ids';
}

function column(alias: string, name: string): Tree {
  return { type: 'column_ref', table: alias, column: { expr: { type: 'default', value: name } } };
}

function call(name: string, argument: Tree): Tree {
  return { type: 'function', name: { name: [{ type: 'default', value: name }] }, args: { type: 'expr_list', value: [argument] } };
}

function equal(left: Tree, right: Tree): Tree {
  return { type: 'binary_expr', operator: '=', left, right };
}

function and(left: Tree, right: Tree): Tree {
  return { type: 'binary_expr', operator: 'AND', left: left.operator === 'OR' ? { ...left, parentheses: true } : left, right };
}
