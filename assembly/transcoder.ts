/**
 * The row path: bytes of `COPY (…) TO STDOUT (FORMAT binary)` become JSON. src/transform/transcoder.ts puts chunk after chunk into the input,
 * calls push(), and is called when the output is full and for what a sink must know of the rows.
 *
 * Why WebAssembly: what is compiled beforehand is as fast with the first row as with the millionth, and once for all threads, where V8 has to
 * find out for each of them which of a program's functions are worth compiling, and guesses wrong while the kinds of rows are still new to it.
 */
import {
  BEHIND_END, BOOLEAN, COLUMNS, DEALT, DESCRIPTOR_SIZE, EXCESS, FIELD_MALFORMED, FIELD_NOT_JSON, FIELDS_MISCOUNTED, FIRST_NULL, GOOD, INPUT, INTEGER, INTEGER_ARRAY, JSON_TEXT,
  NO_SIGNATURE, NUMBER, OUTPUT, PLAIN, PREFIX, PREFIX_LENGTH, SEGMENTED, SHOWN, SHOWN_AT, TEXT, TIMESTAMP, VECTOR,
} from '../src/transform/layout';
import { CLOSE_BRACE, COMMA, QUOTE } from './bytes';
import { integerAt, writeBoolean, writeInteger, writeNull, writeTimestamp } from './fixed-fields';
import { append, flush, Output, reserve } from './output';
import { copyField, Field, isWholeArray, isWholeNumber, writeIntegerArray, writeNumber, writeText } from './text-fields';
import { beginVector, isWholeVector, writeVector } from './vector-field';

/** A row beyond the boundary begins a file. @returns the next boundary */
declare function startFile(id: f64): f64;
/** A row of a segmented sink is complete. */
declare function see(id: f64, watched: f64): void;
/** A row of a dealt sink is complete. */
declare function endRow(): void;

/** PGCOPY\n\xff\r\n\0, flags, and the length of an extension that no server has yet: https://www.postgresql.org/docs/current/sql-copy.html */
const SIGNATURE_LENGTH = 19;
const SIGNATURE_BEGINS: u64 = 0xff0a_5950_4f43_4750;
const SIGNATURE_GOES_ON: u64 = 0x0a0d;

/** Stands where the number of a row's fields would, behind the last row. */
const TRAILER = -1;
const COUNT_LENGTH = 2;

/** Before each field, its length; that of one that is null. */
const LENGTH_LENGTH = 4;
const NULL_LENGTH = -1;

/** The longest field of a fixed length. */
const LONGEST_FIXED = 8;

/** Room that any field but a long one needs: a timestamp of 12 + 1 + 6 digits, an integer of 20, the punctuation, what is copied too much. */
const FIELD_ROOM: i32 = EXCESS;

let columns = 0;
let sink: i32 = PLAIN;
let boundary: f64 = Infinity;
let begun: bool = false;
let ended: bool = false;
let comma: bool = false;
/** Bytes of the current field that are still to come; -1 between fields. */
let left: i32 = -1;
/** Bytes of the input's beginning that the last chunk left. */
export let rest = 0;
/** The current column. */
export let column = 0;
/** Rows completed. */
export let rows: f64 = 0;

/** Before the first chunk, when the columns have been described. @param kind of the sink @param first its boundary */
export function begin(count: i32, kind: i32, first: f64): void {
  columns = count;
  sink = kind;
  boundary = first;
  begun = ended = comma = false;
  left = -1;
  rest = column = 0;
  rows = 0;
  Output.to = OUTPUT;
}

/** The COPY is complete: gives the sink what is left. @returns false when it ends before its last row */
export function end(): bool {
  if (ended) flush();
  return ended;
}

/** Reads so many bytes that have been put behind the rest. @returns GOOD, or what is wrong */
export function push(length: i32): i32 {
  const stop = INPUT + rest + length;
  let at = INPUT;
  if (!begun) {
    if (stop - at < SIGNATURE_LENGTH) return keep(at, stop);
    if (load<u64>(at) !== SIGNATURE_BEGINS || load<u64>(at + 8) !== SIGNATURE_GOES_ON || load<u16>(at + 16) !== 0 || load<u8>(at + 18) !== 0) return NO_SIGNATURE;
    at += SIGNATURE_LENGTH;
    begun = true;
  }
  while (true) {
    if (left < 0) {
      let from = at;
      if (column === 0) {
        if (stop - from < COUNT_LENGTH) return keep(at, stop);
        const fields = bswap<i16>(load<i16>(from)) as i32;
        from += COUNT_LENGTH;
        if (fields !== columns || ended) return readTrailer(fields, from, stop);
      }
      if (stop < from + LENGTH_LENGTH) return keep(at, stop);
      const length = bswap<i32>(load<i32>(from));
      from += LENGTH_LENGTH;
      const descriptor = COLUMNS + column * DESCRIPTOR_SIZE;
      const kind: i32 = load<u8>(descriptor);
      if (kind <= BOOLEAN) {
        if (length > LONGEST_FIXED) return FIELD_MALFORMED;
        if (stop < from + max(length, 0)) return keep(at, stop);
      }
      at = from;
      const said = readField(descriptor, kind, at, length);
      if (said !== GOOD) return said;
      if (left < 0) at += max(length, 0);
    }
    if (left >= 0) {
      const until = at + min(left, stop - at);
      const said = readBody(at, until);
      if (said !== GOOD) return said;
      left -= until - at;
      at = until;
      if (left > 0) return keep(at, stop);
      left = -1;
    }
    if (++column === columns) finishRow();
  }
}

