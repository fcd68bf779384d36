/**
 * What the server's catalog says of a database as a whole, and not its schema: settings, also of roles in it alone, rights and a comment. As
 * pg_dump --create has them, but for the owner, and what belongs to CREATE DATABASE.
 */
import type pg from 'pg';
import type { Contents } from '../contents/backup-contents.js';
import type { LeftOut } from '../schema/schema-script.js';

/** Lists of names: as pg_dump's variable_is_guc_list_quote has them. */
const LISTS: ReadonlySet<string> = new Set(['local_preload_libraries', 'search_path', 'session_preload_libraries', 'shared_preload_libraries', 'temp_tablespaces', 'unix_socket_directories']);

/** In the caller's transaction. @returns what the server refused, in words */
export async function restoreProperties(client: pg.Client, { source }: Contents, leftOut: LeftOut): Promise<string[]> {
  const { settings, roleSettings = [], rights = [], comment } = source;
  const database = client.escapeIdentifier(client.database ?? '');
  const warnings: string[] = [];
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await client.query('SAVEPOINT property');
    try {
      await work();
    } catch (error) {
      await client.query('ROLLBACK TO SAVEPOINT property');
      warnings.push(`${what} was not restored: ${(error as Error).message}`);
    }
  };
  const set = (setting: string, whose: string, target: string): Promise<void> => {
    const [, name = '', value = ''] = /^([^=]+)=([^]*)$/.exec(setting) ?? [];
    const named = `ALTER ${target} SET ${name.split('.').map((word) => client.escapeIdentifier(word)).join('.')}`;
    return attempt(`the setting ${name} of ${whose}`, async () => {
      if (!LISTS.has(name)) return void await client.query(`${named} TO ${client.escapeLiteral(value)}`);
      // The value is quoted already, name by name.
      await client.query('SELECT pg_catalog.set_config($1, $2, true)', [name, value]);
      await client.query(`${named} FROM CURRENT`);
    });
  };

  if (comment !== undefined) await attempt('the comment of the database', () => client.query(`COMMENT ON DATABASE ${database} IS ${client.escapeLiteral(comment)}`));
  if (source.rights !== undefined && !leftOut.privileges) {
    // Whoever may connect to a new database, and make temporary tables in it.
    await attempt('what PUBLIC may not do with the database', () => client.query(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC`));
    for (const { role, right, grantable } of rights) {
      const grantee = role === null ? 'PUBLIC' : client.escapeIdentifier(role);
      await attempt(`the right ${right} of ${role ?? 'PUBLIC'} on the database`, () => client.query(`GRANT ${right} ON DATABASE ${database} TO ${grantee}${grantable ? ' WITH GRANT OPTION' : ''}`));
    }
  }
  for (const { role, settings: own } of roleSettings) for (const setting of own) await set(setting, `the role ${role} in the database`, `ROLE ${client.escapeIdentifier(role)} IN DATABASE ${database}`);
  for (const setting of settings) await set(setting, 'the database', `DATABASE ${database}`);
  return warnings;
}

/** Roles that have settings in the database or rights on it. */
export function rolesOfProperties({ source: { roleSettings = [], rights = [] } }: Contents, leftOut: LeftOut): string[] {
  return [...roleSettings.map(({ role }) => role), ...(leftOut.privileges ? [] : rights.flatMap(({ role }) => role ?? []))];
}
