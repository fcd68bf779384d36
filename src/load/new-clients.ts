/** Clients (zerver_client) belong to all realms and unite by name: those that the new server lacks are made. */
import type pg from 'pg';
import type { TableFile } from '../pipe/table-file.js';
import { namesOf } from '../remap/remap-request.js';
import type { LoadJournal } from './load-journal.js';

/** @returns ids of the new server's clients by name, those of the export among them */
export async function newClients(client: pg.Client, journal: LoadJournal, files: readonly TableFile[]): Promise<Map<string, number>> {
  await journal.step(client, 'clients', async () => {
    for (const name of namesOf(files).clients.keys()) {
      // Somebody else may make it at the same moment: then it is theirs.
      const { rows } = await client.query<{ id: number }>('INSERT INTO zerver_client (name) SELECT $1::text WHERE NOT EXISTS (SELECT FROM zerver_client WHERE name = $1::text) ON CONFLICT DO NOTHING RETURNING id::float8', [name]);
      for (const { id } of rows) await journal.addClient(client, id);
    }
  });
  const { rows } = await client.query<{ id: number; name: string }>('SELECT id::float8 AS id, name FROM zerver_client');
  return new Map(rows.map(({ id, name }) => [name, id]));
}
