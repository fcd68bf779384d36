/**
 * Tables whose rows follow messages and people, as reactions do: which of them an export holds is decided by whom they are of, and by
 * which messages travel. With the same people and the same messages as then, and as many rows of these people, none of them new, they are
 * the rows that the base has: a row that is not new was there, and none is gone.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { quote, withSelections, type CompiledView } from '../../plan/views/compile-view.js';
import { inline } from '../../plan/parameters.js';
import type { ExportPlan } from '../../plan/plan-export.js';
import type { Source } from '../../plan/source.js';
import { difference, factsWithChildren, type TableFact } from '../../snapshot/table-facts.js';
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

/** Those of now, and the tables of which some rows are newer than a base, or may be. */
export interface FoundFollowers {
  readonly now: Followers;
  readonly changed: ReadonlySet<string>;
}

/** @param client a session in the snapshot @param since the oldest transaction whose rows may be new, see firstNew; undefined without a base */
export async function readFollowers(client: pg.Client, { compiled, parameters }: ExportPlan, { catalog, schema }: Source, since: string | undefined): Promise<FoundFollowers> {
  const columns = new Map([...compiled.tables].flatMap(([name, view]) => {
    const column = columnOfPeople(view);
    return column === undefined || !catalog.has(name) ? [] : [[name, column] as const];
  }));
  const people = compiled.selections.get(PEOPLE);
  if (columns.size === 0 || people === undefined) return { now: { people: '', tables: [], rows: {} }, changed: new Set() };
  const { rows: ids } = await client.query<{ id: string }>(`SELECT q.id::text AS id FROM (${inline(withSelections(people, compiled.selections), parameters)}) AS q ORDER BY q.id`);
  const list = ids.map(({ id }) => id).join(',');
  const names = [...columns.keys()];
  const { rows: roots } = await client.query<{ oid: number; name: string; may: boolean }>(`
    SELECT c.oid::int8::float8 AS oid, c.relname AS name, CASE WHEN c.relkind IN ('r', 'p') THEN has_column_privilege(c.oid, 'xmin', 'SELECT') ELSE false END AS may
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = ANY ($2)`, [schema, names]);
  const tables = await factsWithChildren(client, roots.map(({ oid }) => oid));
  const counted: Record<string, number> = {};
  const changed = new Set<string>();
  for (const { name, may } of roots) {
    const fresh = since === undefined || !may ? '0' : `count(*) FILTER (WHERE ${isNew('t.xmin', since)})`;
    const { rows: [row] } = await client.query<{ rows: number; fresh: number }>(`
      SELECT count(*)::float8 AS rows, (${fresh})::float8 AS fresh FROM ${quote(name)} t WHERE t.${quote(columns.get(name) as string)} = ANY ('{${list}}')`);
    counted[name] = row?.rows ?? NaN;
    if (!may || row?.fresh !== 0) changed.add(name);
  }
  return { now: { people: createHash('sha256').update(list).digest('hex'), tables, rows: counted }, changed };
}

/** Tables of which the base has the rows of now, if the messages are the same. */
export function sameFollowers(then: Followers | undefined, found: FoundFollowers | undefined): ReadonlySet<string> {
  if (then === undefined || found === undefined) return new Set();
  const { now, changed } = found;
  const known = new Map(then.tables.map((fact) => [fact.oid, fact]));
  if (then.people !== now.people || known.size !== now.tables.length) return new Set();
  for (const fact of now.tables) {
    const before = known.get(fact.oid);
    if (before === undefined || difference(before, fact) !== undefined) return new Set();
  }
  return new Set(Object.keys(now.rows).filter((name) => then.rows[name] === now.rows[name] && !changed.has(name)));
}

const FOLLOWING = new RegExp(`^SELECT (.*)\\nFROM ${PEOPLE} (\\w+)\\nJOIN (\\w+) (\\w+) ON \\4\\.(\\w+) = \\2\\.id\\nLEFT JOIN ${MESSAGES} (\\w+) ON \\6\\.id = \\4\\.message_id\\nWHERE COALESCE\\(\\6\\.id, 0\\) <> 0$`);

/** The column that says whose a row is, where people and messages alone decide; undefined of every other view. */
function columnOfPeople({ sql, view, closed }: CompiledView): string | undefined {
  const [, list = '', , table, alias, column] = closed === undefined ? FOLLOWING.exec(sql.trim()) ?? [] : [];
  return table === view.table && list.split(', ').every((item) => item.startsWith(`${alias}."`) && /^\w+\."[^"]+"$/.test(item)) ? column : undefined;
}
