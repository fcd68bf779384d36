/** How rows and large objects are read: the same when they are saved and when a restored database is compared with them. */
import type pg from 'pg';
import { qualified } from './source-catalog.js';
import type { TableRows } from './source-catalog.js';

/** Bytes of a page of a large object, a quarter of a block. src/include/storage/large_object.h */
const PAGE = `(current_setting('block_size')::int8 / 4)`;

/**
 * The pages of large objects, each with the place of its first byte. An object that was cut at the edge of a page, or lengthened to one, has
 * a page without bytes there: it says something only where the object ends in a hole before it.
 *
 * @param range condition that limits the pages, in SQL
 */
export function largeObjectQuery(range = ''): string {
  return `SELECT loid, pageno::int8 * ${PAGE} AS place, data FROM pg_catalog.pg_largeobject p
    WHERE (octet_length(data) > 0 OR pageno > 0 AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_largeobject o WHERE o.loid = p.loid AND (o.pageno > p.pageno OR o.pageno = p.pageno - 1 AND octet_length(o.data) = ${PAGE})))
    ${range === '' ? '' : `AND ${range}`}`;
}

/** The query for the rows of a table. A table may have no columns: its rows are counted all the same. */
export function rowQuery(client: pg.Client, table: TableRows, range = ''): string {
  const columns = table.columns.map((column) => client.escapeIdentifier(column)).join(', ');
  // An extension gives its condition with the word WHERE.
  const conditions = [table.condition?.replace(/^\s*where\b/i, '') ?? '', range].filter((each) => each !== '').map((each) => `(${each})`);
  return `SELECT ${columns} FROM ONLY ${qualified(client, table)}${conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`}`;
}
