/**
 * Reads JSON from bytes, token by token, without ever making the values that nobody asked for.
 *
 * A message file is 1.2 MB of text of which verify needs four integers per row, so this is the hot path of verify: it
 * walks over the bytes of a fixed buffer and refills it in place, strings are stepped over without being decoded.
 * It accepts exactly what JSON.parse accepts (RFC 8259), in any spelling, and refuses everything else with the offset.
 *
 * The byte after the last one in the buffer is always 0, which ends every inner loop: no bounds check per byte.
 */
import { RealmliftError } from '../errors.js';
import type { ExpectedBytes } from './expected-bytes.js';
import { LONGEST_NUMBER, numbersEnd, type RowOfNumbers } from './row-of-numbers.js';
import { BACKSLASH, CLOSE_ARRAY, CLOSE_OBJECT, COLON, COMMA, END, ESCAPED, MINUS, OPEN_ARRAY, OPEN_OBJECT, QUOTE, digitsEnd, isHex, plainEnd } from './json-bytes.js';

/** Writes bytes into `target` from `offset` on and returns how many; 0 only at the end of the input. */
export type ByteSource = (target: Buffer, offset: number) => number;

/** 256 KiB stays in the second-level cache while it is hashed and then scanned. */
const BUFFER_SIZE = 256 * 1024;
/** Behind the last byte: the 0, and room to read four bytes from there. */
const SLACK = 4;

const viewOf = (buffer: Buffer): DataView => new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
export class JsonScanner {
  #source: ByteSource = () => 0;
  #buffer: Buffer;
  #view: DataView;
  #name: string | undefined;
  #position = 0;
  #end = 0;
  /** Offset in the input of the first byte of the buffer. */
  #base = 0;
  /** Kinds of the open containers while a value is skipped: 1 object, 0 array. */
  #stack = new Uint8Array(64);
  /** Place in the buffer from which bytes are kept for {@link takeValue}; -1 when nobody wants them. */
  #kept = -1;

  /** `bufferSize` is there for tests: tokens cut at every place need a small one. */
  constructor(bufferSize = BUFFER_SIZE) {
    this.#buffer = Buffer.alloc(bufferSize + SLACK);
    this.#view = viewOf(this.#buffer);
  }

  /** Begins with another input; the buffer is kept. @param name of the file, for what is wrong with it, where nobody else says it */
  open(source: ByteSource, name?: string): void {
    this.#source = source;
    this.#name = name;
    this.#position = 0;
    this.#end = 0;
    this.#base = 0;
    this.#kept = -1;
    this.#buffer[0] = 0;
  }

