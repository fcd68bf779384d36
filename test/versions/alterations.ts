/** Changes that a coming Zulip release might make to the schema, at random, as SQL. */
import fc from 'fast-check';
import type { Catalog } from '../../src/plan/views/catalog.js';

export type Alteration =
  | { readonly kind: 'add column'; readonly table: string; readonly column: string; readonly type: string; readonly value: string }
  | { readonly kind: 'drop column'; readonly table: string; readonly column: string }
  | { readonly kind: 'rename column'; readonly table: string; readonly column: string; readonly to: string }
  | { readonly kind: 'retype column'; readonly table: string; readonly column: string; readonly type: 'bigint' | 'uuid' | 'text' | 'varchar' }
  | { readonly kind: 'add table'; readonly table: string }
  | { readonly kind: 'drop table'; readonly table: string };

export const INNOCENT = ['cabinet_id', 'weather_policy', 'pinned', 'select', 'Weird "Name"', 'passenger', 'ötzi', 'keyboard'];
export const SECRET = ['api_key_2', 'oauth_token', 'webhook_secret', 'password_hash', 'private_key', 'session_key', 'otp_seed', 'push_credentials', 'PASSWORD'];

/** Types with a value of each; an export holds all but the last three. */
export const TYPES: Readonly<Record<string, string>> = {
  boolean: 'true', integer: '7', bigint: '9007199254740991', smallint: '3', text: "'line\nbreak, \"quoted\"'", 'varchar(20)': "'x'", jsonb: `'{"a": [1, null]}'`,
  timestamptz: "'2025-03-31 12:00:00.25+00'", date: "'2025-03-31'", uuid: "'00000000-0000-4000-8000-000000000001'", numeric: '1.5', float8: '0.25', inet: "'::1'",
  'integer[]': "'{1,2}'", 'text[]': "'{a}'", bytea: "'\\x00'", 'numeric[]': "'{1.5}'",
};
export const UNSUPPORTED = ['text[]', 'bytea', 'numeric[]'];

/** OIDs of pg_type.dat. */
const INTEGERS = [21, 23];
const TEXTS = [25, 1043];

/** @param tables that may be altered */
export function alterations(catalog: Catalog, tables: readonly string[]): fc.Arbitrary<Alteration> {
  const columns = tables.flatMap((table) => [...(catalog.get(table)?.columns.values() ?? [])].map(({ name, type }) => ({ table, column: name, type })));
  const ids = columns.filter(({ column, type }) => /(^|_)id$/.test(column) && INTEGERS.includes(type));
  const texts = columns.filter(({ type }) => TEXTS.includes(type));
  const table = fc.constantFrom(...tables);
  const name = fc.constantFrom(...INNOCENT, ...INNOCENT, ...SECRET);
  return fc.oneof(
    { weight: 3, arbitrary: fc.tuple(table, name, fc.constantFrom(...Object.entries(TYPES))).map(([to, column, [type, value]]): Alteration => ({ kind: 'add column', table: to, column, type, value })) },
    { weight: 3, arbitrary: fc.constantFrom(...columns).map(({ table: of, column }): Alteration => ({ kind: 'drop column', table: of, column })) },
    { weight: 3, arbitrary: fc.tuple(fc.constantFrom(...columns), name).map(([{ table: of, column }, to]): Alteration => ({ kind: 'rename column', table: of, column, to })) },
    { weight: 3, arbitrary: fc.tuple(fc.constantFrom(...ids), fc.constantFrom('bigint', 'uuid', 'text')).map(([{ table: of, column }, type]): Alteration => ({ kind: 'retype column', table: of, column, type: type as 'uuid' })) },
    { weight: 1, arbitrary: fc.constantFrom(...texts).map(({ table: of, column }): Alteration => ({ kind: 'retype column', table: of, column, type: 'varchar' })) },
    { weight: 1, arbitrary: fc.constantFrom('zerver_canary', 'zerver_huddle2', 'corporate_thing').map((added): Alteration => ({ kind: 'add table', table: added })) },
    { weight: 2, arbitrary: table.map((dropped): Alteration => ({ kind: 'drop table', table: dropped })) },
  );
}

/** Statements that make the change; foreign keys in the way are dropped first. */
export function statementsOf(change: Alteration): string {
  const table = quoted(change.table);
  switch (change.kind) {
    case 'add column': return `ALTER TABLE ${table} ADD COLUMN ${quoted(change.column)} ${change.type} DEFAULT ${change.value}`;
    case 'drop column': return `ALTER TABLE ${table} DROP COLUMN ${quoted(change.column)} CASCADE`;
    case 'rename column': return `ALTER TABLE ${table} RENAME COLUMN ${quoted(change.column)} TO ${quoted(change.to)}`;
    case 'retype column': return `${withoutForeignKeys(change.table)}; ${withoutDefault(change)}; ALTER TABLE ${table} ALTER COLUMN ${quoted(change.column)} TYPE ${change.type} USING ${converted(change)}`;
    case 'add table': return `CREATE TABLE ${table} (id bigserial PRIMARY KEY, realm_id integer, secret_token text); INSERT INTO ${table} (realm_id, secret_token) SELECT id, 'LEAKED' FROM zerver_realm`;
    case 'drop table': return `DROP TABLE ${table} CASCADE`;
  }
}

function converted({ column, type }: { readonly column: string; readonly type: string }): string {
  return type === 'uuid' ? `lpad(to_hex(${quoted(column)}), 32, '0')::uuid` : `${quoted(column)}::${type}`;
}

function withoutDefault({ table, column }: { readonly table: string; readonly column: string }): string {
  return `ALTER TABLE ${quoted(table)} ALTER COLUMN ${quoted(column)} DROP IDENTITY IF EXISTS; ALTER TABLE ${quoted(table)} ALTER COLUMN ${quoted(column)} DROP DEFAULT`;
}

function withoutForeignKeys(table: string): string {
  return `DO $$ DECLARE k record; BEGIN
    FOR k IN SELECT conname, conrelid::regclass AS of FROM pg_constraint WHERE contype = 'f' AND '${table}'::regclass IN (conrelid, confrelid) LOOP
      EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.of, k.conname);
    END LOOP; END $$`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
