/**
 * References that would point outside the export, found before a row leaves: to another realm's row, or to a row that is gone
 * where an old database has lost the foreign key. One query asks for all of them. Where the column may be null the
 * reference becomes null, else the row stays; either way the ledger tells which rows. A row that others point to cannot stay: that ends
 * the export by name.
 *
 * Which references there are is what verify checks (src/verify/references.ts). Not asked for are messages, reactions and read marks, whose
 * views join what they point to, and attachments, whose rows the files stage follows.
 */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { quote, withSelections, type CompiledRegistry, type CompiledView } from '../plan/compile-view.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { inline, type Parameters } from '../plan/parameters.js';
import { INTEGERS } from '../plan/needed-columns.js';
import type { PlannedTable } from '../plan/plan-tables.js';
import type { SetPlan } from '../plan/plan-set.js';
import { SYSTEM_REALM } from '../plan/realm.js';
import { TENANT } from '../plan/set-form.js';
import type { Source } from '../plan/source.js';
import type { ViewFile } from '../plan/view-file.js';
import { openSeverity, type ExportKind, type HeldTarget } from '../verify/export-context.js';
import { isListOfIds, REQUIRED, TARGET_TABLES, targetOf } from '../verify/references.js';

/** A column whose values may point outside. */
interface Reference {
  readonly table: PlannedTable;
  readonly view: CompiledView;
  readonly column: string;
  readonly target: HeldTarget;
  readonly list: boolean;
}

/** Values of a column that point outside, each with the realm whose row holds it. */
interface Dangling extends Reference {
  readonly realms: readonly number[];
  readonly values: readonly number[];
}

/** Tables that others point to, by the names of the export. */
const POINTED_TO = new Set(Object.keys(TARGET_TABLES));

/** A plan whose rows point to nothing that is not in the export. @throws RealmliftError REFERENCE_OUTSIDE */
export async function closeReferences(client: pg.Client, plan: ExportPlan, source: Source): Promise<ExportPlan> {
  const { compiled, tables, parameters, request } = plan;
  const kind = kindOf(compiled, request.mode === 'user', request.realm.stringId === SYSTEM_REALM);
  const found = await danglingReferences(client, { compiled, tables, parameters }, kind, source, false);
  const fault = found.map((each) => refusal(each, source)).find((error) => error !== undefined);
  if (fault !== undefined) throw fault;
  return { ...plan, compiled: closed(compiled, found, source, false) };
}

/** The same of many realms at once. @returns those that it would refuse, by their ids */
export async function closeSet(client: pg.Client, plan: SetPlan, source: Source): Promise<{ plan: SetPlan; refused: Map<number, RealmliftError> }> {
  const found = await danglingReferences(client, plan, kindOf(plan.compiled, false, false), source, true);
  const refused = new Map<number, RealmliftError>();
  for (const each of found) {
    const error = refusal(each, source);
    if (error !== undefined) for (const realm of each.realms) refused.set(realm, error);
  }
  return { plan: { ...plan, compiled: closed(plan.compiled, found, source, true) }, refused };
}

/** As verify tells them apart by what the export holds. */
function kindOf({ tables }: CompiledRegistry, oneUser: boolean, systemRealm: boolean): ExportKind {
  return {
    oneUser, systemRealm, ours: true, untilZulip6: !oneUser && !tables.has('zerver_scheduledmessage'),
    untilZulip4: !tables.has(oneUser ? 'zerver_reaction' : 'zerver_realmuserdefault'), keptSecrets: [],
  };
}

interface Asked {
  readonly compiled: CompiledRegistry;
  readonly tables: readonly PlannedTable[];
  readonly parameters: Parameters;
}

