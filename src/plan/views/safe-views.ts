/**
 * The views that `realmlift install` makes: Zulip's tables without their secret columns, in a schema of their own, for a role
 * that may read nothing else. An export by that role runs the same queries, since they find the views under the tables' names.
 */
import { quote } from './compile-view.js';
import type { Catalog } from './catalog.js';
import type { CompiledRegistry } from './compile-view.js';
import type { Registry } from './registry.js';

/** Schema of the views. */
export const VIEW_SCHEMA = 'realmlift';

/** Read by the plan, not exported: which migrations are applied tells the version. */
const PLAN_TABLES = ['django_migrations'];

/** Tables that an export reads, on whichever server. */
export function readByExports(registry: Registry): string[] {
  const folded = [...registry.notExported].filter(([, reason]) => reason.startsWith('folded')).map(([table]) => table);
  return [...new Set([...[...registry.tables.values()].map((view) => view.table), ...folded, ...PLAN_TABLES])].sort();
}

/** Tables that an export reads and this server has. */
export function tablesRead(registry: Registry, catalog: Catalog): string[] {
  return readByExports(registry).filter((table) => catalog.has(table));
}

/**
 * The statements that make views and role, to be run in one transaction. Running them again brings the views up to date with
 * the schema; the role keeps its password.
 *
 * @param schema of Zulip's tables
 * @param role that may read the views, made if it is missing (it can log in once it has a password)
 */
export function installStatements(registry: Registry, catalog: Catalog, compiled: CompiledRegistry, schema: string, role: string): string[] {
  const views = tablesRead(registry, catalog).map((table) => {
    const secrets = compiled.secrets.get(table);
    const columns = [...(catalog.get(table)?.columns.keys() ?? [])].filter((column) => secrets?.has(column) !== true);
    return `CREATE VIEW ${VIEW_SCHEMA}.${quote(table)} AS\n  SELECT ${columns.map(quote).join(', ')}\n  FROM ${quote(schema)}.${quote(table)}`;
  });
  return [
    `DROP SCHEMA IF EXISTS ${VIEW_SCHEMA} CASCADE`,
    `CREATE SCHEMA ${VIEW_SCHEMA}`,
    ...views,
    `DO $$ BEGIN\n  IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '${role.replaceAll("'", "''")}') THEN\n    CREATE ROLE ${quote(role)} LOGIN;\n  END IF;\nEND $$`,
    `GRANT USAGE ON SCHEMA ${VIEW_SCHEMA} TO ${quote(role)}`,
    `GRANT SELECT ON ALL TABLES IN SCHEMA ${VIEW_SCHEMA} TO ${quote(role)}`,
  ];
}
