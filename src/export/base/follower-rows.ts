/**
 * Tables whose rows follow messages and people, as reactions do: which of them an export holds is decided by whom they are of, and by
 * which messages travel. With the same people and the same messages as then, and as many rows of these people that are not new, these are
 * the rows that the base has: a row that is not new was there, and none is gone. So they are where messages were only added behind the
 * base's, unless an old row follows one of those; the new rows come behind them.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { quote, withSelections, type CompiledView } from '../../plan/views/compile-view.js';
import { inline } from '../../plan/parameters.js';
import type { ExportPlan } from '../../plan/plan-export.js';
import type { Source } from '../../plan/source.js';
import { difference, factsWithChildren, tablesNamed, type TableFact } from '../../snapshot/table-facts.js';
import { isNew } from './new-versions.js';

/** Of a snapshot. */
export interface Followers {
  /** Digest of the ids of those who may have sent what travels. */
  readonly people: string;
  /** With their partitions. */
  readonly tables: readonly TableFact[];
  /** Rows of these people by table, whatever messages they follow. */
  readonly rows: Readonly<Record<string, number>>;
}

const PEOPLE = 'possible_sender';
const MESSAGES = 'exported_message_id';

/** Rows of a table that are newer than a base. */
export interface NewFollowers {
  readonly ids: readonly number[];
  /** All ids of the others are lower, and none of the others follows a message that is younger than all of the base. */
  readonly behind: boolean;
}

/** Those of now, and what of them is newer than a base, by the tables of which that is known. */
export interface FoundFollowers {
  readonly now: Followers;
  readonly fresh: ReadonlyMap<string, NewFollowers>;
}

/** By what a base is told from now. */
export interface BaseFollowers {
  /** The oldest transaction whose rows may be new, see firstNew. */
  readonly since: string;
  /** The last message of the base. */
  readonly until: number;
}

/** @param client a session in the snapshot */
export async function readFollowers(client: pg.Client, { compiled, parameters }: ExportPlan, { catalog, schema }: Source, base: BaseFollowers | undefined): Promise<FoundFollowers> {
  const columns = new Map([...compiled.tables].flatMap(([name, view]) => {
    const column = columnOfPeople(view);
    return column === undefined || !catalog.has(name) ? [] : [[name, column] as const];
  }));
  const people = compiled.selections.get(PEOPLE);
  if (columns.size === 0 || people === undefined) return { now: { people: '', tables: [], rows: {} }, fresh: new Map() };
  const { rows: ids } = await client.query<{ id: string }>(`SELECT q.id::text AS id FROM (${inline(withSelections(people, compiled.selections), parameters)}) AS q ORDER BY q.id`);
  const list = ids.map(({ id }) => id).join(',');
  const names = [...columns.keys()];
  const roots = await tablesNamed(client, schema, names);
  const tables = await factsWithChildren(client, roots.map(({ oid }) => oid));
  const counted: Record<string, number> = {};
  const fresh = new Map<string, NewFollowers>();
  for (const { name, versions } of roots) {
    const ofThem = `${quote(name)} t WHERE t.${quote(columns.get(name) as string)} = ANY ('{${list}}')`;
    const known = versions && base !== undefined;
    const { rows: [row] } = await client.query<Counted>(`SELECT count(*)::float8 AS rows ${known ? newOf(base) : ''} FROM ${ofThem}`);
    if (row === undefined) continue;
    counted[name] = row.rows;
    if (known) fresh.set(name, newFollowers(row));
  }
  return { now: { people: createHash('sha256').update(list).digest('hex'), tables, rows: counted }, fresh };
}

interface Counted {
  readonly rows: number;
  readonly fresh?: string | null;
  /** Highest id of the others. */
  readonly last?: number | null;
  /** Whether one of the others follows a message that is younger than all of the base. */
  readonly follows?: boolean | null;
}

function newOf({ since, until }: BaseFollowers): string {
  const fresh = isNew('t.xmin', since);
  return `, string_agg(t.id::text, ',') FILTER (WHERE ${fresh}) AS fresh,
          max(t.id) FILTER (WHERE NOT ${fresh})::float8 AS last, bool_or(t.message_id > ${until}) FILTER (WHERE NOT ${fresh}) AS follows`;
}

function newFollowers({ fresh, last, follows }: Counted): NewFollowers {
  const ids = fresh?.split(',').map(Number) ?? [];
  const lowest = ids.reduce((least, id) => Math.min(least, id), Infinity);
  return { ids, behind: follows !== true && (last ?? -Infinity) < lowest };
}

/** Tables of which the base has all rows of now but for the new ones, if it has their messages. */
export function keptFollowers(then: Followers | undefined, found: FoundFollowers | undefined): ReadonlyMap<string, NewFollowers> {
  if (then === undefined || found === undefined) return new Map();
  const { now, fresh } = found;
  const known = new Map(then.tables.map((fact) => [fact.oid, fact]));
  if (then.people !== now.people || known.size !== now.tables.length) return new Map();
  for (const fact of now.tables) {
    const before = known.get(fact.oid);
    if (before === undefined || difference(before, fact) !== undefined) return new Map();
  }
  // What is not new was there: as many are all of then.
  return new Map([...fresh].filter(([name, { ids }]) => then.rows[name] === (now.rows[name] ?? NaN) - ids.length));
}

const FOLLOWING = new RegExp(`^SELECT (.*)\\nFROM ${PEOPLE} (\\w+)\\nJOIN (\\w+) (\\w+) ON \\4\\.(\\w+) = \\2\\.id\\nLEFT JOIN ${MESSAGES} (\\w+) ON \\6\\.id = \\4\\.message_id\\nWHERE COALESCE\\(\\6\\.id, 0\\) <> 0$`);

/** The column that says whose a row is, where people and messages alone decide; undefined of every other view. */
function columnOfPeople({ sql, view, closed }: CompiledView): string | undefined {
  const [, list = '', , table, alias, column] = closed === undefined ? FOLLOWING.exec(sql.trim()) ?? [] : [];
  return table === view.table && list.split(', ').every((item) => item.startsWith(`${alias}."`) && /^\w+\."[^"]+"$/.test(item)) ? column : undefined;
}
