/**
 * Counts and digests the rows of a COPY stream as it passes, without keeping them.
 *
 * Binary: an 11 byte signature, 4 bytes of flags, a header extension with its length; then per row a 16 bit count of fields
 * and per field a 32 bit length (-1 is NULL) with that many bytes; a count of -1 ends the stream.
 * Text: every line is one row; a newline inside a value is escaped.
 * https://www.postgresql.org/docs/current/sql-copy.html
 */
import { RowHash } from './row-hash.js';

export type CopyFormat = 'binary' | 'text';

export interface RowCount {
  readonly rows: number;
  /** Order-free digest of the rows, see row-hash.ts. */
  readonly digest: string;
}

export interface RowCounter {
  /** Takes the next bytes of the stream, however they are cut; none of them are kept. */
  write(chunk: Buffer): void;
  /** @throws Error when the stream ended inside a row or without its end mark */
  finish(): RowCount;
}

export function rowCounter(format: CopyFormat): RowCounter {
  return format === 'binary' ? new BinaryRowCounter() : new TextRowCounter();
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Signature, flags and the length of the extension. */
const HEADER = SIGNATURE.length + 8;
/** Flag bit 16: rows carry an OID (PostgreSQL 11 and older). Bits 16 to 31 denote what a reader must know. */
const CRITICAL_FLAGS = 0xffff0000;

class BinaryRowCounter implements RowCounter {
  readonly #hash = new RowHash();
  #rows = 0;
  #state: 'header' | 'extension' | 'row' | 'field' | 'value' | 'end' = 'header';
  /** Bytes of the header, or of a count or length, that the last chunk left incomplete. */
  #rest: Buffer = Buffer.alloc(0);
  #fields = 0;
  /** Bytes of the present value or of the extension still to come. */
  #missing = 0;

  write(chunk: Buffer): void {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    // A copy: the chunk may be filled anew.
    this.#rest = Buffer.from(data.subarray(this.#parse(data)));
  }

  finish(): RowCount {
    if (this.#state !== 'end' || this.#rest.length > 0) throw new Error('the rows end before their end mark, or go on after it');
    return { rows: this.#rows, digest: this.#hash.sum };
  }

  /** @returns how many bytes were used; the rest is the beginning of a header, count or length */
  #parse(data: Buffer): number {
    const end = data.length;
    const view = new DataView(data.buffer, data.byteOffset, end);
    let at = 0;
    /** Where the part of the present row begins that is not hashed yet. */
    let from = 0;
    for (;;) {
      if (this.#state === 'row') {
        at = from = this.#wholeRows(view, at);
        if (at + 2 > end) return at;
        this.#fields = view.getInt16(at);
        if (this.#fields < 0) {
          this.#state = 'end';
          return at + 2;
        }
        at += 2;
        this.#state = 'field';
      }
      if (this.#state === 'field') {
        if (this.#fields === 0) {
          this.#endRow(view, from, at);
          this.#state = 'row';
          continue;
        }
        if (at + 4 > end) {
          this.#hash.update(view, from, at);
          return at;
        }
        this.#missing = Math.max(0, view.getInt32(at));
        this.#fields--;
        at += 4;
        this.#state = 'value';
      }
      if (this.#state === 'value') {
        const taken = Math.min(this.#missing, end - at);
        at += taken;
        this.#missing -= taken;
        if (this.#missing > 0) {
          this.#hash.update(view, from, at);
          return at;
        }
        this.#state = 'field';
        continue;
      }
      if (this.#state === 'header') {
        if (end < HEADER) return 0;
        this.#missing = extensionLength(data, view);
        at = HEADER;
        this.#state = 'extension';
      }
      if (this.#state === 'extension') {
        const taken = Math.min(this.#missing, end - at);
        at += taken;
        this.#missing -= taken;
        if (this.#missing > 0) return at;
        from = at;
        this.#state = 'row';
        continue;
      }
      return at;
    }
  }

  /** The hot loop: rows that lie whole in the chunk. What its edge cuts goes the slow way. @returns where the first that is none of them begins */
  #wholeRows(view: DataView, from: number): number {
    const end = view.byteLength;
    let row = from;
    while (row + 2 <= end) {
      let fields = view.getInt16(row);
      if (fields < 0) break;
      let next = row + 2;
      while (fields > 0 && next + 4 <= end) {
        const length = view.getInt32(next);
        next += length > 0 ? 4 + length : 4;
        fields--;
      }
      if (fields > 0 || next > end) break;
      this.#endRow(view, row, next);
      row = next;
    }
    return row;
  }

  /** @param from where its part begins that is not hashed yet */
  #endRow(view: DataView, from: number, to: number): void {
    this.#hash.update(view, from, to);
    this.#hash.endRow();
    this.#rows++;
  }
}

/** Bytes of the extension behind the header of a binary stream. @throws Error for a stream of another kind */
function extensionLength(data: Buffer, view: DataView): number {
  if (data.compare(SIGNATURE, 0, SIGNATURE.length, 0, SIGNATURE.length) !== 0) throw new Error('no binary COPY stream');
  if ((view.getUint32(SIGNATURE.length) & CRITICAL_FLAGS) !== 0) throw new Error('a binary COPY stream of an unknown kind');
  return view.getUint32(SIGNATURE.length + 4);
}

const NEWLINE = 0x0a;

class TextRowCounter implements RowCounter {
  readonly #hash = new RowHash();
  #rows = 0;
  #insideRow = false;

  write(chunk: Buffer): void {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length);
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#hash.update(view, start, end);
      this.#hash.endRow();
      this.#rows++;
      start = end + 1;
    }
    this.#hash.update(view, start, chunk.length);
    if (chunk.length > 0) this.#insideRow = start < chunk.length;
  }

  finish(): RowCount {
    if (this.#insideRow) throw new Error('the rows end inside a line');
    return { rows: this.#rows, digest: this.#hash.sum };
  }
}
