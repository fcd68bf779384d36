/**
 * Values that the new server has already where it allows each only once, whatever the realm. An index that compares an id which
 * the import gives anew (the realm's, a user's, a channel's) cannot be in the way; of the others the new server is asked.
 */
import type pg from 'pg';
import type { TableFile } from '../pipe/table-file.js';
import type { Catalog } from '../plan/views/catalog.js';
import type { Registry } from '../plan/views/registry.js';
import { MESSAGE_NUMBERS } from '../remap/reference-catalog.js';
import type { TargetServer } from '../remap/target-server.js';
import { firstFault, type ShownRow, type UniqueIndex } from './index-rows.js';
import { FaultyRows } from './row-faults.js';
import { BATCH } from './unique-indexes.js';

/** Uploads get new paths and the realm its subdomain's name; zerver_realm.uuid has a check of its own, which names the realm. */
const NEVER_TAKEN: Readonly<Record<string, readonly string[]>> = { zerver_attachment: ['path_id'], zerver_realm: ['name', 'uuid'] };

/**
 * The first fault, or undefined.
 * @param client in the transaction in which the new server was read
 */
export async function takenFault(client: pg.Client, files: readonly TableFile[], registry: Registry, target: TargetServer): Promise<string | undefined> {
  return firstFault(client, files, registry, target, async (index, rows) => (isFree(index, target.catalog) ? undefined : taken(client, index, rows())));
}

function isFree({ table, compared }: UniqueIndex, catalog: Catalog): boolean {
  const columns = catalog.get(table)?.columns;
  return compared.some((name) => name === 'id' || columns?.get(name)?.references !== undefined || MESSAGE_NUMBERS.has(name)
    || (table === 'zerver_recipient' && name === 'type_id') || NEVER_TAKEN[table]?.includes(name) === true);
}

async function taken(client: pg.Client, index: UniqueIndex, rows: Iterable<ShownRow>): Promise<string | undefined> {
  const name = client.escapeIdentifier(index.table);
  const applies = index.predicate ?? 'true';
  const sql = `
    WITH shown AS (
      SELECT given.place, ${index.keys.map((key, at) => `(${key}) AS key_${at}`).join(', ')}
      FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS given (json_row, place), jsonb_populate_record(NULL::${name}, given.json_row) AS ${name}
      WHERE ${applies})
    SELECT shown.place::int AS place FROM shown
    WHERE EXISTS (SELECT FROM ${name} WHERE ${[`(${applies})`, ...index.keys.map((key, at) => `(${key}) ${index.nullsDistinct ? '=' : 'IS NOT DISTINCT FROM'} shown.key_${at}`)].join(' AND ')})
    ORDER BY 1`;
  const faulty = new FaultyRows();
  let batch: { readonly id: number; readonly shown: string }[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const found = await client.query<{ place: number }>(sql, [`[${batch.map(({ shown }) => shown).join()}]`]);
    for (const { place } of found.rows) faulty.add(batch[place - 1]?.id ?? NaN);
    batch = [];
  };
  for (const { id, shown } of rows) {
    batch.push({ id, shown: shown() });
    if (batch.length === BATCH) await flush();
  }
  await flush();
  return faulty.told(index.table, `the new server has a row with the same ${index.keys.join(', ')} already, which its index ${index.name} forbids: change one of them`);
}
