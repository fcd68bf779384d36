/**
 * Do two databases hold the same loaded realm, ids aside? Each load and each update leaves a record of the ids in the order of the export's
 * rows: so a row is known by its place there, and a reference by the place of what it points to.
 */
import { withClient } from '../testbed/database-client.js';

type Row = Record<string, unknown>;

/** Values that a load draws, and times at which it was. */
const DRAWN: Readonly<Record<string, readonly string[]>> = { zerver_userprofile: ['api_key', 'password', 'uuid'], zerver_realm: ['uuid_owner_secret'], zerver_service: ['token'], zerver_stream: ['email_token'] };
const SKIPPED = ['django_migrations', 'django_content_type', 'auth_permission', 'fts_update_log', 'third_party_api_results', 'zerver_realmexport', 'django_session', 'zerver_client'];
/** Numbers of messages that are no foreign keys. */
const MESSAGE_NUMBERS = new Set(['first_message_id', 'last_active_message_id', 'event_last_message_id']);
const RECIPIENTS = ['', 'zerver_userprofile', 'zerver_stream', 'zerver_huddle'];
/** What a load wrote of itself. */
const ITS_OWN = [123, 204, 229];
/** Ids in texts and HTML. */
const IN_TEXTS: readonly (readonly [RegExp, string])[] = [
  [/(near\/|near\\\/)(\d+)/g, 'zerver_message'], [/(data-user-id=\\?")(\d+)/g, 'zerver_userprofile'], [/(data-user-group-id=\\?")(\d+)/g, 'zerver_usergroup'], [/(data-stream-id=\\?")(\d+)/g, 'zerver_stream'],
  [/(channel\/|stream\/)(\d+)/g, 'zerver_stream'], [/(\*\*[^*|]*\|)(\d+)(?=\*\*)/g, 'zerver_userprofile'], [/^(user)(\d+)(?=@)/g, 'zerver_userprofile'],
  [/(\\?"user_id\\?": ?)(\d+)/g, 'zerver_userprofile'], [/(\\?"saved_snippet_id\\?": ?)(\d+)/g, 'zerver_savedsnippet'], [/(\\?"(?:prev_)?stream\\?": ?)(\d+)/g, 'zerver_stream'],
];

/** @returns `table.column: n`, `table: n rows here, m there`; empty when the same */
export async function differingLoads(fresh: string, updated: string): Promise<string[]> {
  const [a, b] = [await realm(fresh), await realm(updated)];
  const differences: string[] = [];
  for (const table of new Set([...a.keys(), ...b.keys()])) {
    const [rows, others] = [a.get(table) ?? new Map<string, Row>(), b.get(table) ?? new Map<string, Row>()];
    if (rows.size !== others.size) differences.push(`${table}: ${rows.size} rows loaded afresh, ${others.size} updated`);
    const columns = new Map<string, string[]>();
    for (const [key, row] of rows) {
      const other = others.get(key);
      if (other === undefined) differences.push(`${table}: no row ${key}`);
      else for (const column of Object.keys(row)) if (!isSame(column, row[column], other[column])) columns.set(column, [...(columns.get(column) ?? []), `${key}: ${String(row[column])} | ${String(other[column])}`]);
    }
    for (const [column, found] of columns) differences.push(`${table}.${column}: ${found.length}, ${found[0]?.slice(0, 300) ?? ''}`);
  }
  return differences;
}

/** A message that is gone keeps its old number, which another may have on either server. */
function isSame(column: string, one: unknown, other: unknown): boolean {
  if (one === other || !MESSAGE_NUMBERS.has(column)) return one === other;
  const [[place, number], [otherPlace, otherNumber]] = [String(one).split(' '), String(other).split(' ')];
  return place === otherPlace || number === otherNumber;
}

async function realm(url: string): Promise<Map<string, Map<string, Row>>> {
  return withClient(url, async (client) => {
    await client.query("SET search_path = zulip; SET timezone = 'UTC'");
    const places = new Map<string, Map<unknown, string>>();
    const { rows: ranges } = await client.query<{ table: string; first: number; count: number }>('SELECT "table", first::float8, count::float8 FROM realmlift_loaded_acme.ids ORDER BY n');
    for (const { table, first, count } of ranges) {
      const of = places.get(table) ?? new Map<unknown, string>();
      places.set(table, of);
      for (let n = 0; n < count; n++) of.set(first + n, `#${of.size + 1}`);
    }
    places.set('zerver_namedusergroup', places.get('zerver_usergroup') as Map<unknown, string>);
    const { rows: keys } = await client.query<{ column: string; referenced: string }>(`
      SELECT c.relname || '.' || a.attname AS column, f.relname AS referenced FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1] WHERE k.contype = 'f' AND c.relnamespace = 'zulip'::regnamespace`);
    const references = new Map(keys.map(({ column, referenced }) => [column, referenced]));
    const { rows: names } = await client.query<{ name: string }>("SELECT relname AS name FROM pg_class WHERE relnamespace = 'zulip'::regnamespace AND relkind = 'r' AND NOT relname = ANY ($1) ORDER BY 1", [SKIPPED]);
    const place = (table: string, id: unknown): string => places.get(table)?.get(id) ?? `?${String(id)}`;
    const found = new Map<string, Map<string, Row>>();
    for (const { name } of names) {
      const { rows } = await client.query<{ row: Row }>(`SELECT to_jsonb(t) AS row FROM ${client.escapeIdentifier(name)} AS t ORDER BY 1`);
      const canonical = rows.map(({ row }) => Object.fromEntries(Object.entries(row).map(([column, value]) => [column, canonicalValue(name, row, column, value, references, place)])));
      found.set(name, keyed(name, rows.map(({ row }) => row), canonical));
    }
    return found;
  });
}

function canonicalValue(table: string, row: Row, column: string, value: unknown, references: ReadonlyMap<string, string>, place: (table: string, id: unknown) => string): unknown {
  if (DRAWN[table]?.includes(column) === true) return value === null || value === '' ? value : '*';
  if (table === 'zerver_realmauditlog' && ITS_OWN.includes(Number(row['event_type'])) && (column === 'event_time' || column === 'id')) return '*';
  const referenced = references.get(`${table}.${column}`) ?? (table === 'zerver_recipient' && column === 'type_id' ? RECIPIENTS[Number(row['type'])] : undefined);
  if (value === null) return null;
  if (MESSAGE_NUMBERS.has(column)) return `${place('zerver_message', value)} ${JSON.stringify(value)}`;
  if (column === 'id') return place(table, value);
  if (referenced !== undefined) return place(referenced, value);
  // Made of ids, and held to them by verify.
  if (column === 'huddle_hash') return '*';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return IN_TEXTS.reduce((done, [pattern, of]) => done.replace(pattern, (_whole, before: string, digits: string) => before + place(of, Number(digits))), text);
}

/** Rows that have no place are known by what they hold. */
function keyed(table: string, rows: readonly Row[], canonical: readonly Row[]): Map<string, Row> {
  const keys = new Map<string, Row>();
  canonical.forEach((row, index) => {
    const place = (row['id'] ?? row['usergroup_ptr_id'] ?? '?') as string;
    const key = place.startsWith('#') ? place : JSON.stringify({ ...row, id: undefined });
    for (let n = 1; ; n++) {
      if (keys.has(`${key} ${n}`)) continue;
      keys.set(`${key} ${n}`, place.startsWith('#') ? row : { ...row, id: '' });
      break;
    }
    if (rows[index] === undefined) throw new Error(table);
  });
  return keys;
}
