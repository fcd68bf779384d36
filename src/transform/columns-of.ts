/** From what PostgreSQL says of a query's columns to how the transform writes them. */
import { RealmliftError } from '../errors.js';
import type { ColumnKind, OutputColumn } from './output-column.js';

/** OIDs of built-in types, fixed for ever in PostgreSQL's pg_type.dat. */
const KINDS: ReadonlyMap<number, ColumnKind> = new Map<number, ColumnKind>([
  [16, 'boolean'],
  [20, 'integer'], [21, 'integer'], [23, 'integer'],
  [700, 'number'], [701, 'number'], [1700, 'number'],
  [1184, 'timestamp'],
  [3614, 'tsvector'],
  [114, 'json'], [3802, 'json'],
  [1005, 'integer-array'], [1007, 'integer-array'], [1016, 'integer-array'],
]);

/** Arrays other than of integers, composite and range types have no text form that is JSON: OIDs from PostgreSQL's pg_type.dat. */
const REFUSED = new Map([[1009, 'text[]'], [1015, 'varchar[]'], [1231, 'numeric[]'], [1000, 'boolean[]'], [1185, 'timestamptz[]'], [2951, 'uuid[]'], [17, 'bytea'], [2249, 'record']]);

/** Types whose binary form the row path reads: bool, int8, int2, int4, text, json, varchar, timestamptz, tsvector. */
const READ = new Set([16, 20, 21, 23, 25, 114, 1043, 1184, 3614]);

/**
 * The query with all columns in a form that the row path reads: of other types the text that the server would print. Not by a cast,
 * which for some types (inet, char) is another text.
 *
 * @param fields of the query
 */
export function copyableSelect(select: string, fields: readonly { readonly name: string; readonly dataTypeID: number }[]): string {
  if (fields.every(({ dataTypeID }) => READ.has(dataTypeID))) return select;
  const columns = fields.map(({ name, dataTypeID }) => {
    const column = `"${name.replaceAll('"', '""')}"`;
    return READ.has(dataTypeID) ? column : `CASE WHEN ${column} IS NOT NULL THEN pg_catalog.concat(${column}) END AS ${column}`;
  });
  return `SELECT ${columns.join(', ')} FROM (${select}) AS copied`;
}

/**
 * @param fields the columns as the server describes them (RowDescription)
 * @param keys of the export's rows, in the same order
 * @throws RealmliftError TYPE_UNSUPPORTED
 */
export function columnsOf(fields: readonly { readonly name: string; readonly dataTypeID: number }[], keys: readonly string[], table: string): OutputColumn[] {
  return fields.map(({ name, dataTypeID }, index) => {
    const refused = REFUSED.get(dataTypeID);
    if (refused !== undefined) {
      throw new RealmliftError('TYPE_UNSUPPORTED', 'transform', `the column ${name} has the type ${refused}, which no Zulip export holds`, {
        table, hint: `--strip ${table}.${name} leaves it out`,
      });
    }
    return { key: keys[index] as string, kind: KINDS.get(dataTypeID) ?? 'text' };
  });
}
