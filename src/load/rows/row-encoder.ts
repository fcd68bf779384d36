/** Rows of an export, which are JSON, as rows of COPY's text format: which key goes to which column is looked up once a table. */
import { RealmliftError } from '../../errors.js';
import type { RowFields } from '../../json/row-fields.js';
import { timestamp } from '../../timestamp.js';
import type { CopyText } from './copy-text.js';
import type { Kind } from '../server/target-tables.js';

/** What takes the place of a value: null is SQL's NULL; undefined leaves what the row has. */
export type Rule = (fields: RowFields) => string | null | undefined;

export interface EncodedColumn {
  readonly name: string;
  /** Under which the row has the value. */
  readonly key: string;
  readonly kind: Kind;
  readonly rule: Rule | undefined;
}

const QUOTE = 0x22;
const NULL = 0x6e;
const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;

export class RowEncoder {
  readonly #columns: readonly EncodedColumn[];
  readonly #ignored: ReadonlySet<string>;
  /** The field of each column in the row before, which is nearly always the same. */
  readonly #fields: number[];
  /** How many keys that row had, all of them known. */
  #known = -1;

  /** @param ignored keys that have no column, and need none */
  constructor(columns: readonly EncodedColumn[], ignored: ReadonlySet<string>) {
    this.#columns = columns;
    this.#ignored = ignored;
    this.#fields = columns.map(() => 0);
  }

  /** @throws RealmliftError COLUMN_UNKNOWN, VALUE_REFUSED */
  encode(fields: RowFields, out: CopyText): void {
    let found = 0;
    for (let index = 0; index < this.#columns.length; index++) {
      const column = this.#columns[index] as EncodedColumn;
      out.separate();
      let field = this.#fields[index] as number;
      if (field === -1 || field >= fields.count || fields.key(field) !== column.key) this.#fields[index] = field = fields.find(column.key);
      if (field !== -1) found++;
      const ruled = column.rule?.(fields);
      if (ruled !== undefined) {
        if (ruled === null) out.nothing();
        else out.text(ruled);
      } else if (field === -1) out.nothing();
      else value(fields, field, column.kind, out);
    }
    out.endRow();
    if (fields.count !== this.#known || found !== this.#columns.length) this.#refuseUnknown(fields);
  }

  /** A row may have more keys than the first of its table had. */
  #refuseUnknown(fields: RowFields): void {
    const known = new Set(this.#columns.map(({ key }) => key));
    for (let field = 0; field < fields.count; field++) {
      const key = fields.key(field);
      if (!known.has(key) && !this.#ignored.has(key)) throw new RealmliftError('COLUMN_UNKNOWN', 'load', `a row has the key ${key}, which the first of its table has not`);
    }
    this.#known = fields.count;
  }
}

function value(fields: RowFields, field: number, kind: Kind, out: CopyText): void {
  const { row } = fields;
  const [start, end] = [fields.start(field), fields.end(field)];
  const first = row[start];
  if (first === NULL) out.nothing();
  else if (kind === 'json') out.json(row, start, end);
  else if (first === QUOTE) out.string(row, start, end);
  else if (kind === 'time') out.text(timestamp(Number(row.toString('latin1', start, end))));
  else if (kind === 'array' && first === OPEN_ARRAY) out.text(arrayLiteral(JSON.parse(row.toString('utf8', start, end)) as unknown[]));
  else if (first === OPEN_ARRAY || first === OPEN_OBJECT) out.json(row, start, end);
  else out.raw(row, start, end);
}

/** https://www.postgresql.org/docs/current/arrays.html#ARRAYS-INPUT */
function arrayLiteral(values: readonly unknown[]): string {
  return `{${values.map((each) => (each === null ? 'NULL' : Array.isArray(each) ? arrayLiteral(each) : `"${String(each as string | number | boolean).replace(/[\\"]/g, '\\$&')}"`)).join(',')}}`;
}
