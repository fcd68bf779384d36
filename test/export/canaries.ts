/**
 * A canary in every cell that holds text: each says from which table, column and realm it came, so that one found outside
 * tells what leaked. Which realm a row belongs to is asked here in plain SQL of its own, not of the export's views.
 */
import { appendFileSync, cpSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';
import { expectedExport, uploadsDirectory } from '../testbed/expected-export.js';
import type { Dataset } from '../testbed/test-data.js';
import { filesBelow } from '../files/pull-fixture.js';

/** Where a canary was planted. */
export interface Cell {
  /** `table.column`, or the path of a file. */
  readonly place: string;
  /** The realm that the row belongs to; 0 where it belongs to none; undefined where no export may ever show it. */
  readonly realm: number | undefined;
}

/** Secrets of tables that travel. */
const SECRETS: ReadonlySet<string> = new Set([
  'zerver_userprofile.password', 'zerver_userprofile.api_key', 'zerver_userprofile.uuid', 'zerver_userprofile.zoom_token',
  'zerver_userprofile.third_party_api_state', 'zerver_service.token', 'zerver_botconfigdata.value', 'zerver_stream.email_token',
  'zerver_realmexport.export_path',
]);

/** Cells that decide what an export selects, or where it finds a file. */
const UNTOUCHED: ReadonlySet<string> = new Set([
  'zerver_realm.string_id', 'zerver_attachment.path_id', 'zerver_realmemoji.file_name', 'django_migrations.app', 'django_migrations.name',
]);
const SYSTEM_BOTS = `t.delivery_email IN ('emailgateway@zulip.com', 'notification-bot@zulip.com', 'welcome-bot@zulip.com')`;

/** The realm of a row `t`, for tables without a column realm_id. */
const REALMS: Readonly<Record<string, string>> = {
  zerver_realm: 't.id',
  zerver_client: '0',
  zerver_reaction: '(SELECT m.realm_id FROM zerver_message m WHERE m.id = t.message_id)',
  zerver_submessage: '(SELECT m.realm_id FROM zerver_message m WHERE m.id = t.message_id)',
  // A group with people of several realms belongs to none of them: no export may show it.
  zerver_huddle: `(SELECT CASE WHEN min(u.realm_id) = max(u.realm_id) THEN min(u.realm_id) END
    FROM zerver_recipient r JOIN zerver_subscription s ON s.recipient_id = r.id JOIN zerver_userprofile u ON u.id = s.user_profile_id WHERE r.type = 3 AND r.type_id = t.id)`,
};
/** Since Zulip 12, where polls travel, the system bots do not count: a group of theirs alone belongs to everybody. */
const HUDDLE_WITH_BOTS = `(SELECT CASE WHEN count(u.id) = 0 THEN 0 WHEN min(u.realm_id) = max(u.realm_id) THEN min(u.realm_id) END
    FROM zerver_recipient r JOIN zerver_subscription s ON s.recipient_id = r.id
    LEFT JOIN zerver_userprofile u ON u.id = s.user_profile_id AND NOT (${SYSTEM_BOTS.replace('t.', 'u.')}) WHERE r.type = 3 AND r.type_id = t.id)`;
const OWNERS = ['user_profile_id', 'bot_profile_id', 'user_id'];

/** `ZQ` and six digits to the base of 36, or a uuid as it is. Short enough for all but a few columns of a letter or four. */
const CANARY = /ZQ[0-9a-z]{6}|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g;
const LENGTH = 8;
/** Numbers from here on are those of files; six digits. */
const FILES = 36 ** 6 / 2;

interface Column { readonly table: string; readonly name: string; readonly type: string; readonly length: number | null; readonly needed: boolean; readonly references: string | null }

export class Canaries {
  readonly #cells = new Map<string, Cell>();
  #files = 0;

  /** How many cells of which kind there are. */
  count(which: (cell: Cell) => boolean): number {
    return [...this.#cells.values()].filter(which).length;
  }

  /**
   * Plants in the database. Tables that do not travel and are empty get a row for each realm first.
   *
   * @param travelling the tables that Zulip's own export holds rows of
   */
  async plant(url: string, travelling: ReadonlySet<string>): Promise<void> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(`SET search_path = zulip; SET session_replication_role = replica;
        CREATE TEMP TABLE canary (n serial, place text, realm int, at tid, number int);
        CREATE FUNCTION pg_temp.canary(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
          SELECT 'ZQ' || string_agg(substr('0123456789abcdefghijklmnopqrstuvwxyz', 1 + (n * 7919 / (36 ^ (5 - k))::bigint % 36)::int, 1), '' ORDER BY k) FROM generate_series(0, 5) AS k $$`);
      const tables = new Map<string, Column[]>();
      for (const column of await columns(client)) tables.set(column.table, [...(tables.get(column.table) ?? []), column]);
      for (const [table, of] of tables) await fillEmpty(client, table, of);
      for (const [table, of] of tables) {
        const withBots = table === 'zerver_huddle' && travelling.has('zerver_submessage');
        const realm = withBots ? HUDDLE_WITH_BOTS : travelling.has(table) ? realmOf(table, of) : undefined;
        await this.#plantTable(client, table, of, (column) => (SECRETS.has(`${table}.${column}`) ? undefined : realm));
      }
      const { rows } = await client.query<{ canary: string; place: string; realm: number | null }>('SELECT pg_temp.canary(n) AS canary, place, realm FROM canary');
      for (const { canary, place, realm } of rows) this.#cells.set(canary, { place, realm: realm ?? undefined });
    } finally {
      await client.end();
    }
  }

  /** All columns at once: each change of a row is one of all of its indexes. */
  async #plantTable(client: pg.Client, table: string, of: readonly Column[], realmOf: (column: string) => string | undefined): Promise<void> {
    const columns = of.filter(({ name }) => !UNTOUCHED.has(`${table}.${name}`));
    for (const { name } of columns.filter(({ type }) => type === 'uuid')) {
      // A uuid cannot hold a canary: it is one.
      const { rows } = await client.query<{ value: string; realm: number | null }>(`SELECT t."${name}"::text AS value, ${realmOf(name) ?? 'NULL::int'} AS realm FROM ${table} t WHERE t."${name}" IS NOT NULL`);
      for (const row of rows) this.#cells.set(row.value, { place: `${table}.${name}`, realm: row.realm ?? undefined });
    }
    const planted = columns.filter(({ type, length }) => ['text', 'varchar', 'jsonb', 'tsvector'].includes(type) && (length === null || length >= LENGTH));
    if (planted.length === 0) return;
    // The system bots keep their addresses.
    const kept = (name: string): string => (table === 'zerver_userprofile' && /email$/.test(name) ? `WHERE NOT ${SYSTEM_BOTS}` : '');
    const cells = planted.map(({ name }, at) => `SELECT '${table}.${name}', ${realmOf(name) ?? 'NULL::int'}, t.ctid, ${at} FROM ${table} t ${kept(name)}`);
    const values = planted.map((column, at) => `"${column.name}" = CASE WHEN p.c${at} IS NULL THEN t."${column.name}" ELSE ${withCanary(column, `p.c${at}`)} END`);
    await client.query(`
      WITH cells AS (INSERT INTO canary (place, realm, at, number) ${cells.join(' UNION ALL ')} RETURNING at, number, pg_temp.canary(n) AS c),
        planted AS (SELECT at, ${planted.map((_, at) => `max(c) FILTER (WHERE number = ${at}) AS c${at}`).join(', ')} FROM cells GROUP BY at)
      UPDATE ${table} t SET ${values.join(', ')} FROM planted p WHERE t.ctid = p.at`);
  }

  /** A copy of an uploads directory in which every file ends with a canary of its realm. */
  async plantFiles(dataset: Exclude<Dataset, 'zulip-11/s3'>, directory: string): Promise<void> {
    cpSync(await uploadsDirectory(dataset), directory, { recursive: true });
    for (const path of filesBelow(directory)) {
      const canary = `ZQ${(FILES + this.#files++).toString(36)}`;
      appendFileSync(join(directory, path), canary);
      const [area, realm] = path.split('/');
      // The avatars of the system bots go into every export.
      this.#cells.set(canary, { place: path, realm: area === 'avatars' && realm === '1' ? 0 : Number(realm) });
    }
  }

  /** A secret of the run itself: nothing may ever show it. */
  add(place: string, value: string): void {
    this.#cells.set(value, { place, realm: undefined });
  }

  /** The planted cells that a text shows. */
  *in(text: string): Generator<Cell> {
    for (const [canary] of new Set(text.matchAll(CANARY))) {
      const cell = this.#cells.get(canary);
      if (cell !== undefined) yield cell;
    }
  }

  /** The planted cells that a directory's files show, hidden and compressed ones too, or the names of the files. */
  *below(directory: string): Generator<Cell> {
    for (const path of filesBelow(directory)) {
      const bytes = readFileSync(join(directory, path));
      yield* this.in(path);
      yield* this.in((bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('latin1'));
    }
  }
}

