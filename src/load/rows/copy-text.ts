/**
 * Bytes of COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"): values are separated by tabs,
 * rows end with a newline, and a backslash escapes what would else be one of these.
 */
import { RealmliftError } from '../../errors.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const TAB = 0x09;
const NEWLINE = 0x0a;
const U = 0x75;

/** Bytes handed to the connection at once. */
const CHUNK = 64 * 1024;

export class CopyText {
  #bytes = Buffer.allocUnsafe(CHUNK * 2);
  #length = 0;
  #first = true;

  /** Between two values of a row. */
  separate(): void {
    if (this.#first) this.#first = false;
    else this.#byte(TAB);
  }

  endRow(): void {
    this.#byte(NEWLINE);
    this.#first = true;
  }

  /** True when there is enough for {@link take}. */
  get full(): boolean {
    return this.#length >= CHUNK;
  }

  /** What was written and not taken yet; it holds until more is written. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Forgets what was not taken. */
  clear(): void {
    this.#length = 0;
    this.#first = true;
  }

  /** What was written since the last call. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = Buffer.allocUnsafe(Math.max(CHUNK * 2, this.#length));
    this.#length = 0;
    return taken;
  }

  /** SQL's NULL. */
  nothing(): void {
    this.#byte(BACKSLASH);
    this.#byte(0x4e);
  }

  /** Bytes that need no escape, such as those of a number. */
  raw(from: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    // Most values are shorter than what a call of copy costs.
    if (end - start < 24) for (let at = start; at < end; at++) this.#bytes[this.#length++] = from[at] as number;
    else this.#length += from.copy(this.#bytes, this.#length, start, end);
  }

  /** A text of any characters. */
  text(value: string): void {
    const escaped = value.replace(/[\\\n\r\t]/g, (found) => ({ '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' })[found] as string);
    this.#reserve(escaped.length * 3);
    this.#length += this.#bytes.write(escaped, this.#length, 'utf8');
  }

  /** Bytes of JSON as they stand: only backslashes must be doubled, for JSON has no bare tab or newline within a string. */
  json(from: Buffer, start: number, end: number): void {
    this.#reserve((end - start) * 2);
    for (let at = start; at < end; at++) {
      const byte = from[at] as number;
      if (byte === BACKSLASH) this.#bytes[this.#length++] = BACKSLASH;
      // White space between tokens; in JSON it may be any.
      this.#bytes[this.#length++] = byte < 0x20 ? 0x20 : byte;
    }
  }

  /**
   * The text that a JSON string holds, from the quote at `start` to behind the quote at `end`. The escapes of JSON for control
   * characters and the backslash are those of COPY too.
   *
   * @throws RealmliftError VALUE_REFUSED for a character that PostgreSQL has not
   */
  string(from: Buffer, start: number, end: number): void {
    let at = start + 1;
    const last = end - 1;
    for (;;) {
      let escape = from.indexOf(BACKSLASH, at);
      if (escape === -1 || escape > last) escape = last;
      this.raw(from, at, escape);
      if (escape === last) return;
      const byte = from[escape + 1] as number;
      if (byte === U) at = this.#codePoint(from, escape);
      else {
        this.#reserve(2);
        if (byte !== QUOTE && byte !== 0x2f) this.#bytes[this.#length++] = BACKSLASH;
        this.#bytes[this.#length++] = byte;
        at = escape + 2;
      }
    }
  }

  /** Writes the character of the escape at `at`, whose other half may follow. @returns where the text goes on */
  #codePoint(from: Buffer, at: number): number {
    let code = unit(from, at);
    let next = at + 6;
    if (code >= 0xd800 && code < 0xdc00 && from[next] === BACKSLASH && from[next + 1] === U) {
      const low = unit(from, next);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        next += 6;
      }
    }
    if (code === 0 || (code >= 0xd800 && code < 0xe000)) {
      throw new RealmliftError('VALUE_REFUSED', 'load', 'a text holds a character that PostgreSQL cannot store (U+0000 or half a surrogate pair)', { hint: 'mend the row at its source and export again' });
    }
    this.text(String.fromCodePoint(code));
    return next;
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

function unit(from: Buffer, escape: number): number {
  return Number.parseInt(from.toString('latin1', escape + 2, escape + 6), 16);
}
