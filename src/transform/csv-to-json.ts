/**
 * The row path: CSV bytes of `COPY (…) TO STDOUT (FORMAT csv)` in, JSON bytes of the export out, without making objects
 * or strings. Chunks may cut a row anywhere; a field of any size passes through the one output buffer.
 *
 * Measured with bench/transcode.ts, one thread, against a loop in the same run that only copies the CSV byte by byte: messages
 * take 1.1 times as long (0.67 GB/s), plain text 0.4 times (four bytes at a time), usermessages 6 times (5.3 M rows/s, nearly
 * three bytes of JSON for each of CSV).
 *
 * Rows are separated by commas and not enclosed: `{"id":1},{"id":2}`. The sink writes the brackets of the array around them.
 */
import { RealmliftError } from '../errors.js';
import { integerValue, writeBoolean, writeInteger, writeIntegerArray, writeNumber } from './number-fields.js';
import type { ColumnKind, OutputColumn } from './output-column.js';
import { columnsThatTravel } from './strip-secrets.js';
import { COMMA, NEWLINE, OUTCOME, Tape, type Outcome } from './tape.js';
import { skipField, writeJson, writeText } from './text-fields.js';
import { writeTimestamp } from './timestamp-field.js';

/** Where the rows go. */
export interface RowSink {
  /**
   * Takes the next bytes: rows, or parts of them, with commas between rows.
   *
   * They are the transform's own buffer and valid only during the call: write them synchronously, or copy what must stay.
   */
  write(bytes: Uint8Array): void;
}

/** A sink that splits the rows over several files by their first column, in which the rows must rise. */
export interface SegmentedSink extends RowSink {
  /** Rows whose first column is at most this go on in the current file. Read once at the start and after each startRow. */
  readonly boundary: number;
  /**
   * Announces a row whose first column is `id`, beyond the boundary. All rows before it have been given to write(), none
   * of its own bytes has, and no comma will come before it: close the file and open that of this row.
   *
   * @param at offset of the row's first byte in the CSV
   */
  startRow(id: number, at: number): void;
  /** Index of a further integer column whose values the sink sees; -1 where there is none. Read once at the start. */
  readonly watched: number;
  /** Shows the watched column's value in a row, unless it is null; the row's first column came before. */
  see(value: number): void;
}

/** A sink that takes row after row, without commas, and learns of each whose it is: the first column, an integer, is shown and not written. */
export interface DealtSink extends RowSink {
  /** Indexes of integer columns whose values in the current row the sink wants to see; the first column is the first of them, -1 stands for none. */
  readonly shown: readonly number[];
  /** Those values, in the same order: NaN for null. */
  readonly values: Float64Array;
  /** The row is complete: what write() took since the last call. */
  endRow(): void;
}

/** Room that any field but a long one needs: a timestamp of 12 + 1 + 6 digits, an integer of 20, and the punctuation. */
const FIELD_ROOM = 64;

const KIND = { skip: 0, integer: 1, number: 2, boolean: 3, timestamp: 4, text: 5, json: 6, 'integer-array': 7 } as const satisfies Record<ColumnKind | 'skip', number>;

const NULL = Buffer.from('null');
const CLOSE = 0x7d;

