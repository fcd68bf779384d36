/**
 * Lets the rows of a COPY pass, counts and digests them, and gathers them into larger pieces: the server sends about 8 KiB at a time,
 * and every piece is a turn of the compressor and of each stream behind it.
 */
import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import { rowCounter } from './row-counter.js';
import type { CopyFormat, RowCount, RowCounter } from './row-counter.js';

const PIECE = 128 * 1024;
/** Bytes that may wait to be gathered: several reads of a socket, or each of them would be a stop of its own. */
const WAITING = 4 * PIECE;

export class RowTap extends Transform {
  readonly #counter: RowCounter;
  #piece = Buffer.allocUnsafe(PIECE);
  #used = 0;

  constructor(format: CopyFormat) {
    super({ writableHighWaterMark: WAITING });
    this.#counter = rowCounter(format);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      for (let at = 0; at < chunk.length;) {
        const taken = chunk.copy(this.#piece, this.#used, at);
        this.#used += taken;
        at += taken;
        if (this.#used === PIECE) this.#pass();
      }
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      this.#pass();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  /** What has passed, once the stream has ended. */
  count(): RowCount {
    return this.#counter.finish();
  }

  #pass(): void {
    const piece = this.#piece.subarray(0, this.#used);
    this.#counter.write(piece);
    this.push(piece);
    // The compressor works on it in another thread: it cannot be filled again.
    this.#piece = Buffer.allocUnsafe(PIECE);
    this.#used = 0;
  }
}
