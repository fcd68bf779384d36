/**
 * A set of ids in shared memory: filled by one thread, then read by all workers without a copy.
 *
 * Holds what does not grow with the number of messages: users, recipients, channels, clients, paths. 16 bytes per id at
 * the usual fill, where a Set takes 40 and would have to be copied into every worker.
 */

const FREE = -Infinity;
const FIRST_CAPACITY = 64;

const shared = (length: number): Float64Array => new Float64Array(new SharedArrayBuffer(length * 8));

/** What travels to a worker by postMessage: the arrays are shared, not copied. */
export interface SharedIds {
  keys: Float64Array;
  values: Float64Array | undefined;
  size: number;
}

/** Open addressing with linear probing over a power of two, at most half full. Ids are integers up to 2^53, also below 0. */
export class IdTable {
  #keys: Float64Array;
  #values: Float64Array | undefined;
  #size: number;
  #mask: number;

  /** `withValues`: each id carries a number. */
  constructor(withValues = false, from?: SharedIds) {
    this.#keys = from?.keys ?? shared(FIRST_CAPACITY).fill(FREE);
    this.#values = from === undefined ? (withValues ? shared(FIRST_CAPACITY) : undefined) : from.values;
    this.#size = from?.size ?? 0;
    this.#mask = this.#keys.length - 1;
  }

  get size(): number {
    return this.#size;
  }

  share(): SharedIds {
    return { keys: this.#keys, values: this.#values, size: this.#size };
  }

  /** Adds `id`, or gives it another value. */
  add(id: number, value = 0): void {
    if (this.#size * 2 >= this.#keys.length) this.#grow();
    const place = this.#place(id);
    if (this.#keys[place] === FREE) this.#size++;
    this.#keys[place] = id;
    if (this.#values !== undefined) this.#values[place] = value;
  }

  /** False for anything that is no id. */
  has(id: number): boolean {
    return id > FREE && this.#keys[this.#place(id)] === id;
  }

  /** The value of `id`; undefined when it is not in the table. */
  get(id: number): number | undefined {
    if (!this.has(id)) return undefined;
    return this.#values?.[this.#place(id)];
  }

  *ids(): Generator<number> {
    for (const id of this.#keys) if (id !== FREE) yield id;
  }

  /** Where `id` is, or the free place where it would go. */
  #place(id: number): number {
    const keys = this.#keys;
    const mask = this.#mask;
    // Ids beyond 2^32 lose their upper half here, which costs probes, not truth. The multiplier is 2^32 / golden ratio.
    const hash = Math.imul(id | 0, 0x9e3779b1);
    let place = (hash ^ (hash >>> 15)) & mask;
    for (;;) {
      const key = keys[place];
      if (key === id || key === FREE) return place;
      place = (place + 1) & mask;
    }
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = shared(keys.length * 2).fill(FREE);
    if (values !== undefined) this.#values = shared(keys.length * 2);
    this.#mask = this.#keys.length - 1;
    this.#size = 0;
    keys.forEach((id, i) => {
      if (id !== FREE) this.add(id, values?.[i]);
    });
  }
}

/**
 * A number for a path, so that a million paths fit into an {@link IdTable}: 53 bits of two multiplicative hashes. With a
 * million paths, the chance that one wrong path goes unnoticed is 1e-10.
 */
export function pathId(path: string): number {
  let a = 0x811c9dc5;
  let b = 0x41c6ce57;
  for (let i = 0; i < path.length; i++) {
    const c = path.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    b = Math.imul(b ^ c, 0x5bd1e995);
    b ^= b >>> 13;
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b);
  b = Math.imul(b ^ (b >>> 15), 0xc2b2ae35);
  return ((b ^ (b >>> 13)) & 0x1fffff) * 0x100000000 + ((a ^ (a >>> 13)) >>> 0);
}
