/**
 * Fields of a fixed length: integers, booleans, timestamps. The server sends them as its own memory holds them, most
 * significant byte first; the caller has reserved room for the longest.
 */
import { stampOf, type Tape } from './tape.js';

/** Seconds from 1970, Unix's epoch, to 2000, PostgreSQL's. */
const EPOCH = 946_684_800;

/** Years 1 to 9999, which Python's datetime can hold. */
const FIRST_SECOND = -62_135_596_800;
const LAST_SECOND = 253_402_300_799;

const MINUS = 0x2d;
const ZERO = 0x30;
const POINT = 0x2e;

const TRUE = stampOf('true');
const FALSE = stampOf('false');

/** The two digits of 0 to 99, as one little-endian number each. */
export const PAIRS = Uint16Array.from({ length: 100 }, (_, pair) => ZERO + Math.floor(pair / 10) + ((ZERO + (pair % 10)) << 8));

/** The smallest number of more than so many digits, by their number. Also 0 has a digit. */
const POWERS = Int32Array.from({ length: 10 }, (_, digits) => (digits === 0 ? 0 : 10 ** digits));

/** The integer of `length` bytes at `at` of the source; beyond 2^53 it is rounded. NaN where there is no such integer. */
export function integerAt({ words }: Tape, at: number, length: number): number {
  if (length === 4) return words.getInt32(at);
  if (length === 8) return words.getInt32(at) * 4_294_967_296 + words.getUint32(at + 4);
  return length === 2 ? words.getInt16(at) : NaN;
}

/** Hot path: the whole of zerver_usermessage goes through here. @param value as integerAt reads it */
export function writeInteger(tape: Tape, value: number, at: number): void {
  if (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER) {
    for (const digit of String(tape.words.getBigInt64(at))) tape.out[tape.length++] = digit.charCodeAt(0);
    return;
  }
  if (value < 0) tape.out[tape.length++] = MINUS;
  writeWhole(tape, Math.abs(value));
}

/** Whether the byte is a boolean. */
export function writeBoolean(tape: Tape, at: number): boolean {
  const value = tape.source[at] as number;
  tape.stamp(value === 1 ? TRUE : FALSE);
  return value <= 1;
}

/**
 * Microseconds since 2000 as seconds since 1970, always a float (`.0` without a fraction), as Zulip's own export writes it, but
 * in decimal from end to end, so that all six digits are exact at any date.
 *
 * @returns false for a moment that Zulip cannot read: infinite, BC, or after the year 9999
 */
export function writeTimestamp(tape: Tape, at: number): boolean {
  const high = tape.words.getInt32(at);
  // 2^32 µs are 4,294 s and 967,296 µs: no number here is beyond 2^53.
  const rest = high * 967_296 + tape.words.getUint32(at + 4);
  const carried = Math.floor(rest / 1_000_000);
  const seconds = high * 4294 + carried + EPOCH;
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) return false;
  let whole = seconds;
  let micros = rest - carried * 1_000_000;
  if (seconds < 0) {
    tape.out[tape.length++] = MINUS;
    // -1 s and 250,000 µs are -0.75 s.
    whole = micros === 0 ? -seconds : -seconds - 1;
    micros = micros === 0 ? 0 : 1_000_000 - micros;
  }
  writeWhole(tape, whole);
  const { out } = tape;
  out[tape.length++] = POINT;
  writeDigits(tape, micros, 6);
  while (out[tape.length - 1] === ZERO && out[tape.length - 2] !== POINT) tape.length--;
  return true;
}

/** @param value from 0 to 2^53 */
function writeWhole(tape: Tape, value: number): void {
  if (value < 1_000_000_000) {
    writeDigits(tape, value, digitsOf(value));
    return;
  }
  const high = Math.floor(value / 1_000_000_000);
  writeWhole(tape, high);
  writeDigits(tape, value - high * 1_000_000_000, 9);
}

/**
 * How many digits the number has, without a branch for each: a number of digits that comes late, as in ids that rise, would have V8 throw away
 * the compiled code of all that calls this.
 *
 * @param value from 0 to 2^31 - 1
 */
export function digitsOf(value: number): number {
  // The bits times the logarithm of 2: the digits, or one less.
  const digits = ((32 - Math.clz32(value)) * 1233) >> 12;
  return digits + (value >= (POWERS[digits] as number) ? 1 : 0);
}

/** @param value a small integer, so that its divisions are the processor's */
function writeDigits(tape: Tape, value: number, digits: number): void {
  const { outWords } = tape;
  let rest = value | 0;
  let to = tape.length + digits;
  for (; to - tape.length >= 2; ) {
    const next = (rest / 100) | 0;
    to -= 2;
    outWords.setUint16(to, PAIRS[rest - next * 100] as number, true);
    rest = next;
  }
  if (to > tape.length) tape.out[to - 1] = ZERO + rest;
  tape.length += digits;
}
