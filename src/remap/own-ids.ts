/** The new ids of a table's own rows, asked for row by row. */
import { RealmliftError } from '../errors.js';
import { refuseRange, type NewIds } from './assignment.js';
import type { IdSpace } from './id-space.js';

export interface OwnIds {
  /** The new id of the next row, whose old id is given; the old one when it stays. */
  next(id: number): number;
}

/** Tables without new ids. */
export const SAME: OwnIds = { next: (id) => id };

/** Tables that something refers to: their ids are known beforehand. */
export function knownIds(space: IdSpace, onPair: ((old: number, id: number) => void) | undefined): OwnIds {
  return {
    next(old) {
      const id = space.get(old);
      if (id !== undefined) onPair?.(old, id);
      return id ?? old;
    },
  };
}

/** All others: dense, in the order of their rows, which is that of their old ids. */
export function countedIds(table: string, ids: NewIds, onPair: (old: number, id: number) => void): OwnIds & { readonly highest: number } {
  let last = -Infinity;
  let count = 0;
  let highest = ids.base(table);
  return {
    get highest() { return highest; },
    next(old) {
      if (!(old > last)) throw new RealmliftError('ROWS_UNSORTED', 'remap', 'the rows are not sorted by id', { table });
      last = old;
      highest = ids.nth(table, ++count);
      refuseRange(table, highest, ids);
      onPair(old, highest);
      return highest;
    },
  };
}

/** As an earlier remapping wrote them down, in the same order. */
export function recordedIds(table: string, pairs: Iterator<[number, number], void>, onPair: (old: number, id: number) => void): OwnIds {
  return {
    next(old) {
      const pair = pairs.next();
      if (pair.done === true || pair.value[0] !== old) throw new RealmliftError('ID_MAP', 'remap', `id_maps.json has no entry for id ${old}`, { table, hint: 'it belongs to another export' });
      onPair(...pair.value);
      return pair.value[1];
    },
  };
}
