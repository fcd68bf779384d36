/** Ids in the order of an export's rows, as ranges: rows that came together have ids that follow one another. */
import type { IdRange } from '../load/server/load-journal.js';

export class RangeList {
  readonly ranges: IdRange[] = [];
  readonly #table: string;
  #first = NaN;
  #count = 0;

  constructor(table: string) {
    this.#table = table;
  }

  add(id: number): void {
    if (id === this.#first + this.#count) this.#count++;
    else {
      this.finish();
      [this.#first, this.#count] = [id, 1];
    }
  }

  finish(): readonly IdRange[] {
    if (this.#count > 0) this.ranges.push({ table: this.#table, first: this.#first, count: this.#count });
    this.#count = 0;
    return this.ranges;
  }
}

/** Every id of the ranges, in their order. */
export function* eachId(ranges: readonly IdRange[]): Generator<number, undefined> {
  for (const { first, count } of ranges) for (let n = 0; n < count; n++) yield first + n;
  return undefined;
}
