/**
 * What the field writers share: the chunk of CSV being read, the buffer of JSON being filled, and what is remembered of
 * a field that the end of a chunk has cut. Plain fields, not accessors: they are read and written once per field.
 */

/** Size of the output buffer in bytes. It stays in a core's cache between being filled here and being read by the sink. */
const OUTPUT_SIZE = 128 * 1024;

const EMPTY = new Uint8Array(0);

export const COMMA = 0x2c;
export const NEWLINE = 0x0a;
export const QUOTE = 0x22;
export const MINUS = 0x2d;
export const ZERO = 0x30;

/** What a field writer says when it returns. Numbers: they are compared for every field. */
export const OUTCOME = {
  /** The chunk ended inside the field: call again with the next chunk. */
  cut: 0,
  /** The field is written; the next byte must be its delimiter. */
  done: 1,
  /** Not what the server writes for this kind of column. */
  malformed: 2,
  /** A value that JSON cannot hold. */
  notJson: 3,
} as const;

export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

export class Tape {
  source: Uint8Array = EMPTY;
  /** Next byte of the source to be read. */
  at = 0;
  /** End of the source. */
  end = 0;
  #sourceWords: DataView | undefined;

  readonly out: Uint8Array = new Uint8Array(OUTPUT_SIZE);
  /** `out` for writing four bytes at a time. */
  readonly outWords = new DataView(this.out.buffer);
  /** Bytes of `out` that are filled. */
  length = 0;

  /** The field writer's own state; 0 at the start of a field. */
  state = 0;
  /** Bytes of the field seen so far, where a field writer counts them; 0 at the start of a field. */
  count = 0;
  /** Where a field too short to stream is gathered before it is converted. */
  readonly scratch = new Uint8Array(40);

  readonly #write: (bytes: Uint8Array) => void;

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  /** Takes the next chunk. */
  load(chunk: Uint8Array): void {
    this.source = chunk;
    this.at = 0;
    this.end = chunk.length;
    this.#sourceWords = undefined;
  }

  /** The source for reading four bytes at a time. */
  get sourceWords(): DataView {
    return this.#sourceWords ??= new DataView(this.source.buffer, this.source.byteOffset, this.source.byteLength);
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

  /** Appends bytes for which room has been reserved. */
  append(bytes: Uint8Array): void {
    const { out } = this;
    let to = this.length;
    for (let k = 0; k < bytes.length; k++) out[to++] = bytes[k] as number;
    this.length = to;
  }
}