  /** Skips white space and returns the next byte, not consumed, or {@link END}. */
  next(): number {
    for (;;) {
      const c = this.#buffer[this.#position]!;
      if (c > 0x20) return c;
      if (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) this.#position++;
      else if (this.#position < this.#end) this.fail();
      else if (!this.#refill(this.#position)) return END;
    }
  }

  /** Consumes the byte that {@link next} returned. */
  take(): void {
    this.#position++;
  }

  /** Consumes the next token, which must be `byte`. */
  expect(byte: number): void {
    if (this.next() !== byte) this.fail();
    this.#position++;
  }

  /** Consumes the bytes of `expected` if exactly these come next. */
  takeBytes(expected: ExpectedBytes): boolean {
    const { length } = expected;
    if (this.#position + length > this.#end && !this.#ensure(length)) return false;
    if (!expected.isAt(this.#position, this.#buffer, this.#view)) return false;
    this.#position += length;
    return true;
  }

  /** Consumes the string whose opening quote comes next and returns its text. */
  string(): string {
    for (;;) {
      const start = this.#position;
      const buffer = this.#buffer;
      let p = start + 1;
      let escaped = false;
      for (;;) {
        const c = buffer[p]!;
        if (c > BACKSLASH || (c !== QUOTE && c !== BACKSLASH && c >= 0x20)) p++;
        else if (c === BACKSLASH && p + 1 < this.#end) {
          escaped = true;
          p += 2;
        } else break;
      }
      if (buffer[p] === QUOTE) {
        this.#position = p + 1;
        return escaped ? this.#unescape(start, p + 1) : buffer.toString('utf8', start + 1, p);
      }
      // A control character, or the token reaches the end of the buffer: get more bytes behind it and begin again.
      if ((p < this.#end && buffer[p] !== BACKSLASH) || !this.#refill(start)) this.fail();
    }
  }

  #unescape(start: number, end: number): string {
    try {
      return JSON.parse(this.#buffer.toString('utf8', start, end)) as string;
    } catch {
      return this.fail();
    }
  }

  /** Consumes the string whose opening quote comes next. */
  skipString(): void {
    let p = this.#position + 1;
    for (;;) {
      const buffer = this.#buffer;
      p = plainEnd(buffer, this.#view, p);
      const c = buffer[p]!;
      if (c === QUOTE) break;
      // Texts of people are full of them; behind the last byte stands no letter.
      if (c === BACKSLASH && ESCAPED[buffer[p + 1]!] === 1) {
        p += 2;
        continue;
      }
      this.#position = p;
      if (c === BACKSLASH) this.#skipEscape();
      else if (p < this.#end || !this.#refill(p)) this.fail();
      p = this.#position;
    }
    this.#position = p + 1;
  }

  /** Consumes the escape whose backslash comes next. */
  #skipEscape(): void {
    // "\uXXXX" is the longest; at the very end of the input less may be left.
    this.#ensure(6);
    const buffer = this.#buffer;
    const p = this.#position;
    const c = buffer[p + 1]!;
    if (ESCAPED[c] === 1) this.#position = p + 2;
    else if (c === 0x75 && isHex(buffer[p + 2]!) && isHex(buffer[p + 3]!) && isHex(buffer[p + 4]!) && isHex(buffer[p + 5]!)) this.#position = p + 6;
    else this.fail();
  }

  /**
   * Consumes the number whose first byte comes next and returns it. Exact up to 2^53, as numbers of JavaScript are: ids
   * of Zulip stay below.
   */
  number(): number {
    let p = this.#position;
    let value = 0;
    let c = this.#buffer[p]!;
    const first = c;
    while (c >= 0x30 && c <= 0x39) {
      value = value * 10 + (c - 0x30);
      c = this.#buffer[++p]!;
    }
    // The usual end of an id. A second look is due to signs, fractions, exponents, leading zeros and the end of the buffer.
    const digits = p - this.#position;
    if ((c === COMMA || c === CLOSE_OBJECT || c === CLOSE_ARRAY) && (digits === 1 || (digits > 1 && digits <= LONGEST_NUMBER && first !== 0x30))) {
      this.#position = p;
      return value;
    }
    p = this.#numberEnd();
    const text = this.#buffer.toString('latin1', this.#position, p);
    this.#position = p;
    return Number(text);
  }

  /** Consumes the rest of an object behind its brace, if {@link numbersEnd} finds its end; false, and nothing is consumed, where not. */
  takeNumbers(row: RowOfNumbers, values: Float64Array): boolean {
    const p = numbersEnd(this.#buffer, this.#view, this.#position, this.#end, row, values);
    if (p !== -1) this.#position = p;
    return p !== -1;
  }

  /** Where the number ends whose first byte comes next. */
  #numberEnd(): number {
    for (let more = true; ;) {
      const buffer = this.#buffer;
      let p = this.#position;
      if (buffer[p] === MINUS) p++;
      let end = digitsEnd(buffer, p);
      let valid = end === p + 1 || (end > p && buffer[p] !== 0x30);
      if (valid && buffer[end] === 0x2e) {
        p = end + 1;
        end = digitsEnd(buffer, p);
        valid = end > p;
      }
      if (valid && (buffer[end]! | 0x20) === 0x65) {
        p = end + 1;
        if (buffer[p] === 0x2b || buffer[p] === MINUS) p++;
        end = digitsEnd(buffer, p);
        valid = end > p;
      }
      if (end === this.#end && more) {
        // Only the end of the input ends a number here; looking again, as the refill has moved the bytes.
        more = this.#refill(this.#position);
        continue;
      }
      if (!valid) this.fail();
      return end;
    }
  }

  /** Consumes the value whose first byte, `first`, comes next; returns whether it is null, false, true, "", {} or []. */
  skipValue(first: number): boolean {
    switch (first) {
      case QUOTE:
        this.#ensure(2);
        if (this.#buffer[this.#position + 1] === QUOTE) {
          this.#position += 2;
          return true;
        }
        this.skipString();
        return false;
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        return this.#skipContainer(first);
      case 0x6e:
        return this.#literal('null');
      case 0x74:
        return this.#literal('true');
      case 0x66:
        return this.#literal('false');
      default:
        this.#position = this.#numberEnd();
        return false;
    }
  }

  #literal(text: 'null' | 'true' | 'false'): true {
    this.#ensure(text.length);
    for (let i = 0; i < text.length; i++) {
      if (this.#buffer[this.#position + i] !== text.charCodeAt(i)) this.fail();
    }
    this.#position += text.length;
    return true;
  }

  /** Offset in the input of the next byte that is not consumed. */
  get offset(): number {
    return this.#base + this.#position;
  }

  /** Consumes the value whose first byte, `first`, comes next and returns its bytes, which hold until the next call of any method. */
  takeValue(first: number): Buffer {
    this.#kept = this.#position;
    this.skipValue(first);
    const bytes = this.#buffer.subarray(this.#kept, this.#position);
    this.#kept = -1;
    return bytes;
  }

  /** Without recursion: jsonb may be nested deeper than a call stack. */
  #skipContainer(first: number): boolean {
    let depth = 0;
    let c = first;
    let empty = true;
    for (;;) {
      // Here c is the first byte of a value.
      let opened = false;
      if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
        const isObject = c === OPEN_OBJECT;
        this.#position++;
        c = this.next();
        if (c !== (isObject ? CLOSE_OBJECT : CLOSE_ARRAY)) {
          if (depth === this.#stack.length) this.#stack = Buffer.concat([this.#stack], depth * 2);
          this.#stack[depth++] = isObject ? 1 : 0;
          if (isObject) c = this.#skipKey(c);
          opened = true;
          empty = false;
        } else this.#position++;
      } else this.skipValue(c);
      // A value has ended, unless one was opened.
      while (!opened) {
        if (depth === 0) return empty;
        const inObject = this.#stack[depth - 1] === 1;
        c = this.next();
        if (c === COMMA) {
          this.#position++;
          c = this.next();
          if (inObject) c = this.#skipKey(c);
          break;
        }
        if (c !== (inObject ? CLOSE_OBJECT : CLOSE_ARRAY)) this.fail();
        this.#position++;
        depth--;
      }
    }
  }

  /** Consumes `"key":` and returns the first byte of the value. */
  #skipKey(c: number): number {
    if (c !== QUOTE) this.fail();
    this.skipString();
    this.expect(COLON);
    return this.next();
  }

  /** Nothing but white space may be left. */
  finish(): void {
    if (this.next() !== END) this.fail();
  }

  /** Refuses the input at the present position. */
  fail(what = 'not valid JSON'): never {
    throw new RealmliftError('JSON_DAMAGED', 'verify', `${this.#name === undefined ? '' : `${this.#name}: `}${what} at byte ${this.#base + this.#position}`);
  }

  /** Sees to it that `count` bytes are in the buffer from the position on; false when the input ends before. */
  #ensure(count: number): boolean {
    while (this.#position + count > this.#end) {
      if (!this.#refill(this.#position)) return false;
    }
    return true;
  }

  /** Makes room for more bytes, keeping those from `wanted` on, and moves the position along; false at the end. */
  #refill(wanted: number): boolean {
    const keep = this.#kept === -1 ? wanted : this.#kept;
    const kept = this.#end - keep;
    if (kept >= this.#buffer.length - SLACK) {
      const larger = Buffer.alloc(this.#buffer.length * 2);
      this.#buffer.copy(larger, 0, keep, this.#end);
      this.#buffer = larger;
      this.#view = viewOf(larger);
    } else if (keep > 0) this.#buffer.copyWithin(0, keep, this.#end);
    this.#base += keep;
    this.#position -= keep;
    if (this.#kept !== -1) this.#kept = 0;
    const got = this.#source(this.#buffer.subarray(0, this.#buffer.length - SLACK), kept);
    this.#end = kept + got;
    this.#buffer[this.#end] = 0;
    return got > 0;
  }
}