/** Transforms the rows of one COPY. Feed it with push() and finish it with end(); after an error it must not be used again. */
export class CsvToJson {
  readonly #columns: readonly OutputColumn[];
  readonly #table: string;
  readonly #tape: Tape;
  readonly #segmented: SegmentedSink | undefined;
  readonly #dealt: DealtSink | undefined;
  /** Per column: its place among the shown ones, or -1. */
  readonly #shownAt: readonly number[];
  /** Per column: how its field is read. */
  readonly #kinds: readonly number[];
  /** Per column: what goes before its value, e.g. `,"sender":`; nothing for a stripped one. */
  readonly #prefixes: readonly Uint8Array[];
  readonly #firstTravels: boolean;
  #boundary = Infinity;
  #watched = -1;
  #column = 0;
  #insideField = false;
  /** Where the current row begins in the output buffer, its comma included, while its first field is being read. */
  #rowStart = 0;
  #comma = 0;
  #rows = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  /**
   * @param columns in the order of the SELECT; for a segmented sink the first is an integer (it may be a stripped one)
   * @param table for error messages
   * @param stripped keys that must not be written
   */
  constructor(columns: readonly OutputColumn[], sink: RowSink | SegmentedSink | DealtSink, table: string, stripped: ReadonlySet<string> = new Set()) {
    this.#columns = columns;
    this.#table = table;
    this.#tape = new Tape((bytes) => {
      this.#bytesOut += bytes.length;
      sink.write(bytes);
    });
    const travels = columnsThatTravel(columns, stripped);
    const first = travels.indexOf(true);
    if (first === -1) throw new RealmliftError('TABLE_EMPTY', 'transform', 'no column of this table may travel', { table });
    this.#firstTravels = first === 0;
    this.#kinds = columns.map((column, index) => (travels[index] === true ? KIND[column.kind] : KIND.skip));
    this.#prefixes = columns.map((column, index) =>
      Buffer.from(travels[index] === true ? `${index === first ? '{' : ','}${JSON.stringify(column.key)}:` : ''));
    this.#dealt = 'endRow' in sink ? sink : undefined;
    this.#shownAt = columns.map((_, index) => this.#dealt?.shown.indexOf(index) ?? -1);
    if (this.#dealt !== undefined) {
      this.#kinds = [KIND.integer, ...this.#kinds.slice(1)];
      if (travels[0] === true || this.#dealt.shown.some((index) => index >= 0 && this.#kinds[index] !== KIND.integer)) throw new RealmliftError('SEGMENT_COLUMN', 'transform', 'a shown column is not an integer, or whose rows they are would be written', { table });
    }
    if ('startRow' in sink) {
      if (columns[0]?.kind !== 'integer') throw new RealmliftError('SEGMENT_COLUMN', 'transform', 'the first column of a segmented table is not an integer', { table });
      this.#segmented = sink;
      this.#boundary = sink.boundary;
      this.#watched = sink.watched;
      if (this.#watched >= 0 && this.#kinds[this.#watched] !== KIND.integer) throw new RealmliftError('SEGMENT_COLUMN', 'transform', 'the watched column is not an integer that travels', { table });
      this.#kinds = [KIND.integer, ...this.#kinds.slice(1)];
    }
  }

  /** Rows completed. */
  get rows(): number {
    return this.#rows;
  }

  /** Bytes of CSV taken. */
  get bytesIn(): number {
    return this.#bytesIn;
  }

  /** Bytes at the end of what was taken of which no sink knows yet to which row they belong: a first field that is cut. */
  get unannounced(): number {
    return this.#insideField && this.#column === 0 ? this.#tape.count : 0;
  }

  /** Bytes of JSON given to the sink. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /**
   * Takes the next bytes of the COPY; they are not kept.
   *
   * @throws RealmliftError CSV_MALFORMED, COLUMN_NOT_JSON, TIMESTAMP_NOT_JSON; what the sink throws
   */
  push(chunk: Uint8Array): void {
    const tape = this.#tape;
    tape.load(chunk);
    this.#bytesIn += chunk.length;
    while (tape.at < tape.end) {
      if (!this.#insideField) this.#startField();
      const outcome = this.#field();
      if (outcome === OUTCOME.cut) return;
      if (outcome !== OUTCOME.done) this.#fail(outcome);
      this.#endField();
    }
  }

  /**
   * Says that the COPY is complete and gives the sink what is left.
   *
   * @throws RealmliftError CSV_MALFORMED when a row is incomplete
   */
  end(): void {
    if (this.#insideField || this.#column > 0) throw this.#malformed('the stream ends inside a row');
    this.#tape.flush();
  }

  #startField(): void {
    const tape = this.#tape;
    const prefix = this.#prefixes[this.#column] as Uint8Array;
    tape.reserve(prefix.length + FIELD_ROOM);
    if (this.#column === 0) {
      this.#rowStart = tape.length;
      if (this.#comma === 1) tape.out[tape.length++] = COMMA;
    }
    tape.append(prefix);
    tape.state = 0;
    tape.count = 0;
    this.#insideField = true;
  }

  #field(): Outcome {
    const tape = this.#tape;
    const kind = this.#kinds[this.#column] as number;
    const byte = tape.source[tape.at];
    if (tape.state === 0 && tape.count === 0 && (byte === COMMA || byte === NEWLINE)) {
      if (kind !== KIND.skip) tape.append(NULL);
      return OUTCOME.done;
    }
    switch (kind) {
      case KIND.integer: return writeInteger(tape);
      case KIND.text: return writeText(tape);
      case KIND.timestamp: return writeTimestamp(tape);
      case KIND.boolean: return writeBoolean(tape);
      case KIND.json: return writeJson(tape);
      case KIND.number: return writeNumber(tape);
      case KIND['integer-array']: return writeIntegerArray(tape);
      default: return skipField(tape);
    }
  }

  #endField(): void {
    const tape = this.#tape;
    if (this.#segmented !== undefined) {
      if (this.#column === 0) this.#startRow(this.#segmented);
      else if (this.#column === this.#watched && tape.count > 0) this.#segmented.see(integerValue(tape.out, tape.length - tape.count, tape.length));
    }
    const shown = this.#shownAt[this.#column] as number;
    if (this.#dealt !== undefined && shown >= 0) {
      this.#dealt.values[shown] = tape.count === 0 ? NaN : integerValue(tape.out, tape.length - tape.count, tape.length);
      if (this.#column === 0) tape.length = this.#rowStart;
    }
    const delimiter = tape.source[tape.at++];
    this.#insideField = false;
    if (delimiter === COMMA) {
      if (++this.#column === this.#columns.length) throw this.#malformed('a row has more columns than the query');
    } else if (delimiter === NEWLINE) {
      if (this.#column !== this.#columns.length - 1) throw this.#malformed('a row has fewer columns than the query');
      tape.reserve(1);
      tape.out[tape.length++] = CLOSE;
      this.#column = 0;
      this.#rows++;
      if (this.#dealt === undefined) this.#comma = 1;
      else {
        tape.flush();
        this.#dealt.endRow();
      }
    } else {
      this.#fail(OUTCOME.malformed);
    }
  }

  #startRow(sink: SegmentedSink): void {
    const tape = this.#tape;
    const digits = tape.count;
    if (digits === 0) throw this.#malformed('the first column is null');
    const id = integerValue(tape.out, tape.length - digits, tape.length);
    const start = this.#rowStart + this.#comma;
    if (!this.#firstTravels) tape.length = start;
    if (id <= this.#boundary) return;
    const row = tape.out.slice(start, tape.length);
    tape.length = this.#rowStart;
    tape.flush();
    sink.startRow(id, this.#bytesIn - (tape.end - tape.at) - digits);
    this.#boundary = sink.boundary;
    tape.append(row);
  }

  #fail(outcome: Outcome): never {
    const column = this.#columns[this.#column] as OutputColumn;
    const where = `column "${column.key}", row ${this.#rows + 1} of the query`;
    if (outcome !== OUTCOME.notJson) throw this.#malformed(`${where}: not what the server writes for ${column.kind}`);
    if (column.kind === 'timestamp') {
      throw new RealmliftError('TIMESTAMP_NOT_JSON', 'transform', `${where}: a timestamp that Zulip cannot read: infinite, BC, after the year 9999 or not in UTC`, {
        table: this.#table, hint: 'correct the row in the database',
      });
    }
    throw new RealmliftError('COLUMN_NOT_JSON', 'transform', `${where}: NaN or Infinity, which JSON cannot hold`, { table: this.#table, hint: 'correct the row in the database' });
  }

  #malformed(what: string): RealmliftError {
    return new RealmliftError('CSV_MALFORMED', 'transform', what, { table: this.#table, hint: 'the COPY was cut or changed on its way; run again' });
  }
}
