/**
 * The second lock against secrets. The first is the SELECT, which does not name secret columns, so that they never leave
 * the server; this one holds if a view is wrong: a column with a stripped key is read and never written.
 */
import type { OutputColumn } from './output-column.js';

/**
 * Which of the columns may be written, in their order. Resolved once per table, so that an ordinary column costs nothing.
 *
 * @param stripped keys that must not appear in this table's rows
 */
export function columnsThatTravel(columns: readonly OutputColumn[], stripped: ReadonlySet<string>): boolean[] {
  return columns.map((column) => !stripped.has(column.key));
}
