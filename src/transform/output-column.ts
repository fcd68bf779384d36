/** What the transform needs to know of a column of the COPY: its key in the export's JSON and how its bytes become JSON. */

/**
 * How a column is written:
 * - `integer`: int2, int4, int8, in digits
 * - `number`: float4, float8, numeric, which come as text; the digits as they are (NaN and Infinity are no JSON: COLUMN_NOT_JSON)
 * - `boolean`: true and false
 * - `timestamp`: timestamptz -> seconds since the epoch as a decimal with up to six fraction digits
 * - `text`: whatever is a string in the export: text, varchar, and as text uuid, date, inet
 * - `json`: json, and jsonb as text; the bytes as they are, so that numbers beyond 2^53 survive
 * - `tsvector`: a string, the text that the server prints
 * - `integer-array`: int2[], int4[], int8[] of one dimension without NULL, as text
 */
export type ColumnKind = 'integer' | 'number' | 'boolean' | 'timestamp' | 'text' | 'tsvector' | 'json' | 'integer-array';

/** One column of the COPY, in the order of the SELECT. */
export interface OutputColumn {
  /** Key in the export's row object. */
  readonly key: string;
  readonly kind: ColumnKind;
}
