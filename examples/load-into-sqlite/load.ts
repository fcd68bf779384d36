/**
 * Loads the lines of `realmlift export --format ndjson` into a SQLite database: one table a table, made from the keys of its rows.
 *
 *   realmlift export --realm acme --format ndjson --output - | node load.js acme.sqlite
 *
 * Everything happens in one transaction, which is committed only when the last line proves that nothing is missing.
 */
import { createHash } from 'node:crypto';
import sqlite, { type SQLiteValue } from 'node-sqlite3-wasm';

/** The lines of a stream as bytes, cut at each newline: the trailer's SHA-256 is that of the bytes. */
async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, end + 1)]);
      rest = [];
      start = end + 1;
    }
    rest.push(chunk.subarray(start));
  }
}

interface Line {
  table?: string;
  row?: Record<string, unknown>;
  file?: string;
  path?: string;
  trailer?: { lines: number; sha256: string };
}

/** @returns rows and files loaded */
export async function load(input: AsyncIterable<Buffer>, database: string): Promise<number> {
  const db = new sqlite.Database(database);
  const inserts = new Map<string, (row: Record<string, unknown>) => void>();
  const hash = createHash('sha256');
  let lines = -1; // The header is none.
  let whole = false;
  try {
    db.exec('BEGIN');
    for await (const bytes of linesOf(input)) {
      const line = JSON.parse(bytes.toString()) as Line;
      if (line.trailer !== undefined) {
        whole = line.trailer.lines === lines && line.trailer.sha256 === hash.digest('hex');
        break;
      }
      const table = line.table ?? (line.file === undefined ? undefined : 'files');
      if (table !== undefined) {
        const row = line.row ?? { file: line.file, path: line.path };
        const insert = inserts.get(table) ?? prepare(db, table, Object.keys(row));
        inserts.set(table, insert);
        insert(row);
      }
      hash.update(bytes);
      lines++;
    }
    if (!whole) throw new Error('the stream was cut: nothing was loaded');
    db.exec('COMMIT');
    return lines;
  } finally {
    if (db.inTransaction) db.exec('ROLLBACK');
    db.close();
  }
}

function prepare(db: sqlite.Database, table: string, keys: string[]): (row: Record<string, unknown>) => void {
  const quoted = keys.map((key) => `"${key}"`);
  db.exec(`CREATE TABLE "${table}" (${quoted.map((key) => (key === '"id"' ? 'id INTEGER PRIMARY KEY' : key)).join(', ')})`);
  const statement = db.prepare(`INSERT INTO "${table}" (${quoted.join(', ')}) VALUES (${keys.map(() => '?').join(', ')})`);
  return (row) => void statement.run(keys.map((key) => valueOf(row[key])));
}

/** SQLite has no lists and objects: they are kept as JSON. */
function valueOf(value: unknown): SQLiteValue {
  if (typeof value === 'boolean') return value ? 1 : 0;
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value as SQLiteValue;
}

const [, script, database] = process.argv;
if (script === import.meta.filename && database !== undefined) {
  const loaded = await load(process.stdin as AsyncIterable<Buffer>, database);
  process.stdout.write(`${loaded} rows and files loaded into ${database}\n`);
}
