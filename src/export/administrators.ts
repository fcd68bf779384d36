/** The system group of each realm's administrators, who take the place of a group that a setting must name and that is gone. */
import type pg from 'pg';
import type { Catalog } from '../plan/catalog.js';

/** Its names: since Zulip 8, and before. */
const NAMES = ['role:administrators', '@role:administrators'];

/** Tables that name groups: since Zulip 9, and before. */
const TABLES = [['zerver_namedusergroup', 'usergroup_ptr_id'], ['zerver_usergroup', 'id']] as const;

/** @returns realm -> group, of those that have it */
export async function administratorsOf(client: pg.Client, catalog: Catalog, realms: readonly number[]): Promise<Map<number, number>> {
  const [table, id] = TABLES.find(([name]) => catalog.get(name)?.columns.has('is_system_group') === true) ?? [];
  if (table === undefined || id === undefined) return new Map();
  const { rows } = await client.query<{ realm: number; id: number }>(
    `SELECT g.realm_id::float8 AS realm, min(g.${id})::float8 AS id FROM ${table} g JOIN zerver_usergroup b ON b.id = g.${id} AND b.realm_id = g.realm_id
     WHERE g.realm_id = ANY ($1::bigint[]) AND g.is_system_group AND g.name = ANY ($2) GROUP BY g.realm_id`, [realms, NAMES]);
  return new Map(rows.map(({ realm, id: group }) => [realm, group]));
}
