/**
 * Small tables of the server, counted whole, whosever their rows are: settings, channels, groups and the like, which seldom change. Where a table
 * has no row that is newer than a base, and as many as then, it has the rows of then: none is gone. A query of such tables alone yields
 * what the base has by the same query, and need not be asked.
 */
import type pg from 'pg';
import type { ExportPlan } from '../../plan/plan-export.js';
import type { Catalog } from '../../plan/views/catalog.js';
import { quote } from '../../plan/views/compile-view.js';
import type { Source } from '../../plan/source.js';
import { factsWithChildren, tablesNamed, type TableFact } from '../../snapshot/table-facts.js';
import { MESSAGE_TABLES, type CountedTable, type CountedTables } from './origin.js';
import { isNew } from './new-versions.js';
import { digest } from './run-identity.js';

/** Those of a snapshot, and which of them have the rows that a base saw. */
export interface TablesNow {
  readonly counted: CountedTables;
  readonly untouched: ReadonlySet<string>;
}

/** Bytes of all that are counted for each message that travels, and at least. Each costs a look at all of its rows. */
const BYTES_PER_MESSAGE = 100;
const LEAST = 2 << 20;

/** The tables of a plan that are worth counting. @param messages that travel */
export function tablesToCount({ compiled: { tables, selections, ledger } }: ExportPlan, catalog: Catalog, messages: number): string[] {
  let left = Math.max(LEAST, messages * BYTES_PER_MESSAGE);
  const read = new Set([...tables.values(), ...selections.values(), ...ledger].flatMap((view) => view.tables));
  for (const name of MESSAGE_TABLES) read.delete(name);
  const small = [...read].flatMap((name) => catalog.get(name) ?? []).sort((a, b) => a.bytes - b.bytes);
  return small.filter(({ bytes }) => (left -= bytes) >= 0).map(({ name }) => name);
}

/** @param client a session in the snapshot @param names of tables @param base what it counted, and since when rows are new, see firstNew */
export async function countTables(client: pg.Client, { schema }: Pick<Source, 'schema'>, names: readonly string[], base?: { readonly counted: CountedTables; readonly since: string }): Promise<TablesNow> {
  const roots = (await tablesNamed(client, schema, names)).filter(({ relkind, versions }) => relkind === 'r' && versions);
  const facts = new Map((await factsWithChildren(client, roots.map(({ oid }) => oid))).map((fact) => [fact.oid, fact]));
  // The rows of a table that others inherit from are in these too.
  const alone = roots.flatMap(({ oid, name }): [string, TableFact][] => (facts.get(oid)?.children.length === 0 ? [[name, facts.get(oid) as TableFact]] : []));
  if (alone.length === 0) return { counted: {}, untouched: new Set() };
  const fresh = base === undefined ? '0::float8' : `(count(*) FILTER (WHERE ${isNew('t.xmin', base.since)}))::float8`;
  const { rows } = await client.query<{ at: number; rows: number; fresh: number }>(alone.map(([name], at) => `SELECT ${at} AS at, count(*)::float8 AS rows, ${fresh} AS fresh FROM ${quote(name)} t`).join(' UNION ALL '));
  const counted: Record<string, CountedTable> = {};
  const untouched = new Set<string>();
  for (const { at, rows: count, fresh: newer } of rows) {
    const [name, fact] = alone[at] as [string, TableFact];
    const now = counted[name] = { facts: digest(fact), rows: count };
    const then = base?.counted[name];
    if (then !== undefined && newer === 0 && then.rows === now.rows && then.facts === now.facts) untouched.add(name);
  }
  return { counted, untouched };
}

/** Are these all the tables that a query can read? It names each that it reads, and perhaps more. @param select text of the query */
export function readsAlone(select: string, catalog: Catalog, untouched: ReadonlySet<string>): boolean {
  const named = [...new Set(select.match(/\w+/g))].filter((word) => catalog.has(word));
  return named.length > 0 && named.every((name) => untouched.has(name));
}
