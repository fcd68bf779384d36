/**
 * References that would point outside the export, found before a row leaves: to another realm's row, or to a row that is gone
 * where an old database has lost the foreign key. Where the column may be null the reference becomes null; a setting that must
 * name a group becomes the realm's administrators; else the row stays. Either way the ledger tells which rows. A row that
 * others point to cannot stay: that ends the export by name, before it has begun.
 */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../../errors.js';
import { quote, type CompiledRegistry, type CompiledView } from '../../plan/views/compile-view.js';
import type { Answer, ExportPlan } from '../../plan/plan-export.js';
import type { SetPlan } from '../../plan/plan-set.js';
import { SYSTEM_REALM } from '../../plan/realm.js';
import { TENANT } from '../../plan/views/set-form.js';
import type { Source } from '../../plan/source.js';
import type { ViewFile } from '../../plan/views/view-file.js';
import { releaseByTables, type ExportKind } from '../../verify/export-context.js';
import { REQUIRED, TARGET_TABLES } from '../../verify/references.js';
import { administratorsOf } from './administrators.js';
import { withAstrayRows } from './astray-rows.js';
import { danglingReferences, keyOfColumn, type Dangling, type Reference } from './dangling-references.js';
import { withGoneClients } from './gone-clients.js';

/** Tables that others point to, by the names of the export. */
const POINTED_TO = new Set(Object.keys(TARGET_TABLES));

/** What becomes of rows that point outside, with what the rules need to know. */
interface Closing {
  readonly source: Source;
  /** Of many realms. */
  readonly set: boolean;
  /** Realm -> its group of administrators. */
  readonly administrators: ReadonlyMap<number, number>;
}

/** A plan whose rows point to nothing that is not in the export. @param known see danglingReferences @throws RealmliftError REFERENCE_OUTSIDE */
export async function closeReferences(client: pg.Client, plan: ExportPlan, source: Source, known?: Answer): Promise<ExportPlan> {
  const { compiled, tables, parameters, request } = plan;
  const kind = kindOf(compiled, request.mode === 'user', request.realm.stringId === SYSTEM_REALM);
  const { found, answer } = await danglingReferences(client, { compiled, tables, parameters }, kind, source, false, known);
  const closing = await closingOf(client, found, source, false);
  const fault = found.map((each) => refusal(each, closing)[0]).find((each) => each !== undefined);
  if (fault !== undefined) throw fault[1];
  const whole = withGoneClients(closed(compiled, found, closing), false);
  return { ...plan, outside: answer, compiled: request.mode === 'full' ? withAstrayRows(whole, tables, source, false) : whole };
}

/** The same of many realms at once. @returns those that it would refuse, by their ids */
export async function closeSet(client: pg.Client, plan: SetPlan, source: Source): Promise<{ plan: SetPlan; refused: Map<number, RealmliftError> }> {
  const { found } = await danglingReferences(client, plan, kindOf(plan.compiled), source, true);
  const closing = await closingOf(client, found, source, true);
  const refused = new Map(found.flatMap((each) => refusal(each, closing)));
  const whole = withGoneClients(closed(plan.compiled, found, closing), true);
  return { plan: { ...plan, compiled: withAstrayRows(whole, plan.tables, source, true) }, refused };
}

/** As verify tells them apart by what the export holds. */
export function kindOf({ tables }: CompiledRegistry, oneUser = false, systemRealm = false): ExportKind {
  return { oneUser, systemRealm, ours: true, ...releaseByTables(tables, oneUser), keptSecrets: [] };
}

async function closingOf(client: pg.Client, found: readonly Dangling[], source: Source, set: boolean): Promise<Closing> {
  const realms = found.filter((each) => fateOf(each, source) === 'replaced').flatMap((each) => each.realms);
  return { source, set, administrators: realms.length === 0 ? new Map<number, number>() : await administratorsOf(client, source.catalog, realms) };
}

/** What becomes of a reference that points outside, or of its row. */
function fateOf({ table, view: { view }, column, target, list }: Reference, { catalog }: Source): 'null' | 'replaced' | 'stays' {
  const required = REQUIRED[table.name]?.includes(keyOfColumn(table, column)) === true;
  if (list || (!required && catalog.get(view.table)?.columns.get(column)?.nullable === true)) return 'null';
  return target === 'group' && POINTED_TO.has(table.name) ? 'replaced' : 'stays';
}

