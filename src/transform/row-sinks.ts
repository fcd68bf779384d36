/** Where the rows of the row path go. */

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
  /** Rows whose first column is at most this go on in the current file. Read once at the start and after each startFile. */
  readonly boundary: number;
  /**
   * Announces a row whose first column is `id`, beyond the boundary. All rows before it have been given to write(), none
   * of its own bytes has, and no comma will come before it: close the file and open that of this row.
   */
  startFile(id: number): void;
  /** Index of a further integer column whose values the sink sees; -1 where there is none. Read once at the start. */
  readonly watched: number;
  /** Shows of each row, when it is complete, the first column and the watched one; NaN where that is null. */
  see(id: number, watched: number): void;
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
