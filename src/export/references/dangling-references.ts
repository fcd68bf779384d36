/**
 * Asks the server which references of the rows that will be exported point outside the export. Which references there are is what
 * verify checks (src/verify/references.ts). Not asked for are messages, reactions and read marks, whose views join what they
 * point to, and attachments, whose rows the files stage follows.
 */
import type pg from 'pg';
import { quote, withSelections, type CompiledRegistry, type CompiledView } from '../../plan/views/compile-view.js';
import { INTEGERS } from '../../plan/views/needed-columns.js';
import { inline, type Parameters } from '../../plan/parameters.js';
import type { Answer } from '../../plan/plan-export.js';
import type { PlannedTable } from '../../plan/plan-tables.js';
import { TENANT } from '../../plan/views/set-form.js';
import type { Source } from '../../plan/source.js';
import { digest } from '../base/run-identity.js';
import { openSeverity, type ExportKind, type HeldTarget } from '../../verify/export-context.js';
import { isListOfIds, OWN_RECIPIENT, TARGET_TABLES, targetOf } from '../../verify/references.js';

/** A column whose values may point outside. */
export interface Reference {
  readonly table: PlannedTable;
  readonly view: CompiledView;
  readonly column: string;
  readonly target: HeldTarget;
  readonly list: boolean;
  /** Type of recipients, where what is asked is whether the row's recipient is its own. */
  readonly own?: number;
}

/** Values of a column that point outside, each with the realm whose row holds it; of recipients that are not the row's own, the ids of the rows. */
export interface Dangling extends Reference {
  readonly realms: readonly number[];
  readonly values: readonly number[];
}

export interface Asked {
  readonly compiled: CompiledRegistry;
  readonly tables: readonly PlannedTable[];
  readonly parameters: Parameters;
}

/** Rows of an answer that is kept for a later run. */
const KEPT = 1000;

/**
 * One query asks for all of them.
 *
 * @param set the plan is of many realms
 * @param known what the server would answer to this very question
 */
export async function danglingReferences(client: pg.Client, { compiled, tables, parameters }: Asked, kind: ExportKind, source: Source, set: boolean, known?: Answer): Promise<{ found: Dangling[]; answer: Answer | undefined }> {
  const references = tables.filter(({ dataClass }) => dataClass !== 'message' && dataClass !== 'file').flatMap((table) => referencesOf(table, compiled, kind, source));
  if (references.length === 0) return { found: [], answer: undefined };
  const text = withSelections(questionOf(references, compiled, set), compiled.selections);
  const question = `SELECT q.reference, q.realm::float8 AS realm, q.value::float8 AS value FROM (${inline(text, parameters)}) AS q ORDER BY q.reference, q.realm, q.value`;
  const query = digest(question);
  const rows = known?.query === query ? known.rows : (await client.query<number[]>({ text: question, rowMode: 'array' })).rows;
  const found = references.flatMap((reference, index) => {
    const own = rows.filter(([at]) => at === index);
    return own.length === 0 ? [] : [{ ...reference, realms: own.map(([, realm = NaN]) => realm), values: own.map(([, , value = NaN]) => value) }];
  });
  return { found, answer: rows.length > KEPT ? undefined : { query, rows } };
}

/** The key under which a table's column is exported. */
export function keyOfColumn({ columns, keys }: PlannedTable, column: string): string {
  return keys[columns.indexOf(column)] as string;
}

function referencesOf(table: PlannedTable, compiled: CompiledRegistry, kind: ExportKind, { catalog }: Source): Reference[] {
  const view = compiled.tables.get(table.name) as CompiledView;
  const joined = joinedColumns(view.sql);
  return table.columns.flatMap((column): Reference[] => {
    const key = keyOfColumn(table, column);
    const target = targetOf(table.name, key);
    if (target === undefined || target === 'message') return [];
    const list = isListOfIds(table.name, key);
    // A key that only looks like one of a group's settings may be anything.
    if (!list && !isWholeNumber(catalog.get(view.view.table)?.columns.get(column)?.type)) return [];
    const reference = { table, view, column, target, list };
    const own = key === 'recipient' ? OWN_RECIPIENT[table.name] : undefined;
    const closed = openSeverity(kind, table.name, key, target)?.severity === 'error' && !joined.has(column) && (target === 'client' || targetViews(target, compiled).length > 0);
    return [...(closed ? [reference] : []), ...(own === undefined || targetViews(target, compiled).length === 0 ? [] : [{ ...reference, own }])];
  });
}

const isWholeNumber = (type: number | undefined): boolean => type !== undefined && INTEGERS.has(type);

