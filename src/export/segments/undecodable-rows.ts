/**
 * Names the rows whose text is no UTF-8. A database in SQL_ASCII takes any bytes; an export is JSON and cannot hold them, and the
 * server refuses to send them without saying which row it was.
 */
import { isUtf8 } from 'node:buffer';
import type pg from 'pg';
import type { UndecodableRows } from '../../copy/copy-error.js';
import { copyRows } from '../../copy/copy-rows.js';
import { describeColumns } from '../../copy/describe-columns.js';
import { RealmliftError } from '../../errors.js';
import { useSchema } from '../../plan/search-path.js';

/** Ids that a message names. */
const NAMED = 10;

/** Bytes of a row that are looked at; what is longer is named without its columns. */
const LONGEST = 64 * 1024 * 1024;

/**
 * @param client a session of its own in the same snapshot; it is of no use afterwards
 * @param schema of the table, for the hint
 */
export async function nameUndecodable(client: pg.Client, { table = '', select, cause }: UndecodableRows, schema: string): Promise<RealmliftError> {
  await useSchema(client, schema);
  const fields = await describeColumns(client, select);
  const found: { readonly id: string; readonly column: string }[] = [];
  let rows = 0;
  const reader = new RowReader((row) => {
    if (isUtf8(row)) return;
    rows++;
    if (found.length === NAMED) return;
    const values = valuesOf(row);
    const at = values.findIndex((value) => !isUtf8(Buffer.from(value, 'latin1')));
    found.push({ id: values[fields.findIndex(({ name }) => name === 'id')] ?? '', column: fields[at]?.name ?? '' });
  });
  await client.query(`SET LOCAL client_encoding = 'SQL_ASCII'`);
  await copyRows(client, select, (chunk) => reader.push(chunk), table);
  const [first = { id: '', column: '' }] = found;
  const ids = `${found.map(({ id }) => id).join(', ')}${rows > found.length ? `, and ${rows - found.length} more` : ''}`;
  return new RealmliftError('TEXT_NOT_UTF8', 'copy', `the text of ${rows === 1 ? 'the row' : `${rows} rows`} with id ${ids} is no UTF-8 (column ${first.column}): the database is in SQL_ASCII, and an export is JSON`, {
    table, cause,
    hint: `if it is Latin-1: UPDATE ${schema}.${table} SET ${first.column} = convert_from(convert(convert_to(${first.column}, 'SQL_ASCII'), 'LATIN1', 'UTF8'), 'SQL_ASCII') WHERE id IN (${found.map(({ id }) => id).join(', ')}); then run again`,
  });
}

/** Cuts CSV into rows: line ends within quotes do not end one. */
class RowReader {
  readonly #onRow: (row: Buffer) => void;
  #pieces: Buffer[] = [];
  #length = 0;
  #quoted = false;

  constructor(onRow: (row: Buffer) => void) {
    this.#onRow = onRow;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      if (chunk[at] === 0x22) this.#quoted = !this.#quoted;
      if (chunk[at] !== 0x0a || this.#quoted) continue;
      this.#keep(chunk.subarray(from, at));
      this.#onRow(Buffer.concat(this.#pieces));
      this.#pieces = [];
      this.#length = 0;
      from = at + 1;
    }
    this.#keep(chunk.subarray(from));
  }

  #keep(bytes: Buffer): void {
    this.#length += bytes.length;
    // The chunk is filled anew.
    if (this.#length <= LONGEST) this.#pieces.push(Buffer.from(bytes));
  }
}

/** Fields of a row of CSV, one character a byte. */
function valuesOf(row: Buffer): string[] {
  return [...row.toString('latin1').matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}
