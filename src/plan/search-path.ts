/** Apart from source.ts, which a worker does not need: it would load the whole plan. */
import type pg from 'pg';

/** Gives a session in a snapshot the search path under which view files find their tables. */
export async function useSchema(client: pg.Client, schema: string): Promise<void> {
  await client.query(`SET LOCAL search_path = pg_catalog, ${client.escapeIdentifier(schema)}`);
}
