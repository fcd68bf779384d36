/**
 * The row path: bytes of `COPY (…) TO STDOUT (FORMAT binary)` in, JSON bytes of the export out, without making objects
 * or strings. Chunks may cut a row anywhere; a field of any size passes through the one output buffer. The bytes themselves
 * are read and written in assembly/.
 *
 * Why binary: the server looks at each character of a text twice to put it in quotes for CSV, which is more than half of
 * what a COPY of messages costs it, and writes numbers and dates in digits only for us to read them again.
 * https://www.postgresql.org/docs/current/sql-copy.html
 *
 * Rows are separated by commas and not enclosed: `{"id":1},{"id":2}`. The sink writes the brackets of the array around them.
 */
import { RealmliftError } from '../errors.js';
import {
  BEHIND_END, BOOLEAN, DEALT, FIELD_MALFORMED, FIELD_NOT_JSON, FIELDS_MISCOUNTED, FIRST_NULL, GOOD, INTEGER, INTEGER_ARRAY, JSON_TEXT, NO_SIGNATURE, NUMBER, PLAIN, SEGMENTED, SKIPPED, TEXT,
  TIMESTAMP, VECTOR,
} from './layout.js';
import type { ColumnKind, OutputColumn } from './output-column.js';
import type { DealtSink, RowSink, SegmentedSink } from './row-sinks.js';
import { columnsThatTravel } from './strip-secrets.js';
import { Transcoder, type Receiver } from './transcoder.js';

const KINDS: Readonly<Record<ColumnKind, number>> = {
  'integer': INTEGER, 'timestamp': TIMESTAMP, 'boolean': BOOLEAN, 'text': TEXT, 'tsvector': VECTOR, 'json': JSON_TEXT, 'number': NUMBER, 'integer-array': INTEGER_ARRAY,
};

/** What is wrong with a COPY as a whole; of a field, see #wrongField. */
const FAULTS: ReadonlyMap<number, string> = new Map([
  [NO_SIGNATURE, 'the stream does not begin as COPY does'],
  [FIELDS_MISCOUNTED, 'a row has more or fewer columns than the query'],
  [FIRST_NULL, 'the first column is null'],
  [BEHIND_END, 'the stream goes on behind its end'],
]);

/** Transforms the rows of one COPY. Feed it with push() and finish it with end(); after an error it must not be used again. */
export class CopyToJson {
  readonly #columns: readonly OutputColumn[];
  readonly #table: string;
  readonly #receiver: Receiver;
  /** Until the end. */
  #transcoder: Transcoder | undefined;
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
    this.#receiver = receiverOf(sink);
    const { kind: sinkKind, shown } = this.#receiver;
    const travels = columnsThatTravel(columns, stripped);
    const first = travels.indexOf(true);
    if (first === -1) throw new RealmliftError('TABLE_EMPTY', 'transform', 'no column of this table may travel', { table });
    if (shown.some((index) => index >= 0 && (columns[index]?.kind !== 'integer' || (index > 0 && travels[index] !== true)))) {
      throw new RealmliftError('SEGMENT_COLUMN', 'transform', 'a column that is shown is not an integer that travels', { table });
    }
    if (sinkKind === DEALT && travels[0] === true) throw new RealmliftError('SEGMENT_COLUMN', 'transform', 'whose rows they are would be written', { table });
    this.#transcoder = Transcoder.take(columns.map(({ key, kind }, index) => ({
      kind: travels[index] === true || shown.includes(index) ? KINDS[kind] : SKIPPED,
      prefix: travels[index] === true ? `${index === first ? '{' : ','}${JSON.stringify(key)}:` : '',
      shown: shown.indexOf(index),
    })), this.#receiver);
  }

  /** Rows completed. */
  get rows(): number {
    return this.#transcoder?.rows ?? this.#rows;
  }

  /**
   * Takes the next bytes of the COPY; they are not kept.
   *
   * @throws RealmliftError COPY_MALFORMED, COLUMN_NOT_JSON, TIMESTAMP_NOT_JSON; what the sink throws
   */
  push(chunk: Uint8Array): void {
    const transcoder = this.#transcoder as Transcoder;
    const said = transcoder.push(chunk);
    if (said === GOOD) return;
    // Whose row it is.
    this.#receiver.show(transcoder.shown);
    if (said === FIELD_MALFORMED || said === FIELD_NOT_JSON) throw this.#wrongField(said, transcoder);
    throw this.#malformed(FAULTS.get(said) as string);
  }

  /**
   * Says that the COPY is complete and gives the sink what is left.
   *
   * @throws RealmliftError COPY_MALFORMED when it ends before its last row
   */
  end(): void {
    const transcoder = this.#transcoder as Transcoder;
    if (!transcoder.end()) throw this.#malformed('the stream ends before its last row');
    this.#rows = transcoder.rows;
    this.#transcoder = undefined;
    transcoder.giveBack();
  }

  #wrongField(said: number, transcoder: Transcoder): RealmliftError {
    const column = this.#columns[transcoder.column] as OutputColumn;
    const where = `column "${column.key}", row ${transcoder.rows + 1} of the query`;
    if (said !== FIELD_NOT_JSON) return this.#malformed(`${where}: not what the server sends for ${column.kind}`);
    const [code, what] = column.kind === 'timestamp'
      ? ['TIMESTAMP_NOT_JSON', 'a timestamp that Zulip cannot read: infinite, BC, or after the year 9999'] as const
      : ['COLUMN_NOT_JSON', 'NaN or Infinity, which JSON cannot hold'] as const;
    return new RealmliftError(code, 'transform', `${where}: ${what}`, { table: this.#table, hint: 'correct the row in the database' });
  }

  #malformed(what: string): RealmliftError {
    return new RealmliftError('COPY_MALFORMED', 'transform', what, { table: this.#table, hint: 'the COPY was cut or changed on its way', again: true });
  }
}

/** What assembly/ is told of a sink, and calls of it. */
function receiverOf(sink: RowSink | SegmentedSink | DealtSink): Receiver {
  const none = (): never => { throw new Error('a sink of this kind is not asked'); };
  const plain: Receiver = { kind: PLAIN, shown: [], boundary: Infinity, show: () => undefined, write: (bytes) => sink.write(bytes), startFile: none, see: none, endRow: none };
  if ('endRow' in sink) return { ...plain, kind: DEALT, shown: sink.shown, show: (values) => sink.values.set(values), endRow: () => sink.endRow() };
  if (!('startFile' in sink)) return plain;
  const startFile = (id: number): number => {
    sink.startFile(id);
    return sink.boundary;
  };
  return { ...plain, kind: SEGMENTED, shown: [0, sink.watched], boundary: sink.boundary, startFile, see: (id, watched) => sink.see(id, watched) };
}
