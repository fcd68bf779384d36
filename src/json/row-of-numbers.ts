/** The shortest way through an object whose members are all natural numbers, such as a usermessage, of which an export has the most. */
import type { ExpectedBytes } from './expected-bytes.js';
import { CLOSE_OBJECT, COMMA } from './json-bytes.js';

/** Digits of a number that is exact in any case. */
export const LONGEST_NUMBER = 15;

export interface RowOfNumbers {
  /** The bytes before each value. */
  readonly members: readonly ExpectedBytes[];
  /** For each where its value goes; below 0 for nowhere. */
  readonly slots: readonly number[];
}

/**
 * @param from behind the brace that opens it
 * @param end of the bytes that are there
 * @returns the place behind it; -1 where it is any other object than `row` says, written in another way, or may go on behind `end`, and `values` hold anything then
 */
export function numbersEnd(buffer: Buffer, view: DataView, from: number, end: number, { members, slots }: RowOfNumbers, values: Float64Array): number {
  let p = from;
  for (let member = 0; member < members.length; member++) {
    const before = members[member]!;
    if (p + before.length + LONGEST_NUMBER >= end || !before.isAt(p, buffer, view)) return -1;
    p += before.length;
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
