/** What a run learns of the server once, whatever it exports from it: schema, version, registry, rights. */
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import { readableName } from '../readable-name.js';
import { findSchema, readCatalog, type Catalog } from './views/catalog.js';
import { requireNamedColumns } from './views/needed-columns.js';
import { findBotGroups, findSystemBots, type SystemBot } from './realm.js';
import { loadRegistry, type Registry } from './views/registry.js';
import { VIEW_SCHEMA, tablesRead } from './views/safe-views.js';
import { useSchema } from './search-path.js';
import { followsRelease } from './release/zulip-releases.js';
import { detectZulipVersion, type ZulipVersion } from './release/zulip-version.js';

export interface Source {
  /** Schema that the queries read: Zulip's own, or that of the installed views where the role may read nothing else. */
  readonly schema: string;
  /** Of Zulip's own schema. */
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly version: ZulipVersion;
  readonly systemBots: readonly SystemBot[];
  /** Recipients of the groups of system bots alone, on servers that export them (Zulip 12 on). */
  readonly botGroups: readonly number[];
}

/**
 * Reads the schema and version in the snapshot of `client`, whose search path is the schema to read afterwards.
 *
 * @param zulipVersion overrides what the database says
 * @param strip columns that the operator leaves out, as `table.column`: the role need not be able to read them
 * @throws RealmliftError NOT_ZULIP, SCHEMA_UNKNOWN, RIGHT_MISSING naming a table that the role may not read
 */
export async function readSource(client: pg.Client, zulipVersion: string | undefined, strip: ReadonlySet<string> = new Set()): Promise<Source> {
  const registry = loadRegistry();
  const tables = await findSchema(client);
  const catalog = await readCatalog(client, tables);
  const schema = await readableSchema(client, catalog, columnsRead(registry, catalog, strip), tables);
  await useSchema(client, schema);
  // What is no Zulip server at all is told as that, before its columns are missed.
  const version = await detectZulipVersion(client, schema, zulipVersion);
  requireNamedColumns(catalog);
  const systemBots = await findSystemBots(client);
  const botGroups = followsRelease('12', version.zerverMigration) ? await findBotGroups(client, systemBots) : [];
  return { schema, catalog, registry, version, systemBots, botGroups };
}

/** Table -> columns that an export reads. Nobody has to be able to read secrets. */
function columnsRead(registry: Registry, catalog: Catalog, strip: ReadonlySet<string>): Map<string, string[]> {
  const views = [...registry.tables.values(), ...registry.selections.values()];
  return new Map(tablesRead(registry, catalog).map((table) => {
    const stays = new Set(views.filter((view) => view.table === table).flatMap((view) => [...view.strip, ...view.omit]));
    return [table, [...(catalog.get(table)?.columns.keys() ?? [])].filter((column) => !stays.has(column) && !strip.has(`${table}.${column}`))];
  }));
}

async function readableSchema(client: pg.Client, catalog: Catalog, needed: ReadonlyMap<string, readonly string[]>, tables: string): Promise<string> {
  const role = client.user ?? 'the role';
  const hidden = [...needed].filter(([table, columns]) => columns.some((column) => catalog.get(table)?.columns.get(column)?.readable !== true)).map(([table]) => table);
  if (hidden.length === 0) {
    refuseHiddenRows(needed.keys(), catalog, role);
    return tables;
  }
  const views = await readableViews(client);
  const refuse = (table: string, hint: string): never => {
    throw new RealmliftError('RIGHT_MISSING', 'plan', `${role} may not read ${tables}.${table}`, { table, hint });
  };
  if (views.size === 0) return refuseAll(hidden, tables, role);
  for (const [table, columns] of needed) {
    const view = views.get(table);
    if (view === undefined) return refuse(table, `the views in ${VIEW_SCHEMA} are older than the schema: run realmlift install again`);
    const lacking = columns.find((column) => !view.has(column));
    if (lacking !== undefined) return refuse(table, `the view ${VIEW_SCHEMA}.${table} lacks the column ${lacking}: run realmlift install again, or leave it out with --strip ${table}.${lacking}`);
  }
  return VIEW_SCHEMA;
}

/** One list, and one GRANT that mends it. */
function refuseAll(hidden: readonly string[], schema: string, role: string): never {
  const names = hidden.map((table) => readableName(schema, table)).join(', ');
  const grantee = readableName(role);
  throw new RealmliftError('RIGHT_MISSING', 'plan', `${role} may not read ${hidden.length === 1 ? names : `${hidden.length} tables that an export reads, ${hidden[0] ?? ''} among them`}`, {
    table: hidden[0], hint: `GRANT USAGE ON SCHEMA ${readableName(schema)} TO ${grantee}; GRANT SELECT ON ${names} TO ${grantee}; or run realmlift install`,
  });
}

/** The installed views that this role may read, with their columns. */
async function readableViews(client: pg.Client): Promise<Map<string, Set<string>>> {
  const { rows } = await client.query<{ name: string; columns: string[] }>(`
    SELECT c.relname AS name, array_agg(a.attname::text) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = $1 AND c.relkind = 'v' AND a.attnum > 0 AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    GROUP BY c.relname`, [VIEW_SCHEMA]);
  return new Map(rows.map(({ name, columns }) => [name, new Set(columns)]));
}

/** An export through a policy would lack rows without a word; the sessions have row_security off, so that it would fail later. */
function refuseHiddenRows(needed: Iterable<string>, catalog: Catalog, role: string): void {
  const table = [...needed].find((each) => catalog.get(each)?.policed);
  if (table === undefined) return;
  throw new RealmliftError('RIGHT_MISSING', 'plan', `a row-level security policy hides rows of ${table} from ${role}`, { table, hint: `ALTER ROLE ${readableName(role)} BYPASSRLS, or export as the owner of the tables` });
}