/** What is not read yet goes before the next chunk. */
function keep(at: i32, stop: i32): i32 {
  rest = stop - at;
  memory.copy(INPUT, at, rest);
  return GOOD;
}

function readTrailer(fields: i32, at: i32, stop: i32): i32 {
  if (fields !== TRAILER || ended) return FIELDS_MISCOUNTED;
  ended = true;
  rest = 0;
  return at < stop ? BEHIND_END : GOOD;
}

/** A field of a fixed length or a null as a whole, of another one its beginning: then `left` says what is to come. */
function readField(descriptor: i32, kind: i32, at: i32, length: i32): i32 {
  const isInteger = kind === INTEGER && length !== NULL_LENGTH;
  if (isInteger && length !== 2 && length !== 4 && length !== 8) return FIELD_MALFORMED;
  const value: i64 = isInteger ? integerAt(at, length) : 0;
  if (column === 0 && sink !== PLAIN) {
    if (length === NULL_LENGTH) return FIRST_NULL;
    startRow(value as f64);
  }
  const prefix = load<i32>(descriptor, PREFIX_LENGTH);
  const written = prefix > 0;
  let to = reserve(prefix + FIELD_ROOM);
  if (column === 0 && comma) store<u8>(to++, COMMA);
  const words = load<i32>(descriptor, PREFIX);
  for (let k = 0; k < prefix; k += 8) store<u64>(to + k, load<u64>(words + k));
  to += prefix;
  if (kind === INTEGER) {
    const shown = load<i32>(descriptor, SHOWN_AT);
    if (shown >= 0) store<f64>(SHOWN + shown * 8, isInteger ? value as f64 : NaN);
  }
  if (length === NULL_LENGTH) {
    if (written) to = writeNull(to);
  } else if (kind === INTEGER) {
    if (written) to = writeInteger(value, to);
  } else if (kind === BOOLEAN) {
    const byte: i32 = load<u8>(at);
    if (length !== 1 || byte > 1) return FIELD_MALFORMED;
    to = writeBoolean(byte, to);
  } else if (kind === TIMESTAMP) {
    if (length !== 8) return FIELD_MALFORMED;
    to = writeTimestamp(bswap<i64>(load<i64>(at)), to);
    if (to === 0) return FIELD_NOT_JSON;
  } else {
    if (length < 0) return FIELD_MALFORMED;
    if (kind === TEXT || kind === VECTOR) store<u8>(to++, QUOTE);
    if (kind === VECTOR) beginVector();
    else Field.state = 0;
    left = length;
  }
  Output.to = to;
  return GOOD;
}

/** Of a field of any length, as much of it as there is. */
function readBody(at: i32, until: i32): i32 {
  const kind: i32 = load<u8>(COLUMNS + column * DESCRIPTOR_SIZE);
  const last = until - at === left;
  if (kind === TEXT) {
    writeText(at, until);
    if (last) append(QUOTE);
  } else if (kind === VECTOR) {
    const said = writeVector(at, until);
    if (said !== GOOD) return said;
    if (last && !isWholeVector()) return FIELD_MALFORMED;
    if (last) append(QUOTE);
  } else if (kind === NUMBER) {
    const said = writeNumber(at, until);
    if (said !== GOOD) return said;
    if (last && !isWholeNumber()) return FIELD_MALFORMED;
  } else if (kind === INTEGER_ARRAY) {
    const said = writeIntegerArray(at, until);
    if (said !== GOOD) return said;
    if (last && !isWholeArray()) return FIELD_MALFORMED;
  } else if (kind === JSON_TEXT) {
    // No JSON is empty, and the server has none.
    if (last && Field.state === 0 && until === at) return FIELD_MALFORMED;
    Field.state = 1;
    copyField(at, until);
  }
  return GOOD;
}

function startRow(id: f64): void {
  store<f64>(SHOWN, id);
  if (sink !== SEGMENTED) return;
  store<f64>(SHOWN + 8, NaN);
  if (id <= boundary) return;
  flush();
  boundary = startFile(id);
  comma = false;
}

function finishRow(): void {
  append(CLOSE_BRACE);
  column = 0;
  rows++;
  if (sink === DEALT) {
    flush();
    endRow();
    return;
  }
  comma = true;
  if (sink === SEGMENTED) see(load<f64>(SHOWN), load<f64>(SHOWN + 8));
}
