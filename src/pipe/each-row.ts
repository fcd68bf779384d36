/** Rows of one table, wherever in an export they stand. */
import { RowFields } from '../json/row-fields.js';
import type { TableFile } from './table-file.js';

/** The fields of each row of a table that is in these files, until the next one is asked for. */
export function* eachRow(files: Iterable<TableFile>, table: string): Generator<RowFields, void> {
  const fields = new RowFields();
  for (const file of files) for (const row of file.rows(table)) yield fields.split(row);
}