/** The tables whose rows Zulip's own export of the data set holds. */
export async function travellingTables(dataset: Exclude<Dataset, 'zulip-11/s3'>): Promise<Set<string>> {
  const directory = await expectedExport(dataset, 'acme-full');
  const files = readdirSync(directory).filter((name) => /^(realm|analytics|attachment|messages-\d+)\.json$/.test(name));
  return new Set(files.flatMap((name) => Object.keys(JSON.parse(readFileSync(join(directory, name), 'utf8')) as object)));
}

async function columns(client: pg.Client): Promise<Column[]> {
  const { rows } = await client.query<Column>(`
    SELECT c.relname AS table, a.attname AS name, t.typname AS type, CASE WHEN t.typname = 'varchar' AND a.atttypmod > 0 THEN a.atttypmod - 4 END AS length,
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needed,
           (SELECT f.relname FROM pg_constraint k JOIN pg_class f ON f.oid = k.confrelid WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conkey = ARRAY[a.attnum] LIMIT 1) AS references
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.relnamespace = 'zulip'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum`);
  return rows;
}

/** The value of a column with the canary `c` in it. */
function withCanary({ name, type, length }: Column, c: string): string {
  switch (type) {
    case 'jsonb': return `CASE jsonb_typeof(t."${name}") WHEN 'object' THEN t."${name}" ELSE '{}' END || jsonb_build_object('key ' || ${c}, ${c})`;
    case 'tsvector': return `array_to_tsvector(ARRAY[${c}])`;
    default: return length === null ? `COALESCE(t."${name}", '') || ${c}` : `left(COALESCE(t."${name}", ''), ${length - LENGTH}) || ${c}`;
  }
}

