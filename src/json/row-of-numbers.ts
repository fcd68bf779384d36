/** The shortest way through an object whose members are all natural numbers, such as a usermessage, of which an export has the most. */
import type { ExpectedBytes } from './expected-bytes.js';
import { CLOSE_OBJECT, COMMA } from './json-bytes.js';

/** Digits of a number that is exact in any case. */
export const LONGEST_NUMBER = 15;

/**
 * @param from behind the brace that opens it
 * @param end of the bytes that are there
 * @param members the bytes before each value
 * @param slots for each where its value goes in `values`; below 0 for nowhere
 * @returns the place behind it; -1 where it is any other object, written in another way, or may go on behind `end`, and `values` hold anything then
 */
export function numbersEnd(buffer: Buffer, view: DataView, from: number, end: number, members: readonly ExpectedBytes[], slots: readonly number[], values: Float64Array): number {
  let p = from;
  for (let member = 0; member < members.length; member++) {
    const { length, words, rest } = members[member]!;
    if (p + length + LONGEST_NUMBER >= end) return -1;
    for (let i = 0; i < words.length; i++, p += 4) if (view.getInt32(p, true) !== words[i]) return -1;
    for (let i = 0; i < rest.length; i++, p++) if (buffer[p] !== rest[i]) return -1;
    const start = p;
    let value = 0;
    let c = buffer[p]!;
    while (c >= 0x30 && c <= 0x39) {
      value = value * 10 + (c - 0x30);
      c = buffer[++p]!;
    }
    const digits = p - start;
    if (digits === 0 || digits > LONGEST_NUMBER || (digits > 1 && buffer[start] === 0x30) || c !== (member === members.length - 1 ? CLOSE_OBJECT : COMMA)) return -1;
    const slot = slots[member]!;
    if (slot >= 0) values[slot] = value;
  }
  return p + 1;
}
