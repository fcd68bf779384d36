/**
 * Ids that grow with the number of messages (message ids, usermessage ids, references to messages) go to temporary files
 * as sorted runs, and are merged from there: no memory grows with them, and any order of rows is checked right.
 *
 * A run is a sequence of rising ids, each stored as its distance to the one before in base 128, the low digits first
 * with the top bit set on all but the last (LEB128): 1 to 2 bytes per id, so 100 million usermessages take about 150 MB.
 */
import { readSync, writeSync } from 'node:fs';

/** One sorted run in a file. File descriptors are the process's: a run written by a worker is read by the main thread. */
export interface IdRun {
  fd: number;
  offset: number;
  bytes: number;
  count: number;
  min: number;
  max: number;
}

/** Ids in rising order; Infinity at the end. */
export interface SortedIds {
  next(): number;
}

/** Ids that are sorted and written at once. */
const BATCH = 16 * 1024;
/** An id of up to 2^53 takes at most 8 bytes. */
const MAX_ENCODED = 8;
/** Ids that are read and decoded at once. */
const BLOCK = 1024;
/** So many runs are merged at once: with a block of ids and its bytes each they take 4 MB. */
const FAN_IN = 256;

/** Takes ids in any order and writes runs to the end of one file. Rows sorted by id make one long run. */
export class IdSpool {
  readonly #fd: number;
  /** Made with the first id: most exports have none for most spools. */
  #batch = new Float64Array(0);
  #count = 0;
  #last = -Infinity;
  #rising = true;
  #position = 0;
  #runs: IdRun[] = [];

