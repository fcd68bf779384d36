/** How rows and large objects are read: the same when they are saved and when a restored database is compared with them. */
import type pg from 'pg';
import { qualified } from './source-catalog.js';
import type { TableRows } from './source-catalog.js';

/** How large objects are read: pieces with the place of their first byte. A page has a quarter of a block. src/include/storage/large_object.h */
export const LARGE_OBJECT_PIECES = `SELECT loid, pageno::int8 * (current_setting('block_size')::int8 / 4) AS place, data FROM pg_catalog.pg_largeobject`;

/** The query for the rows of a table. A table may have no columns: its rows are counted all the same. */
export function rowQuery(client: pg.Client, table: TableRows, range = ''): string {
  const columns = table.columns.map((column) => client.escapeIdentifier(column)).join(', ');
  // An extension gives its condition with the word WHERE.
  const conditions = [table.condition?.replace(/^\s*where\b/i, '') ?? '', range].filter((each) => each !== '').map((each) => `(${each})`);
  return `SELECT ${columns} FROM ONLY ${qualified(client, table)}${conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`}`;
}