/** The realms that cannot be exported for it, each with why. */
function refusal(dangling: Dangling, { source, administrators }: Closing): [realm: number, error: RealmliftError][] {
  const { table: { name }, column, values, realms } = dangling;
  const fate = fateOf(dangling, source);
  if (fate === 'null' || !POINTED_TO.has(name)) return [];
  return [...new Set(fate === 'replaced' ? realms.filter((realm) => !administrators.has(realm)) : realms)].map((realm) => [realm, new RealmliftError(
    'REFERENCE_OUTSIDE', 'plan', `${name}.${column} must have a value and points to ${values.slice(0, 5).join(', ')}, which the export does not hold; other rows need these rows`,
    { table: name, hint: `point ${column} to a row of the same realm; nothing was exported`, exit: EXIT.nothingExported },
  )]);
}

/** The views without what points outside, and ledger views that name the rows concerned. */
function closed(compiled: CompiledRegistry, found: readonly Dangling[], closing: Closing): CompiledRegistry {
  if (found.length === 0) return compiled;
  const tables = new Map(compiled.tables);
  for (const view of new Set(found.map((each) => each.view))) {
    const own = found.filter((each) => each.view === view);
    const columns = view.columns.map((column) => closedColumn(column, own.filter((each) => each.column === column && fateOf(each, closing.source) !== 'stays'), closing));
    const stays = own.filter((each) => fateOf(each, closing.source) === 'stays').map((each) => `(${outside(each, closing.set)}) IS NOT TRUE`);
    tables.set(view.name, { ...view, closed: `SELECT ${columns.join(', ')} FROM (\n${view.sql}\n) AS t${stays.length === 0 ? '' : ` WHERE ${stays.join(' AND ')}`}` });
  }
  return { ...compiled, tables, ledger: [...compiled.ledger, ...found.map((each) => ledgerView(each, closing))] };
}

function closedColumn(column: string, dangling: readonly Dangling[], { source, set, administrators }: Closing): string {
  const name = quote(column);
  const [first] = dangling;
  if (first === undefined) return `t.${name}`;
  if (first.list) return `ARRAY(SELECT v.value FROM unnest(t.${name}) WITH ORDINALITY AS v(value, place) WHERE NOT ${outside(first, set, 'v.value')} ORDER BY v.place) AS ${name}`;
  // Realms without such a group are refused, and their rows not asked for.
  const instead = fateOf(first, source) === 'null' || administrators.size === 0 ? 'NULL'
    : set ? `CASE t.${TENANT} ${[...administrators].map(([realm, group]) => `WHEN ${realm} THEN ${group}`).join(' ')} END` : String([...administrators.values()][0]);
  return `CASE WHEN ${dangling.map((each) => outside(each, set)).join(' OR ')} THEN ${instead} ELSE t.${name} END AS ${name}`;
}

/** Condition under which the column of `t` points outside. */
function outside({ column, realms, values, own }: Dangling, set: boolean, value = own === undefined ? `t.${quote(column)}` : 't.id'): string {
  const array = (ids: readonly number[]): string => `'{${ids.join(',')}}'::bigint[]`;
  return set ? `(t.${TENANT}, ${value}) IN (SELECT o.realm, o.value FROM unnest(${array(realms)}, ${array(values)}) AS o(realm, value))` : `${value} = ANY (${array(values)})`;
}

function ledgerView(dangling: Dangling, { source, set }: Closing): CompiledView {
  const { table, view, column, list, own } = dangling;
  const points = own === undefined ? `${column} points to what is not in the export` : `${column} points to what is another's`;
  const what = list ? `what is not in the export left the list ${column}` : {
    null: `${points} and became null`, replaced: `${points} and became the group of the administrators`, stays: `${points} and must have a value: the row stays`,
  }[fateOf(dangling, source)];
  const name = `${own === undefined ? 'outside' : 'others'}_${table.name}.${column}`;
  const file: ViewFile = { ...view.view, name, dataClass: 'ledger', loss: { dataClass: table.dataClass, reason: `${table.name}: ${what}` } };
  const condition = list ? `EXISTS (SELECT FROM unnest(t.${quote(column)}) AS v(value) WHERE ${outside(dangling, set, 'v.value')})` : outside(dangling, set);
  return { ...view, name, view: file, columns: [...(set ? [TENANT] : []), 'id'], sql: `SELECT ${set ? `t.${TENANT}, ` : ''}t.id FROM (\n${view.sql}\n) AS t WHERE ${condition}` };
}
