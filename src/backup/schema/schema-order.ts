/**
 * In which order, and which at once, the entries after the rows are executed.
 *
 * pg_dump's order is one of dependencies, and right for one session. Indexes and constraints, where the time goes, may be made several at
 * a time, and in another order, with two restrictions. Of two entries of different types that touch the same table the earlier one is
 * finished first: a foreign key so waits for the key that it refers to, whichever of both tables is larger. And no two run at once that
 * want the same table for themselves: CREATE INDEX shares its table with others of its kind, ADD CONSTRAINT does not, and a foreign key also
 * holds the table that it refers to. Everything else waits for all before it and is waited for.
 * https://www.postgresql.org/docs/current/explicit-locking.html
 */
import type { SchemaEntry } from './schema-script.js';

interface Needs {
  readonly shared: readonly string[];
  readonly alone: readonly string[];
}

const NAME = String.raw`(?:"(?:[^"]|"")+"|[^\s"().;]+)`;
const TABLE = `(${NAME})\\.(${NAME})`;
const INDEX = new RegExp(`^CREATE (?:UNIQUE )?INDEX ${NAME} ON ${TABLE} USING `, 'm');
const CONSTRAINT = new RegExp(`^ALTER TABLE (?:ONLY )?${TABLE}\\n {4}ADD CONSTRAINT `, 'm');
const REFERENCE = new RegExp(` REFERENCES ${TABLE}\\(`);
/** `ALTER TABLE … CLUSTER ON` or `… REPLICA IDENTITY USING INDEX`, part of an index's entry. */
const MARKS_TABLE = /^ALTER TABLE /m;

/** What an entry that may run beside others needs; undefined for one that must run by itself. */
function needs({ type, sql }: SchemaEntry): Needs | undefined {
  if (type === 'INDEX') {
    const table = tableIn(sql, INDEX);
    if (table === undefined) return undefined;
    return MARKS_TABLE.test(sql) ? { shared: [], alone: [table] } : { shared: [table], alone: [] };
  }
  if (type !== 'CONSTRAINT' && type !== 'FK CONSTRAINT') return undefined;
  const table = tableIn(sql, CONSTRAINT);
  const other = type === 'CONSTRAINT' ? table : tableIn(sql, REFERENCE);
  return table === undefined || other === undefined ? undefined : { shared: [], alone: [table, other] };
}

/** `schema.name` without quotes. */
function tableIn(sql: string, pattern: RegExp): string | undefined {
  const [, schema, name] = pattern.exec(sql) ?? [];
  return schema === undefined || name === undefined ? undefined : `${unquoted(schema)}.${unquoted(name)}`;
}

function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}

/** Weight of a table, `schema.name`: its size, for instance. */
export type Weight = (table: string) => number;

/** An entry among those that may run at once, and those before it that must be finished first. */
interface Step {
  readonly entry: SchemaEntry;
  readonly needs: Needs;
  readonly awaits: ReadonlySet<Step>;
}

/**
 * Runs `execute` for every entry, at most `sessions` at a time. The first failure stops what has not begun and is thrown.
 *
 * @param weight heavier tables come first within what may run at once
 */
export async function executeEntries(entries: readonly SchemaEntry[], sessions: number, weight: Weight, execute: (entry: SchemaEntry) => Promise<void>): Promise<void> {
  let group = new Group();
  const finishGroup = async (): Promise<void> => {
    await group.run(sessions, weight, execute);
    group = new Group();
  };
  for (const entry of entries) {
    const needed = needs(entry);
    if (needed !== undefined) {
      group.add(entry, needed);
    } else {
      await finishGroup();
      await execute(entry);
    }
  }
  await finishGroup();
}

class Group {
  readonly #steps: Step[] = [];
  readonly #atTable = new Map<string, Step[]>();

  add(entry: SchemaEntry, needs: Needs): void {
    const tables = tablesOf(needs);
    const before = tables.flatMap((table) => this.#atTable.get(table) ?? []);
    const step = { entry, needs, awaits: new Set(before.filter((each) => each.entry.type !== entry.type)) };
    this.#steps.push(step);
    for (const table of tables) {
      const there = this.#atTable.get(table);
      if (there === undefined) this.#atTable.set(table, [step]);
      else there.push(step);
    }
  }

  async run(sessions: number, weight: Weight, execute: (entry: SchemaEntry) => Promise<void>): Promise<void> {
    const heaviest = ({ needs }: Step): number => Math.max(...tablesOf(needs).map(weight));
    const waiting = this.#steps.sort((a, b) => heaviest(b) - heaviest(a));
    const running = new Map<Step, Promise<void>>();
    const done = new Set<Step>();
    const mayRun = ({ needs, awaits }: Step): boolean => [...awaits].every((each) => done.has(each)) && [...running.keys()].every((other) => !conflict(needs, other.needs));
    let failed: { readonly error: unknown } | undefined;
    while (failed === undefined && (waiting.length > 0 || running.size > 0)) {
      const at = running.size < sessions ? waiting.findIndex(mayRun) : -1;
      const next = at === -1 ? undefined : waiting.splice(at, 1)[0];
      if (next === undefined) {
        await Promise.race(running.values());
        continue;
      }
      const end = (): void => {
        running.delete(next);
        done.add(next);
      };
      running.set(next, execute(next.entry).catch((error: unknown) => { failed ??= { error }; }).finally(end));
    }
    await Promise.all(running.values());
    if (failed !== undefined) throw failed.error;
  }
}

function tablesOf({ shared, alone }: Needs): string[] {
  return [...new Set([...shared, ...alone])];
}

function conflict(a: Needs, b: Needs): boolean {
  return a.alone.some((table) => b.alone.includes(table) || b.shared.includes(table)) || a.shared.some((table) => b.alone.includes(table));
}
