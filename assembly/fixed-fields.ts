/**
 * Fields of a fixed length: integers, booleans, timestamps. The server sends them as its own memory holds them, most significant byte
 * first. Each writer is told where to write and says where it ended; its caller has made room for the longest.
 */
import { PAIRS } from '../src/transform/layout';
import { MINUS, POINT, SMALL_E, ZERO } from './bytes';

/** Seconds from 1970, Unix's epoch, to 2000, PostgreSQL's. */
const EPOCH: i64 = 946_684_800;

/** Years 1 to 9999, which Python's datetime can hold. */
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;

const MICROSECONDS: i64 = 1_000_000;

/** The words as numbers of little endian. */
const TRUE = 0x65757274;
const FALS = 0x736c6166;
const NULL = 0x6c6c756e;

// The two digits of 0 to 99.
for (let pair = 0; pair < 100; pair++) store<u16>(PAIRS + pair * 2, (ZERO + pair / 10) | (ZERO + (pair % 10) << 8));

/** Of a length that integers have. @param length 2, 4 or 8 */
export function integerAt(at: i32, length: i32): i64 {
  if (length === 4) return bswap<i32>(load<i32>(at)) as i64;
  return length === 8 ? bswap<i64>(load<i64>(at)) : bswap<i16>(load<i16>(at)) as i64;
}

/** Hot path: the whole of zerver_usermessage goes through here. */
export function writeInteger(value: i64, to: i32): i32 {
  if (value >= 0) return writeWhole(value as u64, to);
  store<u8>(to, MINUS);
  return writeWhole((0 - value) as u64, to + 1);
}

export function writeNull(to: i32): i32 {
  store<u32>(to, NULL);
  return to + 4;
}

/** @param value 0 or 1 */
export function writeBoolean(value: i32, to: i32): i32 {
  store<u32>(to, value === 1 ? TRUE : FALS);
  if (value === 1) return to + 4;
  store<u8>(to + 4, SMALL_E);
  return to + 5;
}

/**
 * Microseconds since 2000 as seconds since 1970, always a float (`.0` without a fraction), as Zulip's own export writes it, but
 * in decimal from end to end, so that all six digits are exact at any date.
 *
 * @returns 0 for a moment that Zulip cannot read: infinite, BC, or after the year 9999
 */
export function writeTimestamp(moment: i64, to: i32): i32 {
  let seconds = moment / MICROSECONDS;
  let micros = moment - seconds * MICROSECONDS;
  if (micros < 0) {
    seconds--;
    micros += MICROSECONDS;
  }
  seconds += EPOCH;
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) return 0;
  let at = to;
  if (seconds < 0) {
    store<u8>(at++, MINUS);
    // -1 s and 250,000 µs are -0.75 s.
    seconds = micros === 0 ? -seconds : -seconds - 1;
    micros = micros === 0 ? 0 : MICROSECONDS - micros;
  }
  at = writeWhole(seconds as u64, at);
  store<u8>(at++, POINT);
  const fraction = at;
  at = writeDigits(micros as u32, 6, at);
  while (at > fraction + 1 && load<u8>(at - 1) === ZERO) at--;
  return at;
}

function writeWhole(value: u64, to: i32): i32 {
  if (value < 1_000_000_000) return writeDigits(value as u32, digitsOf(value as u32), to);
  const high = value / 1_000_000_000;
  return writeDigits((value - high * 1_000_000_000) as u32, 9, writeWhole(high, to));
}

/** @param value below 1,000,000,000 */
function digitsOf(value: u32): i32 {
  return value < 10 ? 1 : value < 100 ? 2 : value < 1000 ? 3 : value < 10_000 ? 4 : value < 100_000 ? 5 : value < 1_000_000 ? 6 : value < 10_000_000 ? 7 : value < 100_000_000 ? 8 : 9;
}

function writeDigits(value: u32, digits: i32, to: i32): i32 {
  let rest = value;
  let place = to + digits;
  while (place - to >= 2) {
    const next = rest / 100;
    place -= 2;
    store<u16>(place, load<u16>(PAIRS + (rest - next * 100) * 2));
    rest = next;
  }
  if (place > to) store<u8>(to, ZERO + rest);
  return to + digits;
}
