/**
 * Fields of any length: text, JSON, and numbers and arrays in their text form. They are streamed, whatever their size: each writer
 * takes what there is of its field, up to `stop`, and what it must remember is in the state, 0 at the field's beginning.
 */
import { ESCAPES, FIELD_MALFORMED, FIELD_NOT_JSON, GOOD } from '../src/transform/layout';
import { BACKSLASH, CLOSE_ARRAY, CLOSE_BRACE, COMMA, MINUS, NINE, OPEN_ARRAY, OPEN_BRACE, PLUS, POINT, QUOTE, SMALL_E, SPACE, ZERO } from './bytes';
import { append, flush, Output, OUTPUT_END, reserve } from './output';

/** Bytes that one byte of text may become: \u00XX. */
export const LONGEST_ESCAPE = 6;

// What each byte of text becomes, JSON's escapes (RFC 8259, 7), the two-character ones where they exist, and above it, in the highest byte, how long that is.
for (let byte = 0; byte < 256; byte++) {
  const letter: u64 = letterOf(byte);
  const high: u64 = ZERO + (byte >> 4);
  const low: u64 = (byte & 15) < 10 ? ZERO + (byte & 15) : 0x57 + (byte & 15);
  let escape: u64 = byte;
  let length: u64 = 1;
  if (letter > 0) {
    escape = BACKSLASH | (letter << 8);
    length = 2;
  } else if (byte < SPACE) {
    escape = 0x3030_755c | (high << 32) | (low << 40);
    length = 6;
  }
  store<u64>(ESCAPES + byte * 8, escape | (length << 56));
}

/** What goes behind the backslash; 0 for a byte that has no such escape. */
function letterOf(byte: i32): i32 {
  switch (byte) {
    case 0x08: return 0x62;
    case 0x09: return 0x74;
    case 0x0a: return 0x6e;
    case 0x0c: return 0x66;
    case 0x0d: return 0x72;
    case QUOTE: return QUOTE;
    case BACKSLASH: return BACKSLASH;
    default: return 0;
  }
}

/** Copies sixteen bytes. @returns which of them must be escaped, a bit for each: behind the first of these the copy is worthless */
export function copySixteen(at: i32, to: i32): i32 {
  const bytes = v128.load(at);
  v128.store(to, bytes);
  return i8x16.bitmask(v128.or(i8x16.lt_u(bytes, i8x16.splat(SPACE as i8)), v128.or(i8x16.eq(bytes, i8x16.splat(QUOTE as i8)), i8x16.eq(bytes, i8x16.splat(BACKSLASH as i8)))));
}

/** Writes what a byte of text becomes. @returns how many bytes that are */
export function writeByte(byte: i32, to: i32): i32 {
  const escape = load<u64>(ESCAPES + byte * 8);
  store<u64>(to, escape);
  return (escape >> 56) as i32;
}

export class Field {
  static state: i32 = 0;
}

/**
 * The inside of a JSON string. Hot path: message content and rendered_content.
 *
 * Sixteen bytes at a time where none of them must be escaped; else as far as the one that must, and it through the table.
 */
export function writeText(from: i32, stop: i32): void {
  let at = from;
  while (at < stop) {
    let to = reserve(64 * LONGEST_ESCAPE);
    // As far as the room suffices, whatever the bytes are.
    const until = min(stop, at + (OUTPUT_END - to) / LONGEST_ESCAPE);
    while (at < until) {
      while (at + 16 <= until) {
        const marked = copySixteen(at, to);
        if (marked !== 0) {
          at += ctz(marked);
          to += ctz(marked);
          break;
        }
        at += 16;
        to += 16;
      }
      for (let length = 1; length === 1 && at < until; at++) {
        length = writeByte(load<u8>(at), to);
        to += length;
      }
    }
    Output.to = to;
  }
}

/** The value's own bytes. */
export function copyField(from: i32, stop: i32): void {
  for (let at = from; at < stop;) {
    if (Output.to === OUTPUT_END) flush();
    const length = min(stop - at, OUTPUT_END - Output.to);
    memory.copy(Output.to, at, length);
    at += length;
    Output.to += length;
  }
}

/** What has been read of a JSON number. */
const enum Digits { start, minus, zero, digits, point, fraction, e, sign, exponent, none }
/** What NaN and Infinity begin with. */
const LARGE_N = 0x4e;
const LARGE_I = 0x49;

/** numeric may have 147,455 digits. */
export function writeNumber(from: i32, stop: i32): i32 {
  for (let at = from; at < stop; at++) {
    const byte: i32 = load<u8>(at);
    if ((byte === LARGE_N || byte === LARGE_I) && Field.state <= Digits.minus) return FIELD_NOT_JSON;
    const next = nextInNumber(Field.state, byte);
    if (next === Digits.none) return FIELD_MALFORMED;
    Field.state = next;
    append(byte);
  }
  return GOOD;
}

/** Whether the number that was written may end there. */
export function isWholeNumber(): bool {
  const state = Field.state;
  return state === Digits.zero || state === Digits.digits || state === Digits.fraction || state === Digits.exponent;
}

function nextInNumber(state: i32, byte: i32): i32 {
  const digit = byte >= ZERO && byte <= NINE;
  switch (state) {
    case Digits.start:
      return byte === MINUS ? Digits.minus : byte === ZERO ? Digits.zero : digit ? Digits.digits : Digits.none;
    case Digits.minus:
      return byte === ZERO ? Digits.zero : digit ? Digits.digits : Digits.none;
    case Digits.zero:
    case Digits.digits:
      if (digit) return state === Digits.digits ? Digits.digits : Digits.none;
      return byte === POINT ? Digits.point : byte === SMALL_E ? Digits.e : Digits.none;
    case Digits.fraction:
      return digit ? Digits.fraction : byte === SMALL_E ? Digits.e : Digits.none;
    case Digits.point:
      return digit ? Digits.fraction : Digits.none;
    case Digits.e:
      return byte === PLUS || byte === MINUS ? Digits.sign : digit ? Digits.exponent : Digits.none;
    default:
      return digit ? Digits.exponent : Digits.none;
  }
}

/** What has been read of `{1,2,3}`. */
const enum List { start, open, comma, minus, zero, digits, close, none }

export function writeIntegerArray(from: i32, stop: i32): i32 {
  for (let at = from; at < stop; at++) {
    const byte: i32 = load<u8>(at);
    const next = nextInArray(Field.state, byte);
    if (next === List.none) return FIELD_MALFORMED;
    Field.state = next;
    append(next === List.open ? OPEN_ARRAY : next === List.close ? CLOSE_ARRAY : byte);
  }
  return GOOD;
}

export function isWholeArray(): bool {
  return Field.state === List.close;
}

function nextInArray(state: i32, byte: i32): i32 {
  const number = byte === MINUS ? List.minus : byte === ZERO ? List.zero : byte >= ZERO && byte <= NINE ? List.digits : List.none;
  const close = byte === CLOSE_BRACE ? List.close : List.none;
  switch (state) {
    case List.start:
      return byte === OPEN_BRACE ? List.open : List.none;
    case List.open:
      return number === List.none ? close : number;
    case List.comma:
      return number;
    case List.minus:
      return number === List.digits ? List.digits : List.none;
    case List.zero:
    case List.digits:
      if (state === List.digits && (number === List.zero || number === List.digits)) return List.digits;
      return byte === COMMA ? List.comma : close;
    default:
      return List.none;
  }
}
