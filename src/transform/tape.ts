/**
 * What the field writers share: the bytes of COPY being read, and the buffer of JSON being filled. Plain fields, not
 * accessors: they are read and written once per field.
 */

/** Size of the output buffer in bytes. It stays in a core's cache between being filled here and being read by the sink. */
const OUTPUT_SIZE = 128 * 1024;

const EMPTY = new Uint8Array(0);

/** Bytes that are appended over and over, to be written four at a time. */
export interface Stamp {
  readonly words: Int32Array;
  readonly length: number;
}

export class Tape {
  source: Uint8Array = EMPTY;
  /** The source, for reading several bytes at a time. */
  words: DataView = new DataView(EMPTY.buffer);
  /** Next byte of the source to be read. */
  at = 0;
  /** End of the source. */
  end = 0;

  readonly out: Uint8Array = new Uint8Array(OUTPUT_SIZE);
  /** `out`, for writing several bytes at a time. */
  readonly outWords: DataView = new DataView(this.out.buffer);
  /** Bytes of `out` that are filled. */
  length = 0;

  /** What is remembered of a field that comes in several pieces; 0 at its start. */
  state = 0;

  readonly #write: (bytes: Uint8Array) => void;

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  /** Takes the next bytes of COPY. */
  load(source: Uint8Array): void {
    this.source = source;
    this.words = new DataView(source.buffer, source.byteOffset, source.byteLength);
    this.at = 0;
    this.end = source.length;
  }

  /** Makes room for `bytes` more bytes of output. */
  reserve(bytes: number): void {
    if (this.out.length - this.length < bytes) this.flush();
  }

  flush(): void {
    if (this.length === 0) return;
    const bytes = this.out.subarray(0, this.length);
    this.length = 0;
    this.#write(bytes);
  }

  /** Appends a stamp, for which room has been reserved up to the next multiple of four. */
  stamp({ words, length }: Stamp): void {
    const { outWords } = this;
    for (let k = 0, to = this.length; k < words.length; k++, to += 4) outWords.setInt32(to, words[k] as number, true);
    this.length += length;
  }
}

export function stampOf(text: string): Stamp {
  const bytes = Buffer.from(text);
  const padded = Buffer.alloc(Math.ceil(bytes.length / 4) * 4);
  bytes.copy(padded);
  return { words: Int32Array.from({ length: padded.length / 4 }, (_, k) => padded.readInt32LE(k * 4)), length: bytes.length };
}
