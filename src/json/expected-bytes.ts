/** Bytes to compare with, four at a time. */
export class ExpectedBytes {
  readonly length: number;
  readonly words: Int32Array;
  readonly rest: Uint8Array;

  constructor(text: string) {
    const bytes = Buffer.from(text);
    this.length = bytes.length;
    this.words = Int32Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readInt32LE(i * 4));
    this.rest = Uint8Array.from(bytes.subarray(this.words.length * 4));
  }
}