function realmOf(table: string, of: readonly Column[]): string {
  const known = REALMS[table];
  if (known !== undefined) return known;
  if (of.some(({ name }) => name === 'realm_id')) return 't.realm_id';
  const owner = OWNERS.find((name) => of.some((column) => column.name === name));
  return owner === undefined ? 'NULL::int' : `(SELECT u.realm_id FROM zerver_userprofile u WHERE u.id = t.${owner})`;
}

/** A row for each realm in a table that has none. Foreign keys are not enforced, but point to the realm where they can. */
async function fillEmpty(client: pg.Client, table: string, of: readonly Column[]): Promise<void> {
  const needed = of.filter((column) => column.needed || column.references !== null);
  await client.query(`
    INSERT INTO ${table} (${needed.map(({ name }) => `"${name}"`).join(', ')})
    SELECT ${needed.map(filler).join(', ')} FROM zerver_realm r WHERE NOT EXISTS (SELECT 1 FROM ${table})`);
}

function filler({ type, length, references }: Column): string {
  if (references === 'zerver_realm') return 'r.id';
  if (references === 'zerver_userprofile') return '(SELECT min(u.id) FROM zerver_userprofile u WHERE u.realm_id = r.id)';
  switch (type) {
    case 'varchar': case 'text': return `left(md5(random()::text), ${length ?? 32})`;
    case 'bool': return 'false';
    case 'timestamptz': return 'now()';
    case 'jsonb': return "'{}'::jsonb";
    case 'uuid': return 'gen_random_uuid()';
    default: return 'r.id';
  }
}
