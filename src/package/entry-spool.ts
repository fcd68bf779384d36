/**
 * Entries in any order that come back sorted, however many there are: beyond a first batch they lie in a file, in sorted runs one behind
 * the other, and are merged from there. A run is lines of JSON.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { lines } from './lines.js';
import { diskError } from './part-file.js';

/** Entries that are sorted in memory. */
const BATCH = 4096;
/** Runs that are merged at once, each with a block of its lines in memory. */
const FAN_IN = 64;
/** Characters written at once. */
const BLOCK = 64 * 1024;

/** Bytes of the file. */
interface Run {
  readonly from: number;
  readonly to: number;
}

interface Head<T> {
  entry: T;
  readonly rest: Iterator<T, void>;
  /** Which run it is. */
  readonly order: number;
}

/** @template T what JSON can hold */
export class EntrySpool<T> {
  readonly #path: string;
  readonly #compare: (a: T, b: T) => number;
  #batch: T[] = [];
  #runs: Run[] = [];
  #size = 0;
  #count = 0;

  /**
   * @param path of a file that is made when it is needed, in place of one that may be there
   * @param compare what it finds equal keeps its order
   */
  constructor(path: string, compare: (a: T, b: T) => number) {
    this.#path = path;
    this.#compare = compare;
  }

  get count(): number {
    return this.#count;
  }

  /** @throws RealmliftError as diskError */
  add(entry: T): void {
    this.#batch.push(entry);
    this.#count += 1;
    if (this.#batch.length === BATCH) this.#flush();
  }

  /** All entries so far; none may be added while they are read. @throws RealmliftError as diskError */
  *sorted(): Generator<T, void> {
    if (this.#runs.length === 0) return yield* this.#batch.sort(this.#compare);
    if (this.#batch.length > 0) this.#flush();
    while (this.#runs.length > FAN_IN) {
      const longer: Run[] = [];
      for (let at = 0; at < this.#runs.length; at += FAN_IN) longer.push(this.#write(this.#merged(this.#runs.slice(at, at + FAN_IN))));
      this.#runs = longer;
    }
    yield* this.#merged(this.#runs);
  }

  #flush(): void {
    this.#runs.push(this.#write(this.#batch.sort(this.#compare)));
    this.#batch = [];
  }

  #write(entries: Iterable<T>): Run {
    const from = this.#size;
    try {
      const file = openSync(this.#path, from === 0 ? 'w' : 'a', 0o600);
      try {
        let text = '';
        const put = (): void => {
          writeFileSync(file, text);
          this.#size += Buffer.byteLength(text);
          text = '';
        };
        for (const entry of entries) {
          text += `${JSON.stringify(entry)}\n`;
          if (text.length >= BLOCK) put();
        }
        put();
      } finally {
        closeSync(file);
      }
    } catch (error) {
      throw diskError(error, this.#path);
    }
    return { from, to: this.#size };
  }

  *#read({ from, to }: Run): Generator<T, void> {
    for (const line of lines(this.#path, () => new Error(`${this.#path}: a line is too long`), from, to)) yield JSON.parse(line) as T;
  }

  *#merged(runs: readonly Run[]): Generator<T, void> {
    const heads: Head<T>[] = [];
    try {
      for (const [order, run] of runs.entries()) {
        const rest = this.#read(run);
        const first = rest.next();
        if (first.done !== true) heads.push({ entry: first.value, rest, order });
      }
      const before = (a: Head<T>, b: Head<T>): number => this.#compare(a.entry, b.entry) || a.order - b.order;
      heads.sort(before);
      for (let head = heads[0]; head !== undefined; head = heads[0]) {
        yield head.entry;
        const next = head.rest.next();
        if (next.done === true) {
          heads.shift();
          continue;
        }
        head.entry = next.value;
        // Entries mostly come nearly in order: the same run goes on.
        let place = 0;
        for (let other = heads[1]; other !== undefined && before(other, head) < 0; other = heads[place + 1]) heads[place++] = other;
        heads[place] = head;
      }
    } finally {
      for (const { rest } of heads) rest.return?.();
    }
  }
}