async function danglingReferences(client: pg.Client, { compiled, tables, parameters }: Asked, kind: ExportKind, source: Source, set: boolean): Promise<Dangling[]> {
  const references = tables.filter(({ dataClass }) => dataClass !== 'message' && dataClass !== 'file').flatMap((table) => referencesOf(table, compiled, kind, source));
  if (references.length === 0) return [];
  const text = withSelections(question(references, compiled, set), compiled.selections);
  const { rows } = await client.query<{ reference: number; realm: number; value: number }>(
    `SELECT q.reference, q.realm::float8 AS realm, q.value::float8 AS value FROM (${inline(text, parameters)}) AS q ORDER BY q.reference, q.realm, q.value`);
  return references.flatMap((reference, index) => {
    const own = rows.filter((row) => row.reference === index);
    return own.length === 0 ? [] : [{ ...reference, realms: own.map(({ realm }) => realm), values: own.map(({ value }) => value) }];
  });
}

function referencesOf(table: PlannedTable, compiled: CompiledRegistry, kind: ExportKind, { catalog }: Source): Reference[] {
  const view = compiled.tables.get(table.name) as CompiledView;
  return table.columns.flatMap((column, at) => {
    const key = table.keys[at] as string;
    const target = targetOf(table.name, key);
    if (target === undefined || target === 'message' || openSeverity(kind, table.name, key, target)?.severity !== 'error') return [];
    const list = isListOfIds(table.name, key);
    // A key that only looks like one of a group's settings may be anything.
    if (!list && !isWholeNumber(catalog.get(view.view.table)?.columns.get(column)?.type)) return [];
    return joined(view.sql, column) || (target !== 'client' && targetViews(target, compiled).length === 0) ? [] : [{ table, view, column, target, list }];
  });
}

const isWholeNumber = (type: number | undefined): boolean => type !== undefined && INTEGERS.has(type);

/** Does the view itself take only rows whose column points to what it joins, or to the realm? */
function joined(sql: string, column: string): boolean {
  return new RegExp(`(?<!LEFT )\\bJOIN \\w+ (?:AS )?(\\w+) ON \\1\\.id = \\w+\\.${column}\\b`).test(sql)
    || (column === 'realm_id' && /\bWHERE \w+\.realm_id = (?::realm_id|ANY ?\(:realm_ids\))/.test(sql));
}

function targetViews(target: HeldTarget, { tables }: CompiledRegistry): CompiledView[] {
  return [...tables.values()].filter(({ name }) => TARGET_TABLES[name]?.includes(target) === true);
}

/** All of them in one SELECT, so that each table and what it may point to is read once. */
function question(references: readonly Reference[], compiled: CompiledRegistry, set: boolean): CompiledView {
  const views = [...new Set(references.map(({ view }) => view))];
  const targets = [...new Set(references.map(({ target }) => target))];
  const realm = set ? TENANT : ':realm_id::bigint';
  const read = new Set(views);
  const parts = [
    ...views.map((view, at) => {
      const columns = [...new Set(references.filter((each) => each.view === view).map(({ column }) => quote(column)))];
      return `rows_${at} AS MATERIALIZED (SELECT ${realm} AS of_realm, ${columns.join(', ')} FROM (\n${view.sql}\n) AS t)`;
    }),
    // Which clients travel the messages tell later: that they are there is enough.
    ...targets.map((target) => {
      const ids = target === 'client' ? ['SELECT NULL::bigint AS of_realm, c.id FROM zerver_client c'] : targetViews(target, compiled).map((view) => {
        read.add(view);
        return `SELECT ${realm} AS of_realm, t.id FROM (\n${view.sql}\n) AS t`;
      });
      return `target_${target} AS MATERIALIZED (${ids.join('\nUNION ALL\n')})`;
    }),
  ];
  const asked = references.map(({ view, column, target, list }, index) => {
    const value = list ? 'v.value' : `r.${quote(column)}`;
    const same = target === 'client' ? '' : ' AND i.of_realm = r.of_realm';
    return `SELECT DISTINCT ${index} AS reference, r.of_realm AS realm, ${value}::bigint AS value FROM rows_${views.indexOf(view)} r`
      + `${list ? ` CROSS JOIN LATERAL unnest(r.${quote(column)}) AS v(value)` : ''} WHERE ${value} IS NOT NULL AND NOT EXISTS (SELECT FROM target_${target} i WHERE i.id = ${value}${same})`;
  });
  const [{ view }] = references as [Reference];
  return {
    name: 'references', view: view.view, rule: '', columns: ['reference', 'realm', 'value'], leftOut: [], tables: [], reads: [...new Set([...read].flatMap(({ reads }) => reads))],
    sql: `WITH ${parts.join(',\n')}\n${asked.join('\nUNION ALL\n')}`,
  };
}