/** Columns by which the view itself takes only rows that point to what it joins, or to the realm. */
function joinedColumns(sql: string): Set<string> {
  const joined = new Set([...sql.matchAll(/(?<!LEFT )\bJOIN \w+ (?:AS )?(\w+) ON \1\.id = \w+\.(\w+)/g)].map((match) => match[2] as string));
  return /\bWHERE \w+\.realm_id = (?::realm_id|ANY ?\(:realm_ids\))/.test(sql) ? joined.add('realm_id') : joined;
}

function targetViews(target: HeldTarget, { tables }: CompiledRegistry): CompiledView[] {
  // Before Zulip 9 all groups have names.
  const held = target === 'namedGroup' && !tables.has('zerver_namedusergroup') ? 'group' : target;
  return [...tables.values()].filter(({ name }) => TARGET_TABLES[name]?.includes(held) === true);
}

/** All of them in one SELECT, so that each table and what it may point to is read once. */
function questionOf(references: readonly Reference[], compiled: CompiledRegistry, set: boolean): CompiledView {
  const views = [...new Set(references.map(({ view }) => view))];
  const targets = [...new Set(references.map(({ target }) => target))];
  const realm = set ? TENANT : ':realm_id::bigint';
  const read = new Set(views);
  const parts = [
    ...views.map((view, at) => {
      const columns = [...new Set(['id', ...references.filter((each) => each.view === view).map(({ column }) => column)])].map(quote);
      return `rows_${at} AS MATERIALIZED (SELECT ${realm} AS of_realm, ${columns.join(', ')} FROM (\n${view.sql}\n) AS t)`;
    }),
    // Which clients travel the messages tell later: that they are there is enough.
    ...targets.map((target) => {
      const ids = target === 'client' ? ['SELECT NULL::bigint AS of_realm, c.id FROM zerver_client c'] : targetViews(target, compiled).map((view) => {
        read.add(view);
        return `SELECT ${realm} AS of_realm, t.id${target === 'recipient' ? ', t.type, t.type_id' : ''} FROM (\n${view.sql}\n) AS t`;
      });
      // The system bots can be written to, though their recipients are no rows.
      const bots = target === 'recipient' ? compiled.tables.get('zerver_userprofile_crossrealm') : undefined;
      if (bots !== undefined) {
        read.add(bots);
        ids.push(`SELECT ${realm} AS of_realm, t.recipient_id, 1 AS type, t.id AS type_id FROM (\n${bots.sql}\n) AS t`);
      }
      return `target_${target} AS MATERIALIZED (${ids.join('\nUNION ALL\n')})`;
    }),
  ];
  const rowsOf = ({ view }: Reference): string => `rows_${views.indexOf(view)}`;
  const asked = [
    ...targets.flatMap((target) => pointingOutside(target, references, rowsOf) ?? []),
    ...references.flatMap((reference, index) => reference.own === undefined ? [] : [notTheirOwn(reference, index, rowsOf(reference), reference.own)]),
  ];
  const [{ view }] = references as [Reference];
  return {
    name: 'references', view: view.view, rule: '', columns: ['reference', 'realm', 'value'], leftOut: [], tables: [], reads: [...new Set([...read].flatMap(({ reads }) => reads))],
    sql: `WITH ${parts.join(',\n')}\n${asked.join('\nUNION ALL\n')}`,
  };
}

/**
 * All columns that point to the target, in one join: of a single column PostgreSQL may expect a row where there is one for each of
 * thousands of realms, and loop over the target for each of them.
 */
function pointingOutside(target: HeldTarget, references: readonly Reference[], rowsOf: (reference: Reference) => string): string | undefined {
  const values = references.flatMap((reference, index) => {
    const { column, list, own } = reference;
    if (reference.target !== target || own !== undefined) return [];
    const value = list ? 'v.value' : `r.${quote(column)}`;
    return [`SELECT ${index} AS reference, r.of_realm AS realm, ${value}::bigint AS value FROM ${rowsOf(reference)} r${list ? ` CROSS JOIN LATERAL unnest(r.${quote(column)}) AS v(value)` : ''} WHERE ${value} IS NOT NULL`];
  });
  if (values.length === 0) return undefined;
  const same = target === 'client' ? '' : ' AND i.of_realm = p.realm';
  return `SELECT DISTINCT p.reference, p.realm, p.value FROM (${values.join('\nUNION ALL\n')}) AS p WHERE NOT EXISTS (SELECT FROM target_${target} i WHERE i.id = p.value${same})`;
}

/** Rows whose recipient is in the export and leads to something else. */
function notTheirOwn({ column, target }: Reference, index: number, rows: string, type: number): string {
  return `SELECT DISTINCT ${index} AS reference, r.of_realm AS realm, r.id::bigint AS value FROM ${rows} r`
    + ` JOIN target_${target} i ON i.id = r.${quote(column)} AND i.of_realm = r.of_realm WHERE i.type <> ${type} OR i.type_id <> r.id`;
}
