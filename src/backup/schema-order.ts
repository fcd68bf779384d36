/**
 * In which order, and which at once, the entries after the rows are executed.
 *
 * pg_dump's order is right for one session. Indexes and constraints, where the time goes, may be made several at a time as long as
 * no two that want the same table for themselves meet: CREATE INDEX shares its table with others of its kind, ADD
 * CONSTRAINT does not, and a foreign key also holds the table that it refers to. Everything else waits for all before it and is waited for.
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

/**
 * Runs `execute` for every entry, at most `sessions` at a time. The first failure stops what has not begun and is thrown.
 *
 * @param weight heavier tables come first within what may run at once
 */
export async function inOrder(entries: readonly SchemaEntry[], sessions: number, weight: Weight, execute: (entry: SchemaEntry) => Promise<void>): Promise<void> {
  let group: { readonly entry: SchemaEntry; readonly needs: Needs }[] = [];
  const finishGroup = async (): Promise<void> => {
    const heaviest = ({ shared, alone }: Needs): number => Math.max(...[...shared, ...alone].map(weight));
    await atOnce(group.sort((a, b) => heaviest(b.needs) - heaviest(a.needs)), sessions, execute);
    group = [];
  };
  for (const entry of entries) {
    const needed = needs(entry);
    if (needed !== undefined) {
      group.push({ entry, needs: needed });
    } else {
      await finishGroup();
      await execute(entry);
    }
  }
  await finishGroup();
}

async function atOnce(group: readonly { readonly entry: SchemaEntry; readonly needs: Needs }[], sessions: number, execute: (entry: SchemaEntry) => Promise<void>): Promise<void> {
  const waiting = [...group];
  const running = new Map<Needs, Promise<void>>();
  let failed: { readonly error: unknown } | undefined;
  while (failed === undefined && (waiting.length > 0 || running.size > 0)) {
    const at = running.size < sessions ? waiting.findIndex(({ needs }) => [...running.keys()].every((other) => !conflict(needs, other))) : -1;
    const next = at === -1 ? undefined : waiting.splice(at, 1)[0];
    if (next === undefined) {
      await Promise.race(running.values());
      continue;
    }
    const done = execute(next.entry).catch((error: unknown) => { failed ??= { error }; }).finally(() => running.delete(next.needs));
    running.set(next.needs, done);
  }
  await Promise.all(running.values());
  if (failed !== undefined) throw failed.error;
}

function conflict(a: Needs, b: Needs): boolean {
  return a.alone.some((table) => b.alone.includes(table) || b.shared.includes(table)) || a.shared.some((table) => b.alone.includes(table));
}
