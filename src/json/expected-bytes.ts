/** Names of keys come in every file again; a stranger's file may have any number of them. */
const known = new Map<string, ExpectedBytes>();
const MOST_KNOWN = 4096;
const LONGEST_KNOWN = 100;

/** Bytes to compare with, four at a time. */
export class ExpectedBytes {
  readonly length: number;
  readonly words: Int32Array;
  readonly rest: Uint8Array;

  /** The same again for the same short text. */
  static of(text: string): ExpectedBytes {
    const found = known.get(text) ?? new ExpectedBytes(text);
    if (known.size < MOST_KNOWN && text.length <= LONGEST_KNOWN) known.set(text, found);
    return found;
  }

  /** Whether they stand at this place of the buffer, which has as many bytes from there on. @param view of the same bytes */
  isAt(place: number, buffer: Buffer, view: DataView): boolean {
    const { words, rest } = this;
    let p = place;
    for (let i = 0; i < words.length; i++, p += 4) {
      if (view.getInt32(p, true) !== words[i]) return false;
    }
    for (let i = 0; i < rest.length; i++, p++) {
      if (buffer[p] !== rest[i]) return false;
    }
    return true;
  }

  private constructor(text: string) {
    const bytes = Buffer.from(text);
    this.length = bytes.length;
    this.words = Int32Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readInt32LE(i * 4));
    this.rest = Uint8Array.from(bytes.subarray(this.words.length * 4));
  }
}
