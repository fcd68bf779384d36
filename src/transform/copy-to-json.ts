/**
 * The row path: bytes of `COPY (…) TO STDOUT (FORMAT binary)` in, JSON bytes of the export out, without making objects
 * or strings. Chunks may cut a row anywhere; a field of any size passes through the one output buffer.
 *
 * Why binary: the server looks at each character of a text twice to put it in quotes for CSV, which is more than half of
 * what a COPY of messages costs it, and writes numbers and dates in digits only for us to read them again.
 * https://www.postgresql.org/docs/current/sql-copy.html
 *
 * Rows are separated by commas and not enclosed: `{"id":1},{"id":2}`. The sink writes the brackets of the array around them.
 */
import { RealmliftError } from '../errors.js';
import { integerAt, writeBoolean, writeInteger, writeTimestamp } from './fixed-fields.js';
import { writeIntegerRows } from './integer-rows.js';
import type { ColumnKind, OutputColumn } from './output-column.js';
import type { DealtSink, RowSink, SegmentedSink } from './row-sinks.js';
import { columnsThatTravel } from './strip-secrets.js';
import { stampOf, Tape, type Stamp } from './tape.js';
import { copyField, FIELD, isWholeArray, isWholeNumber, writeIntegerArray, writeNumber, writeText, type Field } from './text-fields.js';

/** What COPY begins with, up to the length of an extension that no server has yet. */
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');

/** Stands where the number of a row's fields would, behind the last row. */
const TRAILER = -1;
const TRAILER_LENGTH = 2;

/** Length of a field that is null. */
const NULL_LENGTH = -1;

/** Room that any field but a long one needs: a timestamp of 12 + 1 + 6 digits, an integer of 20, the punctuation, a stamp's excess. */
const FIELD_ROOM = 64;

/** Up to `boolean` of a fixed length, which is read once it is there as a whole. */
const KIND = { 'integer': 0, 'timestamp': 1, 'boolean': 2, 'skip': 3, 'text': 4, 'json': 5, 'number': 6, 'integer-array': 7 } as const satisfies Record<ColumnKind | 'skip', number>;

const NULL = stampOf('null');
const NOTHING = stampOf('');
const COMMA = 0x2c;
const QUOTE = 0x22;
const CLOSE = 0x7d;

/** Transforms the rows of one COPY. Feed it with push() and finish it with end(); after an error it must not be used again. */
export class CopyToJson {
  readonly #columns: readonly OutputColumn[];
  readonly #table: string;
  readonly #tape: Tape;
  readonly #segmented: SegmentedSink | undefined;
  readonly #dealt: DealtSink | undefined;
  /** Per column: its place among the shown ones, or -1. */
  readonly #shownAt: readonly number[];
  /** Per column: how its field is read. */
  readonly #kinds: readonly number[];
  /** Per column: what goes before its value, e.g. `,"sender":`; nothing for one that is not written. */
  readonly #prefixes: readonly Stamp[];
  /** All columns are integers that travel, and the sink wants to know nothing of the rows. */
  readonly #plain: boolean;
  #boundary = Infinity;
  readonly #watched: number = -1;
  #id = NaN;
  #seen = NaN;
  #column = 0;
  /** Bytes of the current field that are still to come; -1 between fields. */
  #left = -1;
  /** Bytes that the end of a chunk has cut from what belongs to them, and where the next chunk is put behind them. */
  #rest: Uint8Array = new Uint8Array(0);
  #joined = new Uint8Array(0);
  #begun = false;
  #ended = false;
  #comma = false;
  #rows = 0;

