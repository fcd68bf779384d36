/**
 * The calls to the file system that make a small file: open, write, close, mkdir, link, unlink. By way of the thread pool each takes several
 * times the processor time that a local disk needs for it, so they are made at once, by the thread that has the bytes. A disk
 * that makes the caller wait, such as one across a network, gets the thread pool, so that transfers go on meanwhile.
 */

/** Milliseconds that a call may take on average. */
const QUICK = 0.5;

/** Milliseconds; what is longer counts as much, for it may be that this process just had no turn. */
const LONGEST = 4;

/** Calls over which the average reaches. */
const REACH = 16;

/** Every so often a slow disk is tried again. */
const TRIED_AGAIN = 128;

export class ShortCalls {
  /** Milliseconds. */
  #average = 0;
  #pooled = 0;

  /**
   * Does the work, in one way or the other.
   *
   * @param atOnce by synchronous calls
   * @param pooled the same by the thread pool
   * @throws what they throw
   */
  async run(atOnce: () => void, pooled: () => Promise<void>): Promise<void> {
    if (this.#average > QUICK) {
      this.#pooled += 1;
      if (this.#pooled % TRIED_AGAIN !== 0) return pooled();
    }
    const started = performance.now();
    try {
      atOnce();
    } finally {
      this.#average += (Math.min(LONGEST, performance.now() - started) - this.#average) / REACH;
    }
  }
}

/** The disk of the exports: a process writes to one. */
export const outputDisk = new ShortCalls();
