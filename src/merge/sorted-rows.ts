/** Rows of one table of one export in the order of their ids, and the union of several such: one row of each in memory. */
import { EXIT, RealmliftError } from '../errors.js';
import { RowFields } from '../json/row-fields.js';
import type { MergeInput } from './merge-input.js';

/** A row as one export has it. It holds until its stream advances. */
export interface Candidate {
  readonly input: MergeInput;
  /** The table that it stands in: users stand in two. */
  readonly table: string;
  readonly id: number;
  readonly row: Buffer;
  readonly fields: RowFields;
}

export class SortedRows {
  /** The present row; undefined at the end. */
  current: Candidate | undefined;
  readonly #input: MergeInput;
  readonly #table: string;
  readonly #rows: Iterator<Buffer>;
  readonly #accept: ((fields: RowFields) => boolean) | undefined;
  readonly #fields = new RowFields();

  /**
   * @param accept which rows count; all when it is not given
   * @throws RealmliftError ROWS_UNSORTED, here and from advance
   */
  constructor(input: MergeInput, table: string, rows: Iterator<Buffer>, accept?: (fields: RowFields) => boolean) {
    this.#input = input;
    this.#table = table;
    this.#rows = rows;
    this.#accept = accept;
    this.advance();
  }

  advance(): void {
    const last = this.current?.id ?? -Infinity;
    for (;;) {
      const next = this.#rows.next();
      if (next.done === true) {
        this.current = undefined;
        return;
      }
      const fields = this.#fields.split(next.value);
      if (this.#accept?.(fields) === false) continue;
      const id = fields.integerOf('id');
      if (!(id > last)) {
        throw new RealmliftError('ROWS_UNSORTED', 'merge', `${this.#input.source.directory}: the rows are not sorted by id`, {
          table: this.#table, hint: 'exports of realmlift are; make this one again', exit: EXIT.failed,
        });
      }
      this.current = { input: this.#input, table: this.#table, id, row: next.value, fields };
      return;
    }
  }
}

/** The groups of rows that share an id, in the order of ids. A group holds until the next is asked for. */
export function* grouped(streams: readonly SortedRows[]): Generator<Candidate[], void> {
  for (;;) {
    let least = Infinity;
    for (const { current } of streams) if (current !== undefined && current.id < least) least = current.id;
    if (least === Infinity) return;
    const having = streams.filter(({ current }) => current?.id === least);
    yield having.map(({ current }) => current as Candidate);
    for (const stream of having) stream.advance();
  }
}
