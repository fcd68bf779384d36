/**
 * Do two databases hold the same imported realm? Row by row and column by column, ids as ranks within their table and upload paths as the
 * attachment that they belong to.
 *
 * What may differ: values that an import draws anew; the time of the two audit rows that it writes; what a server that bills sets;
 * and what Zulip's own import leaves old (texts, audit data, hidden addresses, a group's creator), which is counted apart.
 */
import { withClient } from '../testbed/database-client.js';

type Row = Record<string, unknown>;

const RANDOM: Readonly<Record<string, readonly string[]>> = { zerver_userprofile: ['api_key', 'password', 'uuid'], zerver_realm: ['uuid_owner_secret'], zerver_service: ['token'] };
const BILLING: Readonly<Record<string, readonly string[]>> = { zerver_realm: ['plan_type', 'max_invites', 'message_visibility_limit', 'first_visible_message_id', 'zulip_update_announcements_level'] };
const LEFT_OLD: Readonly<Record<string, readonly string[]>> = {
  zerver_message: ['content', 'rendered_content', 'edit_history'], zerver_scheduledmessage: ['content', 'rendered_content'], zerver_realmauditlog: ['extra_data', 'event_last_message_id'],
  zerver_namedusergroup: ['creator_id', 'description'], zerver_userprofile: ['email'], zerver_stream: ['rendered_description', 'description'], zerver_attachment: ['content_type'],
  zerver_imageattachment: ['thumbnail_metadata'],
};
const SKIPPED = ['django_migrations', 'django_content_type', 'auth_permission', 'fts_update_log', 'third_party_api_results', 'zerver_realmexport', 'django_session'];
const RECIPIENTS = ['', 'zerver_userprofile', 'zerver_stream', 'zerver_huddle'];
const LISTS = /_(?:scheduled_)?messages$/;

interface Content {
  readonly tables: ReadonlyMap<string, readonly Row[]>;
  readonly references: ReadonlyMap<string, string>;
}

export interface Comparison {
  /** `table.column: n`, `table: n rows here, m there`; empty when the same. */
  readonly differences: string[];
  /** What Zulip's import leaves old, by column. */
  readonly leftOld: ReadonlyMap<string, number>;
}

export async function compareDatabases(expected: string, actual: string): Promise<Comparison> {
  const [a, b] = [canonical(await read(expected)), canonical(await read(actual))];
  const differences: string[] = [];
  const leftOld = new Map<string, number>();
  for (const table of [...new Set([...a.keys(), ...b.keys()])].sort()) {
    const [rows, others] = [keyed(table, a.get(table) ?? []), keyed(table, b.get(table) ?? [])];
    if (rows.size !== others.size) differences.push(`${table}: ${rows.size} rows there, ${others.size} here`);
    const columns = new Map<string, number>();
    for (const [key, row] of rows) {
      const other = others.get(key);
      if (other === undefined) differences.push(`${table}: no row ${key}`);
      else for (const column of Object.keys(row)) if (!(column === 'id' && LISTS.test(table)) && row[column] !== other[column]) columns.set(column, (columns.get(column) ?? 0) + 1);
    }
    for (const [column, count] of columns) {
      if (LEFT_OLD[table]?.includes(column) === true) leftOld.set(`${table}.${column}`, count);
      else differences.push(`${table}.${column}: ${count}`);
    }
  }
  return { differences, leftOld };
}

async function read(url: string): Promise<Content> {
  return withClient(url, async (client) => {
    await client.query("SET search_path = zulip; SET timezone = 'UTC'");
    const { rows: names } = await client.query<{ name: string }>("SELECT relname AS name FROM pg_class WHERE relnamespace = 'zulip'::regnamespace AND relkind = 'r' AND NOT relname = ANY ($1) ORDER BY 1", [SKIPPED]);
    const { rows: keys } = await client.query<{ column: string; referenced: string }>(`
      SELECT c.relname || '.' || a.attname AS column, f.relname AS referenced FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1] WHERE k.contype = 'f' AND c.relnamespace = 'zulip'::regnamespace`);
    const tables = new Map<string, Row[]>();
    // As text: timestamps keep their microseconds, numbers their digits.
    for (const { name } of names) tables.set(name, (await client.query<{ row: Row }>(`SELECT to_jsonb(t) AS row FROM ${client.escapeIdentifier(name)} AS t`)).rows.map(({ row }) => row));
    return { tables, references: new Map(keys.map(({ column, referenced }) => [column, referenced])) };
  });
}

function canonical({ tables, references }: Content): Map<string, Row[]> {
  const ranks = new Map<string, Map<unknown, number>>();
  for (const [table, rows] of tables) {
    const ids = rows.map((row) => Number(row['id'])).sort((x, y) => x - y);
    ranks.set(table, new Map(ids.map((id, rank) => [id, rank])));
  }
  ranks.set('zerver_namedusergroup', ranks.get('zerver_usergroup') as Map<unknown, number>);
  const paths = [...tables.get('zerver_attachment') ?? []].sort((x, y) => Number(x['id']) - Number(y['id'])).map((row) => String(row['path_id']));
  const internal = new Set((tables.get('zerver_realm') ?? []).filter((row) => row['string_id'] === 'zulipinternal').map((row) => row['id']));
  const value = (table: string, row: Row, column: string): unknown => {
    const found = row[column];
    const referenced = references.get(`${table}.${column}`) ?? (table === 'zerver_recipient' && column === 'type_id' ? RECIPIENTS[Number(row['type'])] : column === 'id' ? table : undefined);
    if (RANDOM[table]?.includes(column) === true) return found === null || found === '' ? found : '*';
    if (BILLING[table]?.includes(column) === true) return '*';
    if (internal.has(table === 'zerver_realm' ? row['id'] : row['realm_id']) && /uuid|date|time|login/.test(column)) return '*';
    if (table === 'zerver_realmauditlog' && [204, 229].includes(Number(row['event_type'])) && (column === 'event_time' || (column === 'extra_data' && row['event_type'] === 204))) return '*';
    if (found !== null && referenced !== undefined) return `#${ranks.get(referenced)?.get(found) ?? `?${JSON.stringify(found)}`}`;
    const text = typeof found === 'string' ? found : JSON.stringify(found);
    return text.includes('/') ? paths.reduce((done, path, n) => done.replaceAll(path, `<attachment ${n}>`), text) : text;
  };
  return new Map([...tables].map(([table, rows]) => [table, rows.map((row) => Object.fromEntries(Object.keys(row).map((column) => [column, value(table, row, column)])))]));
}

function keyed(table: string, rows: readonly Row[]): Map<string, Row> {
  const key = (row: Row): string => (LISTS.test(table) ? `${String(row['attachment_id'])} ${JSON.stringify({ ...row, id: undefined })}` : String(row['id'] ?? row['usergroup_ptr_id'] ?? Object.values(row)[0]));
  return new Map(rows.map((row) => [key(row), row]));
}