  /** `fd` is an empty file, open for writing, used by nobody else meanwhile. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  add(id: number): void {
    if (id < this.#last) this.#rising = false;
    this.#last = id;
    if (this.#batch.length === 0) this.#batch = new Float64Array(BATCH);
    this.#batch[this.#count++] = id;
    if (this.#count === BATCH) this.#flush();
  }

  /** The runs of all ids so far. More ids may follow: they make further runs. */
  finish(): IdRun[] {
    if (this.#count > 0) this.#flush();
    const runs = this.#runs;
    this.#runs = [];
    return runs;
  }

  /** Forgets all ids, and what runs there are: the file is written anew. */
  reset(): void {
    this.finish();
    this.#position = 0;
  }

  #flush(): void {
    const ids = this.#batch.subarray(0, this.#count);
    if (!this.#rising) ids.sort();
    const min = ids[0]!;
    const max = ids[ids.length - 1]!;
    const last = this.#runs.at(-1);
    const extended = last !== undefined && last.max <= min ? last : undefined;
    const encoded = Buffer.allocUnsafe(ids.length * MAX_ENCODED);
    const bytes = encode(ids, extended === undefined ? min : extended.max, encoded);
    writeAll(this.#fd, encoded, bytes, this.#position);
    if (extended === undefined) this.#runs.push({ fd: this.#fd, offset: this.#position, bytes, count: ids.length, min, max });
    else {
      extended.bytes += bytes;
      extended.count += ids.length;
      extended.max = max;
    }
    this.#position += bytes;
    this.#count = 0;
    this.#rising = true;
    this.#last = -Infinity;
  }
}

function encode(ids: Float64Array, before: number, target: Buffer): number {
  let at = 0;
  let last = before;
  for (const id of ids) {
    let distance = id - last;
    last = id;
    while (distance >= 0x80) {
      target[at++] = 0x80 | (distance % 0x80);
      distance = Math.floor(distance / 0x80);
    }
    target[at++] = distance;
  }
  return at;
}

function writeAll(fd: number, bytes: Buffer, length: number, position: number): void {
  for (let done = 0; done < length;) done += writeSync(fd, bytes, done, length - done, position + done);
}

/** Reads one run, a block of ids at a time. */
class RunReader {
  /** The ids of the block; the next one is `ids[at]`. */
  readonly ids: Float64Array;
  at = 0;
  count = 0;
  readonly #run: IdRun;
  readonly #bytes: Buffer;
  #last: number;
  #left: number;
  #read = 0;

  constructor(run: IdRun) {
    this.#run = run;
    const block = Math.min(BLOCK, run.count);
    this.ids = new Float64Array(block);
    this.#bytes = Buffer.allocUnsafe(block * MAX_ENCODED);
    this.#last = run.min;
    this.#left = run.count;
    this.refill();
  }

  /** Gets the next block; false at the end of the run. */
  refill(): boolean {
    if (this.#left === 0) return false;
    const { fd, offset, bytes } = this.#run;
    const got = readSync(fd, this.#bytes, 0, Math.min(this.#bytes.length, bytes - this.#read), offset + this.#read);
    const ids = this.ids;
    const source = this.#bytes;
    let last = this.#last;
    let count = 0;
    let position = 0;
    // Bytes of an id that is not whole here are read once more with the next block.
    let whole = 0;
    let distance = 0;
    let factor = 1;
    while (position < got && count < ids.length) {
      const byte = source[position++]!;
      distance += (byte & 0x7f) * factor;
      factor *= 0x80;
      if (byte >= 0x80) continue;
      last += distance;
      ids[count++] = last;
      whole = position;
      distance = 0;
      factor = 1;
    }
    if (count === 0) throw new Error('a temporary file of verify was cut short');
    this.#last = last;
    this.#left -= count;
    this.#read += whole;
    this.at = 0;
    this.count = count;
    return true;
  }
}

const current = (reader: RunReader): number => reader.ids[reader.at]!;

/** All ids of many runs in rising order, by a binary heap of the runs that have begun. */
class MergedRuns implements SortedIds {
  /** Runs that have not begun, the one with the lowest id last. */
  readonly #waiting: IdRun[];
  readonly #heap: RunReader[] = [];
  /** The lowest id of all runs but the first of the heap, which may give its ids up to there without another look. */
  #limit = -Infinity;

  constructor(runs: readonly IdRun[]) {
    this.#waiting = [...runs].sort((a, b) => b.min - a.min);
  }

  next(): number {
    const first = this.#heap[0];
    if (first !== undefined && first.at < first.count) {
      const id = first.ids[first.at]!;
      if (id <= this.#limit) {
        first.at++;
        return id;
      }
    }
    if (!this.#rearrange()) return Infinity;
    return this.next();
  }

  /** Puts the run with the lowest id first; false when all have ended. */
  #rearrange(): boolean {
    const heap = this.#heap;
    const first = heap[0];
    if (first?.at === first?.count && first?.refill() === false) {
      const last = heap.pop()!;
      if (heap.length > 0) heap[0] = last;
    }
    this.#sink();
    for (let run = this.#waiting.at(-1); run !== undefined && (heap.length === 0 || run.min <= current(heap[0]!)); run = this.#waiting.at(-1)) {
      this.#waiting.pop();
      heap.push(new RunReader(run));
      this.#rise(heap.length - 1);
    }
    const waiting = this.#waiting.at(-1)?.min ?? Infinity;
    this.#limit = Math.min(waiting, heap.length > 1 ? current(heap[1]!) : Infinity, heap.length > 2 ? current(heap[2]!) : Infinity);
    return heap.length > 0;
  }

  #rise(from: number): void {
    const heap = this.#heap;
    for (let i = from; i > 0;) {
      const parent = (i - 1) >> 1;
      if (current(heap[parent]!) <= current(heap[i]!)) return;
      [heap[parent], heap[i]] = [heap[i]!, heap[parent]!];
      i = parent;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let i = 0; ;) {
      let least = i;
      for (let child = 2 * i + 1; child <= 2 * i + 2 && child < heap.length; child++) {
        if (current(heap[child]!) < current(heap[least]!)) least = child;
      }
      if (least === i) return;
      [heap[least], heap[i]] = [heap[i]!, heap[least]!];
      i = least;
    }
  }
}

/** Merges any number of runs; while there are too many for one merge, groups of them become longer runs in `scratch`. */
export function mergeRuns(runs: readonly IdRun[], scratch: IdSpool): SortedIds {
  let all = [...runs];
  while (all.length > FAN_IN) {
    const longer: IdRun[] = [];
    for (let i = 0; i < all.length; i += FAN_IN) {
      const merged = new MergedRuns(all.slice(i, i + FAN_IN));
      for (let id = merged.next(); id !== Infinity; id = merged.next()) scratch.add(id);
      longer.push(...scratch.finish());
    }
    all = longer;
  }
  return new MergedRuns(all);
}

/** Calls `twice` for each id that comes more than once, once per repetition. */
export function findRepeated(ids: SortedIds, twice: (id: number) => void): void {
  let last = -Infinity;
  for (let id = ids.next(); id !== Infinity; id = ids.next()) {
    if (id === last) twice(id);
    last = id;
  }
}

/** Calls `missing` for each of `references` that is not among `ids`, once per occurrence. */
export function findMissing(ids: SortedIds, references: SortedIds, missing: (id: number) => void): void {
  let id = ids.next();
  for (let reference = references.next(); reference !== Infinity; reference = references.next()) {
    while (id < reference) id = ids.next();
    if (id !== reference) missing(reference);
  }
}