  /**
   * @param columns in the order of the SELECT, which casts as {@link copyableSelect} says; for a segmented or dealt sink the first is an
   *   integer (it may be a stripped one)
   * @param table for error messages
   * @param stripped keys that must not be written
   */
  constructor(columns: readonly OutputColumn[], sink: RowSink | SegmentedSink | DealtSink, table: string, stripped: ReadonlySet<string> = new Set()) {
    this.#columns = columns;
    this.#table = table;
    this.#tape = new Tape((bytes) => sink.write(bytes));
    const travels = columnsThatTravel(columns, stripped);
    const first = travels.indexOf(true);
    if (first === -1) throw new RealmliftError('TABLE_EMPTY', 'transform', 'no column of this table may travel', { table });
    const kinds = columns.map(({ kind }, index): number => (travels[index] === true ? KIND[kind] : KIND.skip));
    this.#prefixes = columns.map(({ key }, index) => (travels[index] === true ? stampOf(`${index === first ? '{' : ','}${JSON.stringify(key)}:`) : NOTHING));
    this.#dealt = 'endRow' in sink ? sink : undefined;
    this.#segmented = 'startFile' in sink ? sink : undefined;
    const wanted = this.#dealt?.shown ?? (this.#segmented === undefined ? [] : [0, this.#segmented.watched]);
    if (wanted.some((index) => index >= 0 && (index === 0 ? columns[0]?.kind !== 'integer' : kinds[index] !== KIND.integer))) {
      throw new RealmliftError('SEGMENT_COLUMN', 'transform', 'a column that is shown is not an integer that travels', { table });
    }
    if (this.#dealt !== undefined && travels[0] === true) throw new RealmliftError('SEGMENT_COLUMN', 'transform', 'whose rows they are would be written', { table });
    if (wanted.length > 0) kinds[0] = KIND.integer;
    this.#kinds = kinds;
    this.#plain = wanted.length === 0 && kinds.every((kind) => kind === KIND.integer);
    this.#shownAt = columns.map((_, index) => this.#dealt?.shown.indexOf(index) ?? -1);
    if (this.#segmented !== undefined) {
      this.#boundary = this.#segmented.boundary;
      this.#watched = this.#segmented.watched;
    }
  }

  /** Rows completed. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * Takes the next bytes of the COPY; they are not kept.
   *
   * @throws RealmliftError COPY_MALFORMED, COLUMN_NOT_JSON, TIMESTAMP_NOT_JSON; what the sink throws
   */
  push(chunk: Uint8Array): void {
    const tape = this.#tape;
    tape.load(this.#withRest(chunk));
    if (this.#begun || this.#readSignature()) {
      do this.#readRows();
      while (this.#readField());
    }
    // A copy: of a Buffer, slice() would be a view of what the connection fills anew.
    this.#rest = Uint8Array.from(tape.source.subarray(tape.at, tape.end));
  }

  /**
   * Says that the COPY is complete and gives the sink what is left.
   *
   * @throws RealmliftError COPY_MALFORMED when it ends before its last row
   */
  end(): void {
    if (!this.#ended) throw this.#malformed('the stream ends before its last row');
    this.#tape.flush();
  }

  #withRest(chunk: Uint8Array): Uint8Array {
    const rest = this.#rest;
    if (rest.length === 0) return chunk;
    const length = rest.length + chunk.length;
    if (this.#joined.length < length) this.#joined = new Uint8Array(length);
    this.#joined.set(rest);
    this.#joined.set(chunk, rest.length);
    return this.#joined.subarray(0, length);
  }

  #readSignature(): boolean {
    const { source, end } = this.#tape;
    if (end < SIGNATURE.length) return false;
    if (!SIGNATURE.equals(source.subarray(0, SIGNATURE.length))) throw this.#malformed('the stream does not begin as COPY does');
    this.#tape.at = SIGNATURE.length;
    this.#begun = true;
    return true;
  }

  /** Reads what can be read row by row; what follows is read field by field. */
  #readRows(): void {
    if (!this.#plain || this.#column > 0) return;
    const rows = writeIntegerRows(this.#tape, this.#prefixes, this.#comma);
    this.#rows += rows;
    this.#comma ||= rows > 0;
  }

  /** Reads the next field, or the rest of one. False when there is not enough of it. */
  #readField(): boolean {
    if (this.#left >= 0) return this.#readBody();
    const tape = this.#tape;
    const { words, end } = tape;
    const column = this.#column;
    let { at } = tape;
    if (column === 0) {
      if (end - at < TRAILER_LENGTH) return false;
      const fields = words.getInt16(at);
      if (fields !== this.#columns.length || this.#ended) return this.#readTrailer(fields);
      at += TRAILER_LENGTH;
    }
    if (end - at < 4) return false;
    const length = words.getInt32(at);
    at += 4;
    const kind = this.#kinds[column] as number;
    if (kind <= KIND.boolean) {
      if (length > 8) this.#fail(FIELD.malformed);
      if (end - at < length) return false;
    }
    if (column === 0) this.#startRow(at, length);
    const prefix = this.#prefixes[column] as Stamp;
    tape.reserve(prefix.length + FIELD_ROOM);
    if (column === 0 && this.#comma) tape.out[tape.length++] = COMMA;
    tape.stamp(prefix);
    if (length === NULL_LENGTH) {
      if (kind !== KIND.skip && prefix !== NOTHING) tape.stamp(NULL);
      if (kind === KIND.integer) this.#show(column, NaN);
      tape.at = at;
    } else if (kind <= KIND.boolean) {
      this.#writeFixed(kind, at, length, prefix !== NOTHING);
      tape.at = at + length;
    } else {
      if (length < 0) this.#fail(FIELD.malformed);
      if (kind === KIND.text) tape.out[tape.length++] = QUOTE;
      tape.at = at;
      tape.state = 0;
      this.#left = length;
      return this.#readBody();
    }
    this.#endField();
    return true;
  }

  #readTrailer(fields: number): false {
    const tape = this.#tape;
    if (fields !== TRAILER || this.#ended) throw this.#malformed('a row has more or fewer columns than the query');
    tape.at += TRAILER_LENGTH;
    this.#ended = true;
    if (tape.at < tape.end) throw this.#malformed('the stream goes on behind its end');
    return false;
  }

  /** @param at, length of the first field */
  #startRow(at: number, length: number): void {
    if (this.#segmented === undefined && this.#dealt === undefined) return;
    if (length === NULL_LENGTH) throw this.#malformed('the first column is null');
    this.#id = integerAt(this.#tape, at, length);
    this.#seen = NaN;
    if (this.#id > this.#boundary) this.#startFile(this.#segmented as SegmentedSink);
  }

  #startFile(sink: SegmentedSink): void {
    const tape = this.#tape;
    tape.flush();
    sink.startFile(this.#id);
    this.#boundary = sink.boundary;
    this.#comma = false;
  }

  #show(column: number, value: number): void {
    if (column === this.#watched) this.#seen = value;
    const shown = this.#shownAt[column] as number;
    if (shown >= 0) (this.#dealt as DealtSink).values[shown] = value;
  }

  #writeFixed(kind: number, at: number, length: number, written: boolean): void {
    const tape = this.#tape;
    if (kind === KIND.integer) {
      const value = integerAt(tape, at, length);
      if (Number.isNaN(value)) this.#fail(FIELD.malformed);
      this.#show(this.#column, value);
      if (written) writeInteger(tape, value, at);
    } else if (kind === KIND.boolean) {
      if (length !== 1 || !writeBoolean(tape, at)) this.#fail(FIELD.malformed);
    } else {
      if (length !== 8) this.#fail(FIELD.malformed);
      if (!writeTimestamp(tape, at)) this.#fail(FIELD.notJson);
    }
  }

  /** Of a field of any length, as much of it as there is. */
  #readBody(): boolean {
    const tape = this.#tape;
    const kind = this.#kinds[this.#column] as number;
    const before = tape.at;
    const stop = Math.min(tape.end, before + this.#left);
    if (kind === KIND.text) writeText(tape, stop);
    else if (kind === KIND.skip) tape.at = stop;
    else this.#writeOther(kind, stop);
    this.#left -= stop - before;
    if (this.#left > 0) return false;
    this.#left = -1;
    tape.reserve(1);
    if (kind === KIND.text) tape.out[tape.length++] = QUOTE;
    this.#endField();
    return true;
  }

  #writeOther(kind: number, stop: number): void {
    const tape = this.#tape;
    const last = tape.at + this.#left === stop;
    let said: Field = FIELD.good;
    let whole = true;
    if (kind === KIND.number) {
      said = writeNumber(tape, stop);
      whole = isWholeNumber(tape);
    } else if (kind === KIND['integer-array']) {
      said = writeIntegerArray(tape, stop);
      whole = isWholeArray(tape);
    } else {
      // No JSON is empty, and the server has none.
      whole = tape.state > 0 || stop > tape.at;
      tape.state = 1;
      copyField(tape, stop);
    }
    if (said !== FIELD.good) this.#fail(said);
    if (last && !whole) this.#fail(FIELD.malformed);
  }

  #endField(): void {
    if (++this.#column < this.#columns.length) return;
    const tape = this.#tape;
    tape.reserve(1);
    tape.out[tape.length++] = CLOSE;
    this.#column = 0;
    this.#rows++;
    if (this.#dealt !== undefined) {
      tape.flush();
      this.#dealt.endRow();
      return;
    }
    this.#comma = true;
    this.#segmented?.see(this.#id, this.#seen);
  }

  #fail(field: Field): never {
    const column = this.#columns[this.#column] as OutputColumn;
    const where = `column "${column.key}", row ${this.#rows + 1} of the query`;
    if (field !== FIELD.notJson) throw this.#malformed(`${where}: not what the server sends for ${column.kind}`);
    const [code, what] = column.kind === 'timestamp'
      ? ['TIMESTAMP_NOT_JSON', 'a timestamp that Zulip cannot read: infinite, BC, or after the year 9999'] as const
      : ['COLUMN_NOT_JSON', 'NaN or Infinity, which JSON cannot hold'] as const;
    throw new RealmliftError(code, 'transform', `${where}: ${what}`, { table: this.#table, hint: 'correct the row in the database' });
  }

  #malformed(what: string): RealmliftError {
    return new RealmliftError('COPY_MALFORMED', 'transform', what, { table: this.#table, hint: 'the COPY was cut or changed on its way', again: true });
  }
}
