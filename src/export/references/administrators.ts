/** The system group of each realm's administrators, who take the place of a group that a setting must name and that is gone. */
import type pg from 'pg';
import type { Catalog } from '../../plan/views/catalog.js';
import { quote } from '../../plan/views/compile-view.js';

/** Its names: since Zulip 8, and before. */
const NAMES = ['role:administrators', '@role:administrators'];

/** Tables that name groups: since Zulip 9, and before. */
const TABLES = [['zerver_namedusergroup', 'usergroup_ptr_id'], ['zerver_usergroup', 'id']] as const;

/**
 * Selects `realm` and `id`, of realms that have it; undefined where groups have no system.
 * @param qualified name of a table -> SQL
 */
export function administratorsQuery(catalog: Catalog, qualified: (table: string) => string): string | undefined {
  const [table, id] = TABLES.find(([name]) => catalog.get(name)?.columns.has('is_system_group') === true) ?? [];
  if (table === undefined || id === undefined) return undefined;
  return `SELECT g.realm_id AS realm, min(g.${id}) AS id FROM ${qualified(table)} g JOIN ${qualified('zerver_usergroup')} b ON b.id = g.${id} AND b.realm_id = g.realm_id
     WHERE g.is_system_group AND g.name IN (${NAMES.map((name) => `'${name}'`).join(', ')}) GROUP BY g.realm_id`;
}

/** @returns realm -> group, of those that have it */
export async function administratorsOf(client: pg.Client, catalog: Catalog, realms: readonly number[]): Promise<Map<number, number>> {
  const query = administratorsQuery(catalog, quote);
  if (query === undefined) return new Map();
  const { rows } = await client.query<{ realm: number; id: number }>(
    `SELECT a.realm::float8 AS realm, a.id::float8 AS id FROM (${query}) AS a WHERE a.realm = ANY ($1::bigint[])`, [realms]);
  return new Map(rows.map(({ realm, id: group }) => [realm, group]));
}
