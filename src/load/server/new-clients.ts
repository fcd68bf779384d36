/** Clients (zerver_client) belong to all realms and unite by name: those that the new server lacks are made. */
import type pg from 'pg';
import type { TableFile } from '../../pipe/table-file.js';
import { namesOf } from '../../remap/remap-request.js';
import type { LoadJournal } from './load-journal.js';

/** @returns ids of the new server's clients by name, those of the export among them */
export async function newClients(client: pg.Client, journal: LoadJournal, files: readonly TableFile[]): Promise<Map<string, number>> {
  await journal.step(client, 'clients', async () => { for (const id of await makeLacking(client, files)) await journal.addClient(client, id); });
  return knownClients(client);
}

/** The same without a journal. */
export async function makeClients(client: pg.Client, files: readonly TableFile[]): Promise<Map<string, number>> {
  await makeLacking(client, files);
  return knownClients(client);
}

async function makeLacking(client: pg.Client, files: readonly TableFile[]): Promise<number[]> {
  const made: number[] = [];
  for (const name of namesOf(files).clients.keys()) {
    // Somebody else may make it at the same moment: then it is theirs.
    const { rows } = await client.query<{ id: number }>('INSERT INTO zerver_client (name) SELECT $1::text WHERE NOT EXISTS (SELECT FROM zerver_client WHERE name = $1::text) ON CONFLICT DO NOTHING RETURNING id::float8', [name]);
    made.push(...rows.map(({ id }) => id));
  }
  return made;
}

async function knownClients(client: pg.Client): Promise<Map<string, number>> {
  const { rows } = await client.query<{ id: number; name: string }>('SELECT id::float8 AS id, name FROM zerver_client');
  return new Map(rows.map(({ id, name }) => [name, id]));
}
