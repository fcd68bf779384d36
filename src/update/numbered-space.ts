/**
 * An export can be surveyed before its rows have ids: each is known by its number among those of its table, which stands above all ids.
 * Once the ids are taken, they are looked up by the number.
 */
import type { NewIds } from '../remap/assignment.js';
import type { IdSpace } from '../remap/id-space.js';

/** Above all ids, and a double holds its successors. */
const ABOVE = 2 ** 50;

export const numbers: NewIds = { base: () => ABOVE, nth: (_table, n) => ABOVE + n, limit: () => Infinity };

/** Else it is the id of a row that the new server has. */
export function isNumber(id: number): boolean {
  return id > ABOVE;
}

export class NumberedSpace implements IdSpace {
  readonly partial = false;
  readonly #space: IdSpace;
  readonly #nth: (n: number) => number;

  /** @param nth the id of the n-th row */
  constructor(space: IdSpace, nth: (n: number) => number) {
    [this.#space, this.#nth] = [space, nth];
  }

  get(id: number): number | undefined {
    const found = this.#space.get(id);
    return found === undefined || !isNumber(found) ? found : this.#nth(found - ABOVE);
  }

  isNew(): boolean {
    return false;
  }

  *pairs(): Generator<[number, number], void> {
    for (const [old, found] of this.#space.pairs()) yield [old, isNumber(found) ? this.#nth(found - ABOVE) : found];
  }

  get count(): number {
    return this.#space.count;
  }
}
