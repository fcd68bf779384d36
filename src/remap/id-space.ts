/** The ids of one kind of thing, and what becomes of them. */
import { IdTable } from '../ids/id-table.js';
import type { PairFile } from './pair-file.js';

export interface IdSpace {
  /** The new id; undefined when the export has no such row, or (in a partial space) when the id stays. */
  get(id: number): number | undefined;
  /** True when only some ids have a new one and all others stay: nothing then points outside. */
  readonly partial: boolean;
  /** True when the number is one of the new ids: a reference that points outside and stays would seem to mean that row. */
  isNew(id: number): boolean;
  /** Old and new ids by the old. */
  pairs(): Iterable<readonly [number, number]>;
  readonly count: number;
}

/** In memory: for what does not grow with the messages. */
export class TableSpace implements IdSpace {
  readonly partial: boolean;
  readonly #ids = new IdTable(true);
  readonly #new = new IdTable();

  constructor(partial: boolean) {
    this.partial = partial;
  }

  set(old: number, id: number): void {
    this.#ids.add(old, id);
    this.#new.add(id);
  }

  get(id: number): number | undefined {
    return this.#ids.get(id);
  }

  isNew(id: number): boolean {
    return this.#new.has(id);
  }

  get count(): number {
    return this.#ids.size;
  }

  pairs(): [number, number][] {
    return [...this.#ids.ids()].sort((a, b) => a - b).map((old) => [old, this.#ids.get(old) as number]);
  }
}

/** On disk: messages and usermessages. */
export class FileSpace implements IdSpace {
  readonly partial = false;
  readonly #pairs: PairFile;
  readonly #first: number;
  readonly #last: number;

  /** @param range lowest and highest new id */
  constructor(pairs: PairFile, range: readonly [number, number]) {
    this.#pairs = pairs;
    [this.#first, this.#last] = range;
  }

  get(id: number): number | undefined {
    return this.#pairs.get(id);
  }

  isNew(id: number): boolean {
    return id >= this.#first && id <= this.#last;
  }

  get count(): number {
    return this.#pairs.count;
  }

  pairs(): Generator<[number, number], void> {
    return this.#pairs.pairs();
  }
}

/** Nothing of this kind changes. */
export const UNCHANGED: IdSpace = { get: () => undefined, partial: true, isNew: () => false, pairs: () => [], count: 0 };
