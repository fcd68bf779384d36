/**
 * timestamptz, as a session with TimeZone UTC and DateStyle ISO writes it, to seconds since the epoch.
 *
 * `2026-11-22 17:09:00.123456+00` becomes `1795367340.123456`: always a float (`.0` without a fraction), as Zulip's own
 * export writes it, but in decimal from end to end, so that all six digits are exact at any date.
 * https://www.postgresql.org/docs/current/datatype-datetime.html
 */
import { COMMA, MINUS, NEWLINE, OUTCOME, ZERO, type Outcome, type Tape } from './tape.js';

/** `YYYY-MM-DD HH:MM:SS`, then up to `.ffffff`, then `+00`. */
const SECONDS_LENGTH = 19;
const ZONE_LENGTH = 3;
const LONGEST = SECONDS_LENGTH + 7 + ZONE_LENGTH;

const SECONDS_A_DAY = 86400;
const POINT = 0x2e;

/** Gathers the field, which a chunk's end may have cut, and writes it. */
export function writeTimestamp(tape: Tape): Outcome {
  const { source, scratch, end } = tape;
  let { at, count } = tape;
  for (; at < end; at++) {
    const byte = source[at] as number;
    if (byte === COMMA || byte === NEWLINE) {
      tape.at = at;
      return convert(tape, count);
    }
    // A longer one has a five-digit year or BC.
    if (count === LONGEST) return OUTCOME.notJson;
    scratch[count++] = byte;
  }
  tape.at = at;
  tape.count = count;
  return OUTCOME.cut;
}

function convert(tape: Tape, length: number): Outcome {
  const text = tape.scratch;
  const zone = length - ZONE_LENGTH;
  // infinity, -infinity, a year beyond 9999, BC, or another zone than UTC
  if (zone < SECONDS_LENGTH || text[4] !== MINUS || text[zone] !== 0x2b || text[zone + 1] !== ZERO || text[zone + 2] !== ZERO) return OUTCOME.notJson;
  const year = two(text, 0) * 100 + two(text, 2);
  const month = two(text, 5);
  const day = two(text, 8);
  const time = two(text, 11) * 3600 + two(text, 14) * 60 + two(text, 17);
  const separators = text[7] === MINUS && text[10] === 0x20 && text[13] === 0x3a && text[16] === 0x3a;
  // A byte that is no digit makes its number negative or too large, and so the sum of all.
  if (!separators || !(year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && time >= 0 && time < SECONDS_A_DAY)) return OUTCOME.malformed;

  let micros = 0;
  if (zone > SECONDS_LENGTH) {
    if (text[SECONDS_LENGTH] !== POINT || zone === SECONDS_LENGTH + 1) return OUTCOME.malformed;
    let scale = 1_000_000;
    for (let k = SECONDS_LENGTH + 1; k < zone; k++) {
      const digit = (text[k] as number) - ZERO;
      if (digit < 0 || digit > 9) return OUTCOME.malformed;
      scale /= 10;
      micros += digit * scale;
    }
  }
  writeSeconds(tape, daysSinceEpoch(year, month, day) * SECONDS_A_DAY + time, micros);
  return OUTCOME.done;
}

function two(text: Uint8Array, at: number): number {
  const tens = (text[at] as number) - ZERO;
  const ones = (text[at + 1] as number) - ZERO;
  return tens >>> 0 > 9 || ones >>> 0 > 9 ? NaN : tens * 10 + ones;
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar, for years from 1 (the year begins in March, so that leap days come last). */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return 365 * y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + dayOfYear - 719468;
}

function writeSeconds(tape: Tape, seconds: number, micros: number): void {
  const { out } = tape;
  let whole = seconds;
  let fraction = micros;
  if (seconds < 0) {
    out[tape.length++] = MINUS;
    // -1 s and 250,000 µs are -0.75 s.
    whole = fraction === 0 ? -seconds : -seconds - 1;
    fraction = fraction === 0 ? 0 : 1_000_000 - fraction;
  }
  // Up to 253,402,300,799: in two halves of at most six digits, so that the divisions are of small integers.
  const high = Math.floor(whole / 1_000_000);
  const low = whole - high * 1_000_000;
  let digits = 1;
  for (let limit = 10; digits < 6 && (high > 0 ? high : low) >= limit; limit *= 10) digits++;
  if (high > 0) {
    writeDigits(tape, high, digits);
    writeDigits(tape, low, 6);
  } else {
    writeDigits(tape, low, digits);
  }
  out[tape.length++] = POINT;
  writeDigits(tape, fraction, 6);
  while (out[tape.length - 1] === ZERO && out[tape.length - 2] !== POINT) tape.length--;
}

function writeDigits(tape: Tape, value: number, digits: number): void {
  const { out } = tape;
  let rest = value;
  for (let k = tape.length + digits - 1; k >= tape.length; k--) {
    const next = (rest / 10) | 0;
    out[k] = ZERO + rest - next * 10;
    rest = next;
  }
  tape.length += digits;
}
