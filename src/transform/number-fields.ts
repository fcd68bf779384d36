/** Integers, numbers, booleans and arrays of integers: their CSV text is nearly JSON already, so it is copied and checked. */
import { COMMA, MINUS, NEWLINE, OUTCOME, QUOTE, ZERO, type Outcome, type Tape } from './tape.js';

/** Bytes of the longest bigint, -9223372036854775808. */
const LONGEST_INTEGER = 20;

/** Hot path: the whole of zerver_usermessage goes through here. */
export function writeInteger(tape: Tape): Outcome {
  const { source, out, end } = tape;
  const start = tape.at;
  let at = start;
  let to = tape.length;
  // The caller has reserved room for the longest integer and its key; a run beyond it is refused below.
  const stop = Math.min(end, at + LONGEST_INTEGER + 1);
  if (tape.count === 0 && source[at] === MINUS) {
    out[to++] = MINUS;
    at++;
  }
  for (; at < stop; at++) {
    const byte = source[at] as number;
    if (byte - ZERO >>> 0 > 9) break;
    out[to++] = byte;
  }
  const length = tape.count + at - start;
  tape.at = at;
  tape.length = to;
  tape.count = length;
  if (length > LONGEST_INTEGER) return OUTCOME.malformed;
  if (at === end) return OUTCOME.cut;
  const first = out[to - length] === MINUS ? to - length + 1 : to - length;
  return to === first || (out[first] === ZERO && to - first > 1) ? OUTCOME.malformed : OUTCOME.done;
}

/** The value of the digits that writeInteger put at out[from..to]; beyond 2^53 it is rounded. */
export function integerValue(out: Uint8Array, from: number, to: number): number {
  const negative = out[from] === MINUS;
  let value = 0;
  for (let k = negative ? from + 1 : from; k < to; k++) value = value * 10 + (out[k] as number) - ZERO;
  return negative ? -value : value;
}

/** States of a JSON number: what has been read so far. */
const NUMBER = { start: 0, minus: 1, zero: 2, digits: 3, point: 4, fraction: 5, e: 6, sign: 7, exponent: 8 } as const;
const PLUS = 0x2b;
const POINT = 0x2e;
const SMALL_E = 0x65;

/** numeric may have 147,455 digits: streamed like text. */
export function writeNumber(tape: Tape): Outcome {
  while (tape.at < tape.end) {
    tape.reserve(1);
    const byte = tape.source[tape.at] as number;
    if (byte === COMMA || byte === NEWLINE) {
      const { state } = tape;
      return state === NUMBER.zero || state === NUMBER.digits || state === NUMBER.fraction || state === NUMBER.exponent ? OUTCOME.done : OUTCOME.malformed;
    }
    // NaN, Infinity, -Infinity
    if ((byte === 0x4e || byte === 0x49) && tape.state <= NUMBER.minus) return OUTCOME.notJson;
    const next = nextInNumber(tape.state, byte);
    if (next < 0) return OUTCOME.malformed;
    tape.state = next;
    tape.out[tape.length++] = byte;
    tape.at++;
  }
  return OUTCOME.cut;
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

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');

export function writeBoolean(tape: Tape): Outcome {
  if (tape.state === 0) {
    const byte = tape.source[tape.at];
    if (byte !== 0x74 && byte !== 0x66) return OUTCOME.malformed;
    tape.append(byte === 0x74 ? TRUE : FALSE);
    tape.at++;
    tape.state = 1;
  }
  return tape.at < tape.end ? OUTCOME.done : OUTCOME.cut;
}

/** States of `{1,2,3}`: what has been read so far. An array of two or more is quoted, for its commas: `count` is 1 then. */
const ARRAY = { start: 0, quote: 1, open: 2, comma: 3, minus: 4, zero: 5, digits: 6, close: 7, end: 8 } as const;

export function writeIntegerArray(tape: Tape): Outcome {
  while (tape.at < tape.end) {
    if (tape.state === ARRAY.end) return OUTCOME.done;
    tape.reserve(1);
    const byte = tape.source[tape.at] as number;
    const next = nextInArray(tape.state, byte, tape.count === 1);
    if (next < 0) return OUTCOME.malformed;
    if (next === ARRAY.open) tape.out[tape.length++] = 0x5b;
    else if (next === ARRAY.close) tape.out[tape.length++] = 0x5d;
    else if (next !== ARRAY.quote && next !== ARRAY.end) tape.out[tape.length++] = byte;
    if (next === ARRAY.quote) tape.count = 1;
    tape.state = next === ARRAY.close && tape.count === 0 ? ARRAY.end : next;
    tape.at++;
  }
  return OUTCOME.cut;
}

function nextInArray(state: number, byte: number, quoted: boolean): number {
  const number = byte === MINUS ? ARRAY.minus : byte === ZERO ? ARRAY.zero : byte - ZERO >>> 0 <= 9 ? ARRAY.digits : -1;
  const close = byte === 0x7d ? ARRAY.close : -1;
  switch (state) {
    case ARRAY.start:
      return byte === QUOTE ? ARRAY.quote : byte === 0x7b ? ARRAY.open : -1;
    case ARRAY.quote:
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
      return byte === COMMA && quoted ? ARRAY.comma : close;
    default:
      return byte === QUOTE && quoted ? ARRAY.end : -1;
  }
}
