/** What a run learns of the server once, whatever it exports from it: schema, version, registry, rights. */
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import { findSchema, readCatalog, type Catalog } from './catalog.js';
import { requireNamedColumns } from './needed-columns.js';
import { findSystemBots, type SystemBot } from './realm.js';
import { loadRegistry, type Registry } from './registry.js';
import { VIEW_SCHEMA, tablesRead } from './safe-views.js';
import { detectZulipVersion, type ZulipVersion } from './zulip-version.js';

export interface Source {
  /** Schema that the queries read: Zulip's own, or that of the installed views where the role may read nothing else. */
  readonly schema: string;
  /** Of Zulip's own schema. */
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly version: ZulipVersion;
  readonly systemBots: readonly SystemBot[];
}

/**
 * Reads the schema and version in the snapshot of `client`, whose search path is the schema to read afterwards.
 *
 * @param zulipVersion overrides what the database says
 * @throws RealmliftError NOT_ZULIP, SCHEMA_UNKNOWN, RIGHT_MISSING naming a table that the role may not read
 */
export async function readSource(client: pg.Client, zulipVersion: string | undefined): Promise<Source> {
  const registry = loadRegistry();
  const tables = await findSchema(client);
  const catalog = await readCatalog(client, tables);
  requireNamedColumns(catalog);
  const schema = await readableSchema(client, registry, catalog, tables);
  await useSchema(client, schema);
  return { schema, catalog, registry, version: await detectZulipVersion(client, schema, zulipVersion), systemBots: await findSystemBots(client) };
}

/** Gives a session in a snapshot the search path under which view files find their tables. */
export async function useSchema(client: pg.Client, schema: string): Promise<void> {
  await client.query(`SET LOCAL search_path = pg_catalog, ${client.escapeIdentifier(schema)}`);
}

async function readableSchema(client: pg.Client, registry: Registry, catalog: Catalog, tables: string): Promise<string> {
  const needed = tablesRead(registry, catalog);
  const table = needed.find((each) => isHidden(registry, catalog, each));
  const role = client.user ?? 'the role';
  if (table === undefined) {
    refuseHiddenRows(needed, catalog, role);
    return tables;
  }
  const { rows } = await client.query<{ relname: string }>(`
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind = 'v' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')`, [VIEW_SCHEMA]);
  const views = new Set(rows.map((row) => row.relname));
  if (needed.every((each) => views.has(each))) return VIEW_SCHEMA;
  throw new RealmliftError('RIGHT_MISSING', 'plan', `${role} may not read ${tables}.${table}`, {
    table,
    hint: views.size > 0 ? `the views in ${VIEW_SCHEMA} are older than the schema: run realmlift install again`
      : `GRANT USAGE ON SCHEMA ${tables} TO ${role}; GRANT SELECT ON ${tables}.${table} TO ${role}; or run realmlift install`,
  });
}

/** True when the role may not read some column of the table that could travel. It need not be able to read secrets. */
function isHidden(registry: Registry, catalog: Catalog, table: string): boolean {
  const views = [...registry.tables.values(), ...registry.selections.values()].filter((view) => view.table === table);
  const stays = (column: string): boolean => views.some(({ strip, omit }) => strip.has(column) || omit.has(column));
  return [...(catalog.get(table)?.columns.values() ?? [])].some(({ name, readable }) => !readable && !stays(name));
}

/** An export through a policy would lack rows without a word; the sessions have row_security off, so that it would fail later. */
function refuseHiddenRows(needed: readonly string[], catalog: Catalog, role: string): void {
  const table = needed.find((each) => catalog.get(each)?.policed);
  if (table === undefined) return;
  throw new RealmliftError('RIGHT_MISSING', 'plan', `a row-level security policy hides rows of ${table} from ${role}`, { table, hint: `ALTER ROLE ${role} BYPASSRLS, or export as the owner of the tables` });
}
