/**
 * Rows of integers alone, many in one go: the whole of zerver_usermessage, twelve rows for each message, is such. Field by field the same costs
 * more than twice as much: here everything stays in local variables.
 */
import { digitsOf, integerAt, PAIRS, writeInteger } from './fixed-fields.js';
import type { Stamp, Tape } from './tape.js';

const COMMA = 0x2c;
const CLOSE = 0x7d;
const ZERO = 0x30;

/** Bytes before the fields of a row, before a field, and of the longest field. */
const COUNT = 2;
const LENGTH = 4;
const LONGEST = 8;

/** Numbers up to here are small integers of V8, whose divisions are the processor's. */
const LARGEST = 0x3fff_ffff;

/** Room for a number's digits, and the excess of a stamp. */
const DIGITS = 24;

/**
 * Writes rows as long as they are there as a whole and have nothing unusual: one with a null, or with a number of two bytes, is left to whoever reads field by field.
 *
 * @param prefixes what goes before the value of each column
 * @param comma rows have been written before
 * @returns how many rows were written
 */
export function writeIntegerRows(tape: Tape, prefixes: readonly Stamp[], comma: boolean): number {
  const { words, end, out, outWords } = tape;
  const columns = prefixes.length;
  const whole = COUNT + columns * (LENGTH + LONGEST);
  const room = prefixes.reduce((sum, { length }) => sum + length + DIGITS, 2);
  let { at } = tape;
  let rows = 0;
  for (; end - at >= whole && words.getInt16(at) === columns; rows++) {
    tape.reserve(room);
    const before = tape.length;
    let to = before;
    if (comma || rows > 0) out[to++] = COMMA;
    let from = at + COUNT;
    let column = 0;
    for (; column < columns; column++) {
      const length = words.getInt32(from);
      if (length !== 4 && length !== 8) break;
      from += LENGTH + length;
      const prefix = prefixes[column] as Stamp;
      for (let k = 0, word = to; k < prefix.words.length; k++, word += 4) outWords.setInt32(word, prefix.words[k] as number, true);
      to += prefix.length;
      const value = length === 8 && words.getInt32(from - LONGEST) !== 0 ? Infinity : words.getInt32(from - 4);
      if (value < 0 || value > LARGEST) {
        tape.length = to;
        writeInteger(tape, integerAt(tape, from - length, length), from - length);
        to = tape.length;
        continue;
      }
      const digits = digitsOf(value);
      let rest = value;
      let place = to + digits;
      while (place - to >= 2) {
        const next = (rest / 100) | 0;
        place -= 2;
        outWords.setUint16(place, PAIRS[rest - next * 100] as number, true);
        rest = next;
      }
      if (place > to) out[to] = ZERO + rest;
      to += digits;
    }
    if (column < columns) {
      tape.length = before;
      break;
    }
    out[to++] = CLOSE;
    tape.length = to;
    at = from;
  }
  tape.at = at;
  return rows;
}
