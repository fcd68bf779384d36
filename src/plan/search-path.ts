/** Apart from source.ts, which a worker does not need: it would load the whole plan. */
import type pg from 'pg';
import { atOnce } from '../snapshot/at-once.js';
import { addSchemas, schemasForPlanning } from '../snapshot/unqualified-names.js';

/** Gives a session in a snapshot the search path under which view files find their tables, and the database's own indexes their functions. */
export async function useSchema(client: pg.Client, schema: string): Promise<void> {
  const [, schemas] = await atOnce(client, () => [client.query(`SET LOCAL search_path = pg_catalog, ${client.escapeIdentifier(schema)}`), schemasForPlanning(client)]);
  await addSchemas(client, schemas);
}
