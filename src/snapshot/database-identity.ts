/** Which database it is that a session is in. */
import type pg from 'pg';
import type { ConnectionSettings } from './connection-settings.js';

/** The database, whichever host of a cluster answers for it: its primary and standbys share the system identifier. */
export async function databaseIdentity(client: pg.Client, settings: ConnectionSettings): Promise<string> {
  const { rows: [{ name, permitted } = { name: '', permitted: false }] } = await client.query<{ name: string; permitted: boolean }>(`
    SELECT current_database() AS name, has_function_privilege('pg_control_system()', 'EXECUTE') AS permitted`);
  if (!permitted) return `${name} of ${settings.description}`;
  const { rows } = await client.query<{ system: string }>('SELECT system_identifier::text AS system FROM pg_control_system()');
  return `${name} of cluster ${rows[0]?.system ?? ''}`;
}
