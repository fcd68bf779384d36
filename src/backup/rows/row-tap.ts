/**
 * Counts and digests the rows of a COPY on their way to the compressor, and gathers them into larger pieces: the server sends about 8 KiB
 * at a time, and every piece is a turn of the compressor and of what is behind it.
 */
import type { Writable } from 'node:stream';
import { BufferPool } from '../seal/buffer-pool.js';
import { rowCounter } from './row-counter.js';
import type { CopyFormat, RowCount, RowCounter } from './row-counter.js';

/** Bytes. Each piece wakes a thread of the compressor, and that one ours again. */
const PIECE = 512 * 1024;
/** Pieces of one tap: one is compressed, the others wait. Fewer, and the socket would stop at every turn of the compressor. */
const PIECES = 3;

const pool = new BufferPool(PIECE);

export class RowTap {
  readonly #counter: RowCounter;
  readonly #compress: Writable;
  /** Pieces of this tap: the one that is filled, and those that the compressor has. */
  #pieces = 0;
  #piece: Buffer | undefined;
  #used = 0;
  /** What found no room. */
  #rest: Buffer | undefined;
  #onRoom: (() => void) | undefined;

  /** @param compress takes the rows; when it is destroyed, the rows still on their way are let go */
  constructor(format: CopyFormat, compress: Writable) {
    this.#counter = rowCounter(format);
    this.#compress = compress;
    compress.once('close', () => this.#onRoom?.());
  }

  /**
   * Takes the next bytes. The promise, if there is one, is to be waited for: it ends when there is room again.
   *
   * @throws Error when they are no rows
   */
  write(chunk: Buffer): Promise<void> | undefined {
    this.#rest = chunk;
    this.#fill();
    return this.#rest === undefined || this.#compress.destroyed ? undefined : new Promise((resolve) => (this.#onRoom = resolve));
  }

  /** No more rows come. @throws Error when they are no rows */
  end(): void {
    if (this.#piece !== undefined) this.#pass(this.#piece);
    this.#compress.end();
  }

  /** What has passed, once the rows have ended. */
  count(): RowCount {
    return this.#counter.finish();
  }

  #fill(): void {
    while (this.#rest !== undefined) {
      const piece = (this.#piece ??= this.#take());
      if (piece === undefined) return;
      const taken = this.#rest.copy(piece, this.#used);
      this.#used += taken;
      this.#rest = taken === this.#rest.length ? undefined : this.#rest.subarray(taken);
      if (this.#used === PIECE) this.#pass(piece);
    }
  }

  #take(): Buffer | undefined {
    if (this.#pieces === PIECES) return undefined;
    this.#pieces++;
    return pool.take();
  }

  #pass(piece: Buffer): void {
    const bytes = piece.subarray(0, this.#used);
    this.#piece = undefined;
    this.#used = 0;
    this.#counter.write(bytes);
    this.#compress.write(bytes, (error) => {
      this.#pieces--;
      if (error === null || error === undefined) this.#again(piece);
    });
  }

  /** The compressor has done with a piece. */
  #again(piece: Buffer): void {
    pool.give(piece);
    if (this.#rest === undefined) return;
    try {
      this.#fill();
    } catch (error) {
      this.#compress.destroy(error as Error);
    }
    if (this.#rest === undefined) this.#onRoom?.();
  }
}
