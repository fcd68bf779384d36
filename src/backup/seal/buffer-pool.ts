/**
 * Buffers that are used again. V8 counts the bytes of buffers and collects them by looking at all of its heap: with new ones for every piece
 * of a backup that took a seventh of the processor's time.
 */
export class BufferPool {
  readonly #size: number;
  readonly #idle: Buffer[] = [];

  /** @param size of each buffer in bytes */
  constructor(size: number) {
    this.#size = size;
  }

  /** A buffer with any content. */
  take(): Buffer {
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  /** Gives back a buffer that nobody reads any more. */
  give(buffer: Buffer): void {
    this.#idle.push(buffer);
  }
}
