/**
 * tsvector in its binary form, which costs the server half of what its text does: how many lexemes, and of each its bytes, a 0, how many positions,
 * and these, whose upper two bits are the weight. It is written as the server prints it: `'lexeme':1,2B 'other'`.
 * https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/tsvector.c (tsvectorsend, tsvectorout)
 */
import { FIELD_MALFORMED, GOOD } from '../src/transform/layout';
import { APOSTROPHE, BACKSLASH, COLON, COMMA, SPACE } from './bytes';
import { writeInteger } from './fixed-fields';
import { Output, OUTPUT_END, reserve } from './output';
import { copySixteen, Field, LONGEST_ESCAPE, writeByte } from './text-fields';

/** What comes next: a number of lexemes, bytes of one, a number of positions, one of these, or nothing. */
const enum Next { lexemes, lexeme, positions, position, nothing }

const LEXEMES_LENGTH = 4;
const NUMBER_LENGTH = 2;
/** Of a position: where it is, and behind these bits its weight, from D, which is not written, to A. */
const POSITION = 0x3fff;
const WEIGHT_BITS = 14;
const BEFORE_A = 0x44;

/** For what is written at once behind a byte. */
const ROOM = 64;

/** Lexemes, and positions of the current one, that are still to come. */
let lexemes: i32 = 0;
let positions: i32 = 0;
/** A number as far as it has come, and how many bytes of it are still to come. */
let number: i32 = 0;
let missing: i32 = 0;

export function beginVector(): void {
  Field.state = Next.lexemes;
  number = 0;
  missing = LEXEMES_LENGTH;
}

export function isWholeVector(): bool {
  return Field.state === Next.nothing;
}

export function writeVector(from: i32, stop: i32): i32 {
  let at = from;
  while (at < stop) {
    let to = reserve(ROOM * (LONGEST_ESCAPE + 1));
    // As far as the room suffices, whatever the bytes are.
    const until = min(stop, at + (OUTPUT_END - to - ROOM) / LONGEST_ESCAPE);
    while (at < until) {
      if (Field.state === Next.lexeme) {
        // Most lexemes are shorter than sixteen bytes, and plain as far as their end.
        while (at + 16 <= until) {
          const marked = copySixteen(at, to) | i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(APOSTROPHE as i8)));
          const plain = marked === 0 ? 16 : ctz(marked);
          at += plain;
          to += plain;
          if (marked !== 0) break;
        }
        if (at === until) continue;
        const byte: i32 = load<u8>(at++);
        if (byte === 0) {
          store<u8>(to++, APOSTROPHE);
          expect(Next.positions, NUMBER_LENGTH);
          continue;
        }
        to += writeByte(byte, to);
        // Twice, in the server's own text.
        if (byte === APOSTROPHE || byte === BACKSLASH) to += writeByte(byte, to);
        continue;
      }
      if (Field.state === Next.nothing) return FIELD_MALFORMED;
      if (missing === NUMBER_LENGTH && at + NUMBER_LENGTH <= until) {
        number = (number << 16) | (bswap<u16>(load<u16>(at)) as i32);
        at += NUMBER_LENGTH;
      } else {
        number = (number << 8) | (load<u8>(at++) as i32);
        if (--missing > 0) continue;
      }
      if (Field.state === Next.lexemes) {
        lexemes = number;
        to = beginLexeme(to);
      } else if (Field.state === Next.positions) {
        positions = number;
        if (positions > 0) store<u8>(to++, COLON);
        to = nextPosition(to);
      } else {
        to = writeInteger((number & POSITION) as i64, to);
        const weight = number >> WEIGHT_BITS;
        if (weight > 0) store<u8>(to++, BEFORE_A - weight);
        positions--;
        if (positions > 0) store<u8>(to++, COMMA);
        to = nextPosition(to);
      }
    }
    Output.to = to;
  }
  return GOOD;
}

function expect(next: i32, length: i32): void {
  Field.state = next;
  number = 0;
  missing = length;
}

/** Behind a position, or the number of them. */
function nextPosition(to: i32): i32 {
  if (positions > 0) {
    expect(Next.position, NUMBER_LENGTH);
    return to;
  }
  lexemes--;
  if (lexemes > 0) store<u8>(to, SPACE);
  return beginLexeme(lexemes > 0 ? to + 1 : to);
}

function beginLexeme(to: i32): i32 {
  if (lexemes <= 0) {
    Field.state = Next.nothing;
    return to;
  }
  Field.state = Next.lexeme;
  store<u8>(to, APOSTROPHE);
  return to + 1;
}
