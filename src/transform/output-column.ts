/** What the transform needs to know of a column of the COPY: its key in the export's JSON and how its text becomes JSON. */

/**
 * How a column's CSV text is written:
 * - `integer`: int2, int4, int8; the digits as they are
 * - `number`: float4, float8, numeric; the digits as they are (NaN and Infinity are no JSON: COLUMN_NOT_JSON)
 * - `boolean`: t and f
 * - `timestamp`: timestamptz in ISO style and UTC -> seconds since the epoch as a decimal with up to six fraction digits
 * - `text`: whatever is a string in the export: text, varchar, uuid, tsvector, date, inet
 * - `json`: json and jsonb; the bytes as they are, so that numbers beyond 2^53 survive
 * - `integer-array`: int2[], int4[], int8[] of one dimension without NULL
 */
export type ColumnKind = 'integer' | 'number' | 'boolean' | 'timestamp' | 'text' | 'json' | 'integer-array';

/** One column of `COPY (SELECT …) TO STDOUT (FORMAT csv)`, in the order of the SELECT. */
export interface OutputColumn {
  /** Key in the export's row object. */
  readonly key: string;
  readonly kind: ColumnKind;
}
