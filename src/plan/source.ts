/** What a run learns of the server once, whatever it exports from it: schema, version, registry, rights. */
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import { findSchema, readCatalog, type Catalog } from './catalog.js';
import { findSystemBots, type SystemBot } from './realm.js';
import { loadRegistry, type Registry } from './registry.js';
import { detectZulipVersion, type ZulipVersion } from './zulip-version.js';

export interface Source {
  readonly schema: string;
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly version: ZulipVersion;
  readonly systemBots: readonly SystemBot[];
}

/**
 * Reads the schema and version in the snapshot of `client`, whose search path is Zulip's schema afterwards.
 *
 * @throws RealmliftError NOT_ZULIP, RIGHT_MISSING naming the first table of the plan that the role may not read
 */
export async function readSource(client: pg.Client, zulipVersion: string | undefined): Promise<Source> {
  const registry = loadRegistry();
  const schema = await findSchema(client);
  await client.query(`SET LOCAL search_path = pg_catalog, ${client.escapeIdentifier(schema)}`);
  const catalog = await readCatalog(client, schema);
  for (const view of registry.tables.values()) refuseUnreadable(catalog, schema, view.table, client.user ?? 'the role');
  return { schema, catalog, registry, version: await detectZulipVersion(client, schema, zulipVersion), systemBots: await findSystemBots(client) };
}

function refuseUnreadable(catalog: Catalog, schema: string, table: string, role: string): void {
  if (catalog.get(table)?.readable !== false) return;
  throw new RealmliftError('RIGHT_MISSING', 'plan', `${role} may not read ${schema}.${table}`, {
    table, hint: `GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
  });
}
