/**
 * How many requests are under way at the store. Starts at what the user allows, halves when the store says that it is
 * asked too much, and grows back by one for each round of successes: the rule by which TCP shares a line, which lets
 * several programs share a store.
 */

/** Milliseconds in which many throttled requests count as one sign: they were all sent at the old rate. */
const SIGN_INTERVAL = 1000;

export class RequestLimiter {
  readonly #max: number;
  #limit: number;
  #running = 0;
  #lastSign = -SIGN_INTERVAL;
  readonly #waiting: (() => void)[] = [];

  /** @param max requests at once, at least 1 */
  constructor(max: number) {
    this.#max = max;
    this.#limit = max;
  }

  /** Requests allowed at once now. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  /** Runs `work` when there is room. First come, first served. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#admit();
    }
  }

  /** The store answered as it should. */
  succeeded(): void {
    if (this.#limit >= this.#max) return;
    this.#limit = Math.min(this.#max, this.#limit + 1 / this.#limit);
    this.#admit();
  }

  /** The store asked for less. */
  throttled(now = performance.now()): void {
    if (now - this.#lastSign < SIGN_INTERVAL) return;
    this.#lastSign = now;
    this.#limit = Math.max(1, this.#limit / 2);
  }

  #admit(): void {
    while (this.#running < this.limit) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running += 1;
      next();
    }
  }
}
