/**
 * An order-preserving map of ids on disk, for the tables that grow with the messages: pairs of doubles sorted by the first,
 * found by binary search. In memory are one key in {@link BLOCK_PAIRS} and the blocks used last.
 *
 * Rows come nearly in the order of their ids, so nearly every search ends in the block of the one before.
 */
import { readSync, writeSync } from 'node:fs';
import { RealmliftError } from '../errors.js';

/** 32 KiB a block. */
const BLOCK_PAIRS = 2048;
const PAIR_BYTES = 16;
/** Blocks kept: 2 MB. */
const CACHE_BLOCKS = 64;

export class PairFileWriter {
  readonly #fd: number;
  readonly #what: string;
  readonly #firsts: number[] = [];
  #block = new Float64Array(BLOCK_PAIRS * 2);
  #inBlock = 0;
  #count = 0;
  #last = -Infinity;

  /**
   * @param fd an empty temporary file
   * @param what the table, for errors
   */
  constructor(fd: number, what: string) {
    this.#fd = fd;
    this.#what = what;
  }

  /** Keys must rise. @throws RealmliftError ROWS_UNSORTED */
  add(key: number, value: number): void {
    if (!(key > this.#last)) throw new RealmliftError('ROWS_UNSORTED', 'remap', `id ${key} comes twice or out of order`, { table: this.#what });
    this.#last = key;
    if (this.#inBlock === 0) this.#firsts.push(key);
    this.#block[this.#inBlock * 2] = key;
    this.#block[this.#inBlock * 2 + 1] = value;
    this.#count++;
    if (++this.#inBlock === BLOCK_PAIRS) this.#flush();
  }

  finish(): PairFile {
    if (this.#inBlock > 0) this.#flush();
    return new PairFile(this.#fd, Float64Array.from(this.#firsts), this.#count);
  }

  #flush(): void {
    const bytes = Buffer.from(this.#block.buffer, 0, this.#inBlock * PAIR_BYTES);
    const start = (this.#firsts.length - 1) * BLOCK_PAIRS * PAIR_BYTES;
    for (let done = 0; done < bytes.length;) done += writeSync(this.#fd, bytes, done, bytes.length - done, start + done);
    this.#inBlock = 0;
  }
}

interface Block {
  readonly number: number;
  readonly pairs: Float64Array;
  readonly count: number;
}

export class PairFile {
  readonly count: number;
  readonly #fd: number;
  /** First key of each block. */
  readonly #firsts: Float64Array;
  /** By number of block; the one used last is the newest. */
  readonly #cache = new Map<number, Block>();
  #present: Block | undefined;

  constructor(fd: number, firsts: Float64Array, count: number) {
    this.#fd = fd;
    this.#firsts = firsts;
    this.count = count;
  }

  get(key: number): number | undefined {
    let block = this.#present;
    if (block === undefined || key < (block.pairs[0] as number) || key > (block.pairs[(block.count - 1) * 2] as number)) {
      const number = this.#blockOf(key);
      if (number < 0) return undefined;
      block = this.#load(number);
      this.#present = block;
    }
    const { pairs } = block;
    let low = 0;
    let high = block.count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = pairs[middle * 2] as number;
      if (found === key) return pairs[middle * 2 + 1];
      if (found < key) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  /** All pairs, by key. */
  *pairs(): Generator<[number, number], void> {
    for (let number = 0; number < this.#firsts.length; number++) {
      const { pairs, count } = this.#read(number);
      for (let at = 0; at < count; at++) yield [pairs[at * 2] as number, pairs[at * 2 + 1] as number];
    }
  }

  /** The last block that begins at or before the key. */
  #blockOf(key: number): number {
    let low = 0;
    let high = this.#firsts.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if ((this.#firsts[middle] as number) <= key) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }

  #load(number: number): Block {
    const cached = this.#cache.get(number);
    if (cached !== undefined) {
      this.#cache.delete(number);
      this.#cache.set(number, cached);
      return cached;
    }
    const block = this.#read(number);
    this.#cache.set(number, block);
    if (this.#cache.size > CACHE_BLOCKS) this.#cache.delete(this.#cache.keys().next().value as number);
    return block;
  }

  #read(number: number): Block {
    const count = Math.min(BLOCK_PAIRS, this.count - number * BLOCK_PAIRS);
    const pairs = new Float64Array(count * 2);
    const bytes = Buffer.from(pairs.buffer);
    for (let done = 0; done < bytes.length;) {
      const got = readSync(this.#fd, bytes, done, bytes.length - done, number * BLOCK_PAIRS * PAIR_BYTES + done);
      if (got === 0) throw new Error('a temporary file of ids was cut short');
      done += got;
    }
    return { number, pairs, count };
  }
}