function mayBeNull({ table, view: { view }, column, list }: Reference, { catalog }: Source): boolean {
  const key = table.keys[table.columns.indexOf(column)] as string;
  return list || (REQUIRED[table.name]?.includes(key) !== true && catalog.get(view.table)?.columns.get(column)?.nullable === true);
}

function refusal(dangling: Dangling, source: Source): RealmliftError | undefined {
  const { table: { name }, column, values } = dangling;
  if (mayBeNull(dangling, source) || !POINTED_TO.has(name)) return undefined;
  return new RealmliftError('REFERENCE_OUTSIDE', 'plan', `${name}.${column} must have a value and points to ${values.slice(0, 5).join(', ')}, which the export does not hold; other rows need these rows`, {
    table: name, hint: `point ${column} to a row of the same realm; nothing was exported`, exit: EXIT.nothingExported,
  });
}

/** The views without what points outside, and ledger views that name the rows concerned. */
function closed(compiled: CompiledRegistry, found: readonly Dangling[], source: Source, set: boolean): CompiledRegistry {
  if (found.length === 0) return compiled;
  const tables = new Map(compiled.tables);
  for (const view of new Set(found.map((each) => each.view))) {
    const own = found.filter((each) => each.view === view);
    const columns = view.columns.map((column) => {
      const dangling = own.find((each) => each.column === column);
      if (dangling === undefined || !mayBeNull(dangling, source)) return `t.${quote(column)}`;
      return dangling.list ? `ARRAY(SELECT v.value FROM unnest(t.${quote(column)}) WITH ORDINALITY AS v(value, place) WHERE NOT ${outside(dangling, set, 'v.value')} ORDER BY v.place) AS ${quote(column)}`
        : `CASE WHEN ${outside(dangling, set)} THEN NULL ELSE t.${quote(column)} END AS ${quote(column)}`;
    });
    const stays = own.filter((each) => !mayBeNull(each, source)).map((each) => `(${outside(each, set)}) IS NOT TRUE`);
    tables.set(view.name, { ...view, closed: `SELECT ${columns.join(', ')} FROM (\n${view.sql}\n) AS t${stays.length === 0 ? '' : ` WHERE ${stays.join(' AND ')}`}` });
  }
  return { ...compiled, tables, ledger: [...compiled.ledger, ...found.map((each) => ledgerView(each, source, set))] };
}

/** Condition under which the column of `t` points outside. */
function outside({ column, realms, values }: Dangling, set: boolean, value = `t.${quote(column)}`): string {
  const array = (ids: readonly number[]): string => `'{${ids.join(',')}}'::bigint[]`;
  return set ? `(t.${TENANT}, ${value}) IN (SELECT o.realm, o.value FROM unnest(${array(realms)}, ${array(values)}) AS o(realm, value))` : `${value} = ANY (${array(values)})`;
}

function ledgerView(dangling: Dangling, source: Source, set: boolean): CompiledView {
  const { table, view, column, list } = dangling;
  const what = list ? `what is not in the export left the list ${column}` : mayBeNull(dangling, source) ? `${column} points to what is not in the export and became null` : `${column} points to what is not in the export and must have a value: the row stays`;
  const file: ViewFile = { ...view.view, name: `outside_${table.name}.${column}`, dataClass: 'ledger', loss: { dataClass: table.dataClass, reason: `${table.name}: ${what}` } };
  const condition = list ? `EXISTS (SELECT FROM unnest(t.${quote(column)}) AS v(value) WHERE ${outside(dangling, set, 'v.value')})` : outside(dangling, set);
  return { ...view, name: file.name, view: file, columns: [...(set ? [TENANT] : []), 'id'], sql: `SELECT ${set ? `t.${TENANT}, ` : ''}t.id FROM (\n${view.sql}\n) AS t WHERE ${condition}` };
}
