/**
 * MurmurHash3 (x86, 128 bits) over bytes that arrive in pieces, and the sum of such hashes over a table's rows.
 *
 * The sum does not depend on the order of the rows, so a table that was restored in parallel compares with its source. It is
 * there to find mistakes; against malice stand the authenticated encryption and the SHA-256 of each part. A cryptographic
 * hash per row costs 1 µs in Node, this one 0.05 µs for a row of 50 bytes.
 * https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */

const C1 = 0x239b961b;
const C2 = 0xab0e9789 | 0;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93 | 0;

/** Bytes that one round takes. */
const BLOCK = 16;

export class RowHash {
  #h1 = 0;
  #h2 = 0;
  #h3 = 0;
  #h4 = 0;
  #length = 0;
  readonly #tail = new DataView(new ArrayBuffer(BLOCK));
  #tailLength = 0;
  readonly #sum = new Int32Array(4);

  /** Adds the bytes `start` to `end` of `view` to the present row. */
  update(view: DataView, start: number, end: number): void {
    this.#length += end - start;
    let at = start;
    if (this.#tailLength > 0) {
      while (at < end && this.#tailLength < BLOCK) this.#tail.setUint8(this.#tailLength++, view.getUint8(at++));
      if (this.#tailLength < BLOCK) return;
      this.#rounds(this.#tail, 0, BLOCK);
      this.#tailLength = 0;
    }
    const whole = at + ((end - at) & ~(BLOCK - 1));
    if (whole > at) this.#rounds(view, at, whole);
    for (at = whole; at < end; at++) this.#tail.setUint8(this.#tailLength++, view.getUint8(at));
  }

  /** Ends the present row: its hash is added to the sum, lane by lane modulo 2^32. */
  endRow(): void {
    const hash = this.#finish();
    for (let lane = 0; lane < 4; lane++) this.#sum[lane] = ((this.#sum[lane] as number) + (hash[lane] as number)) | 0;
  }

  /** The sum over all rows so far, 32 hexadecimal digits. */
  get sum(): string {
    return hex(this.#sum);
  }

  #rounds(view: DataView, start: number, end: number): void {
    let h1 = this.#h1;
    let h2 = this.#h2;
    let h3 = this.#h3;
    let h4 = this.#h4;
    for (let at = start; at < end; at += BLOCK) {
      h1 ^= mix(view.getInt32(at, true), C1, 15, C2);
      h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
      h2 ^= mix(view.getInt32(at + 4, true), C2, 16, C3);
      h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
      h3 ^= mix(view.getInt32(at + 8, true), C3, 17, C4);
      h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
      h4 ^= mix(view.getInt32(at + 12, true), C4, 18, C1);
      h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
    }
    this.#h1 = h1;
    this.#h2 = h2;
    this.#h3 = h3;
    this.#h4 = h4;
  }

  #finish(): readonly number[] {
    const tail = this.#tail;
    // Zeros in place of the missing bytes change nothing: a zero word mixes to zero.
    for (let at = this.#tailLength; at < BLOCK; at++) tail.setUint8(at, 0);
    let h1 = this.#h1 ^ mix(tail.getInt32(0, true), C1, 15, C2) ^ this.#length;
    let h2 = this.#h2 ^ mix(tail.getInt32(4, true), C2, 16, C3) ^ this.#length;
    let h3 = this.#h3 ^ mix(tail.getInt32(8, true), C3, 17, C4) ^ this.#length;
    let h4 = this.#h4 ^ mix(tail.getInt32(12, true), C4, 18, C1) ^ this.#length;
    this.#h1 = this.#h2 = this.#h3 = this.#h4 = this.#length = this.#tailLength = 0;

    h1 = (h1 + h2 + h3 + h4) | 0;
    h2 = (h2 + h1) | 0;
    h3 = (h3 + h1) | 0;
    h4 = (h4 + h1) | 0;
    h1 = avalanche(h1);
    h2 = avalanche(h2);
    h3 = avalanche(h3);
    h4 = avalanche(h4);
    h1 = (h1 + h2 + h3 + h4) | 0;
    return [h1, (h2 + h1) | 0, (h3 + h1) | 0, (h4 + h1) | 0];
  }
}

/** Sum of two digests as {@link RowHash.sum} writes them. */
export function addDigests(a: string, b: string): string {
  const sum = new Int32Array(4);
  for (let lane = 0; lane < 4; lane++) sum[lane] = (parseInt(a.slice(lane * 8, lane * 8 + 8), 16) + parseInt(b.slice(lane * 8, lane * 8 + 8), 16)) | 0;
  return hex(sum);
}

/** Digest of no rows. */
export const EMPTY_DIGEST = '0'.repeat(32);

function hex(lanes: Int32Array): string {
  return Array.from(lanes, (lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
}

function mix(word: number, first: number, by: number, second: number): number {
  return Math.imul(rotate(Math.imul(word, first), by), second);
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}

function avalanche(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
