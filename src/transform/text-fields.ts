/**
 * Fields of any length: text, JSON, and numbers and arrays in their text form. They are streamed, whatever their size: each
 * writer takes what there is of its field, up to `stop`, and remembers in the tape's state what it must.
 */
import type { Tape } from './tape.js';

const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;

/** Bytes that one byte of text may become: \u00XX. */
const LONGEST_ESCAPE = 6;

/** One byte four times over, for tests of four bytes at a time. */
const ONES = 0x01010101;
const SPACES = 0x20202020;
const QUOTES = 0x22222222;
const BACKSLASHES = 0x5c5c5c5c;
const HIGH_BITS = 0x80808080 | 0;

/** What each byte of text becomes: JSON's escapes (RFC 8259, 7), the two-character ones where they exist, else the byte. */
const BECOMES = Array.from({ length: 256 }, (_, byte) => Buffer.from(JSON.stringify(String.fromCharCode(byte)).slice(1, -1), 'latin1'));
const LENGTHS = Uint8Array.from(BECOMES, ({ length }) => length);
const FIRST_FOUR = Int32Array.from(BECOMES, (bytes) => Buffer.concat([bytes, Buffer.alloc(LONGEST_ESCAPE)]).readInt32LE());
const LAST_TWO = Uint16Array.from(BECOMES, (bytes) => Buffer.concat([bytes, Buffer.alloc(LONGEST_ESCAPE)]).readUInt16LE(4));

/**
 * The inside of a JSON string. Hot path: message content and rendered_content.
 *
 * Four bytes at a time where none of them must be escaped, else byte by byte through the tables.
 */
export function writeText(tape: Tape, stop: number): void {
  const { source, words, out, outWords } = tape;
  let { at } = tape;
  while (at < stop) {
    tape.reserve(64 * LONGEST_ESCAPE);
    let to = tape.length;
    // As far as the room suffices, whatever the bytes are.
    const until = Math.min(stop, at + Math.floor((out.length - to) / LONGEST_ESCAPE));
    const lastWord = until - 4;
    while (at < until) {
      for (; at <= lastWord; at += 4, to += 4) {
        const word = words.getInt32(at, true);
        // Sets the high bit of a byte below 0x20, of a quote or a backslash, and perhaps of a byte behind one.
        const special = (word - SPACES) | ((word ^ QUOTES) - ONES) | ((word ^ BACKSLASHES) - ONES);
        if ((special & ~word & HIGH_BITS) !== 0) break;
        outWords.setInt32(to, word, true);
      }
      // As far as the byte that must be escaped. Whatever the bytes are, the same is done: what is done for the first time costs V8's compiled code.
      for (let length = 1; length === 1 && at < until; at++) {
        const byte = source[at] as number;
        length = LENGTHS[byte] as number;
        outWords.setInt32(to, FIRST_FOUR[byte] as number, true);
        outWords.setUint16(to + 4, LAST_TWO[byte] as number, true);
        to += length;
      }
    }
    tape.length = to;
  }
  tape.at = at;
}

/** The value's own bytes. */
export function copyField(tape: Tape, stop: number): void {
  while (tape.at < stop) {
    tape.reserve(1);
    const length = Math.min(stop - tape.at, tape.out.length - tape.length);
    tape.out.set(tape.source.subarray(tape.at, tape.at + length), tape.length);
    tape.at += length;
    tape.length += length;
  }
}

/** States of a JSON number: what has been read so far. */
const NUMBER = { start: 0, minus: 1, zero: 2, digits: 3, point: 4, fraction: 5, e: 6, sign: 7, exponent: 8 } as const;
const PLUS = 0x2b;
const POINT = 0x2e;
const SMALL_E = 0x65;

/** What a writer says of its field. */
export const FIELD = { good: 0, malformed: 1, notJson: 2 } as const;
export type Field = (typeof FIELD)[keyof typeof FIELD];

/** numeric may have 147,455 digits. */
export function writeNumber(tape: Tape, stop: number): Field {
  for (; tape.at < stop; tape.at++) {
    tape.reserve(1);
    const byte = tape.source[tape.at] as number;
    // NaN, Infinity, -Infinity
    if ((byte === 0x4e || byte === 0x49) && tape.state <= NUMBER.minus) return FIELD.notJson;
    const next = nextInNumber(tape.state, byte);
    if (next < 0) return FIELD.malformed;
    tape.state = next;
    tape.out[tape.length++] = byte;
  }
  return FIELD.good;
}

/** Whether the number that was written may end there. */
export function isWholeNumber({ state }: Tape): boolean {
  return state === NUMBER.zero || state === NUMBER.digits || state === NUMBER.fraction || state === NUMBER.exponent;
}

function nextInNumber(state: number, byte: number): number {
  const digit = byte - ZERO >>> 0 <= 9;
  switch (state) {
    case NUMBER.start:
      return byte === MINUS ? NUMBER.minus : byte === ZERO ? NUMBER.zero : digit ? NUMBER.digits : -1;
    case NUMBER.minus:
      return byte === ZERO ? NUMBER.zero : digit ? NUMBER.digits : -1;
    case NUMBER.zero:
    case NUMBER.digits:
      if (digit) return state === NUMBER.digits ? NUMBER.digits : -1;
      return byte === POINT ? NUMBER.point : byte === SMALL_E ? NUMBER.e : -1;
    case NUMBER.fraction:
      return digit ? NUMBER.fraction : byte === SMALL_E ? NUMBER.e : -1;
    case NUMBER.point:
      return digit ? NUMBER.fraction : -1;
    case NUMBER.e:
      return byte === PLUS || byte === MINUS ? NUMBER.sign : digit ? NUMBER.exponent : -1;
    default:
      return digit ? NUMBER.exponent : -1;
  }
}

/** States of `{1,2,3}`: what has been read so far. */
const ARRAY = { start: 0, open: 1, comma: 2, minus: 3, zero: 4, digits: 5, close: 6 } as const;

export function writeIntegerArray(tape: Tape, stop: number): Field {
  for (; tape.at < stop; tape.at++) {
    tape.reserve(1);
    const byte = tape.source[tape.at] as number;
    const next = nextInArray(tape.state, byte);
    if (next < 0) return FIELD.malformed;
    tape.out[tape.length++] = next === ARRAY.open ? 0x5b : next === ARRAY.close ? 0x5d : byte;
    tape.state = next;
  }
  return FIELD.good;
}

export function isWholeArray({ state }: Tape): boolean {
  return state === ARRAY.close;
}

function nextInArray(state: number, byte: number): number {
  const number = byte === MINUS ? ARRAY.minus : byte === ZERO ? ARRAY.zero : byte - ZERO >>> 0 <= 9 ? ARRAY.digits : -1;
  const close = byte === 0x7d ? ARRAY.close : -1;
  switch (state) {
    case ARRAY.start:
      return byte === 0x7b ? ARRAY.open : -1;
    case ARRAY.open:
      return number === -1 ? close : number;
    case ARRAY.comma:
      return number;
    case ARRAY.minus:
      return number === ARRAY.digits ? ARRAY.digits : -1;
    case ARRAY.zero:
    case ARRAY.digits:
      if (state === ARRAY.digits && number >= ARRAY.zero) return ARRAY.digits;
      return byte === COMMA ? ARRAY.comma : close;
    default:
      return -1;
  }
}
