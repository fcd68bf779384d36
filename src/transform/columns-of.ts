/** From what PostgreSQL says of a query's columns to how the transform writes them. */
import { RealmliftError } from '../errors.js';
import type { ColumnKind, OutputColumn } from './output-column.js';

/** OIDs of built-in types, fixed for ever in PostgreSQL's pg_type.dat. */
const KINDS: ReadonlyMap<number, ColumnKind> = new Map<number, ColumnKind>([
  [16, 'boolean'],
  [20, 'integer'], [21, 'integer'], [23, 'integer'],
  [700, 'number'], [701, 'number'], [1700, 'number'],
  [1184, 'timestamp'],
  [114, 'json'], [3802, 'json'],
  [1005, 'integer-array'], [1007, 'integer-array'], [1016, 'integer-array'],
]);

/** Arrays other than of integers, composite and range types have no text form that is JSON: OIDs from PostgreSQL's pg_type.dat. */
const REFUSED = new Map([[1009, 'text[]'], [1015, 'varchar[]'], [1231, 'numeric[]'], [1000, 'boolean[]'], [1185, 'timestamptz[]'], [2951, 'uuid[]'], [17, 'bytea'], [2249, 'record']]);

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
