/** The roles that a schema names: a backup holds a database, and roles belong to its server. */
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';

/**
 * @param create make those that are missing, without login and without rights
 * @throws RealmliftError ROLE_MISSING
 */
export async function prepareRoles(client: pg.Client, roles: readonly string[], create: boolean): Promise<void> {
  const { rows } = await client.query<{ name: string }>('SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)', [roles]);
  const missing = rows.map(({ name }) => name);
  if (missing.length === 0) return;
  if (!create) {
    throw new RealmliftError('ROLE_MISSING', 'restore', `the schema names roles that this server lacks: ${missing.join(', ')}`, { hint: 'CREATE ROLE each, or let --create-roles do it (without login); or do without them: --no-owner --no-privileges' });
  }
  for (const name of missing) {
    try {
      await client.query(`CREATE ROLE ${client.escapeIdentifier(name)}`);
    } catch (cause) {
      throw new RealmliftError('ROLE_MISSING', 'restore', `cannot create the role ${name}: ${(cause as Error).message}`, { hint: 'restore as a role with CREATEROLE, let somebody create it beforehand, or do without: --no-owner --no-privileges', cause });
    }
  }
}
