/**
 * Writes a spool. Rows are held in blocks of one fixed piece of memory, a chain of them for each group; when it is full, all chains
 * are written and begun anew. So a thousand realms whose messages come in turn take no more memory than one.
 */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { diskError } from '../../package/part-file.js';
import { ENTRY, RECORD, type Spool } from './spool-format.js';

const BLOCK = 4096;
/** 16 MiB: of 300 realms that write in turn each then has extents of 50 KB. */
const BLOCKS = 4096;
/** Bytes given to the disk at once. */
const OUTPUT = 1 << 20;
/** Below this many bytes a loop moves them faster than the call of set. */
const SHORT_MOVE = 96;
const COMMA = 0x2c;
const NONE = -1;

/** The memory of all spools that a thread writes, one after the other. */
let memory: { readonly blocks: Uint8Array; readonly output: Buffer } | undefined;

export class SpoolWriter {
  readonly #path: string;
  readonly #file: number;
  readonly #memory: Uint8Array;
  readonly #next = new Int32Array(BLOCKS);
  #used = 0;
  /** By group: its chain, and the bytes in the last block. */
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  readonly #filled: Uint16Array;
  readonly #rows: Uint32Array;
  readonly #ids: Float64Array;
  /** Groups that have a chain. */
  #chained: number[] = [];
  readonly #output: Buffer;
  #held = 0;
  #size = 0;
  /** Extents in the order of the file. */
  #extents: { group: number; offset: number; length: number }[] = [];
  #total = 0;
  #firstId = NaN;
  #lastId = NaN;

  /** @param path may hold other spools, behind which this one begins; nobody else writes there meanwhile @param groups how many there may be, numbered from 0 @throws RealmliftError as diskError */
  constructor(path: string, groups: number) {
    memory ??= { blocks: new Uint8Array(BLOCK * BLOCKS), output: Buffer.allocUnsafeSlow(OUTPUT) };
    this.#memory = memory.blocks;
    this.#output = memory.output;
    this.#path = path;
    this.#first = new Int32Array(groups).fill(NONE);
    this.#last = new Int32Array(groups);
    this.#filled = new Uint16Array(groups);
    this.#rows = new Uint32Array(groups);
    this.#ids = new Float64Array(groups * 2);
    try {
      this.#file = openSync(path, 'a', 0o600);
      this.#size = fstatSync(this.#file).size;
    } catch (error) {
      throw diskError(error, path);
    }
  }

  /** Begins the group's next row. */
  startRow(group: number): void {
    if ((this.#rows[group] as number) > 0) this.#room(group, COMMA);
  }

  /** Bytes of the row begun, which may come in pieces. */
  write(group: number, bytes: Uint8Array): void {
    const target = this.#memory;
    for (let from = 0; from < bytes.length;) {
      if (this.#first[group] === NONE || this.#filled[group] === BLOCK) this.#extend(group);
      const filled = this.#filled[group] as number;
      const length = Math.min(bytes.length - from, BLOCK - filled);
      const at = (this.#last[group] as number) * BLOCK + filled;
      if (length < SHORT_MOVE) for (let k = 0; k < length; k++) target[at + k] = bytes[from + k] as number;
      else target.set(from === 0 && length === bytes.length ? bytes : bytes.subarray(from, from + length), at);
      this.#filled[group] = filled + length;
      from += length;
    }
  }

  /** @param id by which the group's rows rise */
  endRow(group: number, id: number): void {
    if (this.#rows[group] === 0) this.#ids[group * 2] = id;
    this.#ids[group * 2 + 1] = id;
    this.#rows[group] = (this.#rows[group] as number) + 1;
    if (this.#total++ === 0) this.#firstId = id;
    this.#lastId = id;
  }

  /** Rows that came. */
  get rows(): number {
    return this.#total;
  }

  /** Writes what is held, and where it all lies. */
  finish(): Spool {
    this.#flush();
    const entriesAt = this.#size;
    const extents = this.#extents.sort((a, b) => a.group - b.group || a.offset - b.offset);
    const entry = Buffer.alloc(ENTRY);
    for (const { offset, length } of extents) {
      entry.writeDoubleLE(offset, 0);
      entry.writeUInt32LE(length, 8);
      this.#put(entry);
    }
    const directoryAt = this.#size;
    const groups = this.#writeDirectory(extents);
    this.#drain();
    this.abandon();
    return { path: this.#path, entriesAt, directoryAt, groups, rows: this.#total, firstId: this.#firstId, lastId: this.#lastId };
  }

  abandon(): void {
    if (!this.#closed) closeSync(this.#file);
    this.#closed = true;
  }

  #closed = false;

  #writeDirectory(extents: readonly { group: number; length: number }[]): number {
    const record = Buffer.alloc(RECORD);
    let groups = 0;
    for (let at = 0; at < extents.length;) {
      const { group } = extents[at] as { group: number };
      let bytes = 0;
      let end = at;
      for (; extents[end]?.group === group; end++) bytes += (extents[end] as { length: number }).length;
      record.writeUInt32LE(group, 0);
      record.writeUInt32LE(end - at, 4);
      record.writeUInt32LE(at, 8);
      record.writeUInt32LE(this.#rows[group] as number, 12);
      record.writeDoubleLE(this.#ids[group * 2] as number, 16);
      record.writeDoubleLE(this.#ids[group * 2 + 1] as number, 24);
      record.writeDoubleLE(bytes, 32);
      this.#put(record);
      groups++;
      at = end;
    }
    return groups;
  }

  #room(group: number, byte: number): void {
    if (this.#first[group] === NONE || this.#filled[group] === BLOCK) this.#extend(group);
    this.#memory[(this.#last[group] as number) * BLOCK + (this.#filled[group] as number)] = byte;
    this.#filled[group] = (this.#filled[group] as number) + 1;
  }

  #extend(group: number): void {
    if (this.#used === BLOCKS) this.#flush();
    const block = this.#used++;
    this.#next[block] = NONE;
    if (this.#first[group] === NONE) {
      this.#first[group] = block;
      this.#chained.push(group);
    } else this.#next[this.#last[group] as number] = block;
    this.#last[group] = block;
    this.#filled[group] = 0;
  }

  #flush(): void {
    for (const group of this.#chained) {
      const offset = this.#size;
      const last = this.#last[group] as number;
      for (let block = this.#first[group] as number; block !== NONE; block = this.#next[block] as number) {
        this.#put(this.#memory.subarray(block * BLOCK, block * BLOCK + (block === last ? this.#filled[group] as number : BLOCK)));
      }
      this.#extents.push({ group, offset, length: this.#size - offset });
      this.#first[group] = NONE;
    }
    this.#chained = [];
    this.#used = 0;
  }

  #put(bytes: Uint8Array): void {
    if (bytes.length > OUTPUT - this.#held) this.#drain();
    this.#output.set(bytes, this.#held);
    this.#held += bytes.length;
    this.#size += bytes.length;
  }

  #drain(): void {
    try {
      for (let at = 0; at < this.#held;) at += writeSync(this.#file, this.#output, at, this.#held - at);
    } catch (error) {
      throw diskError(error, this.#path);
    }
    this.#held = 0;
  }
}
