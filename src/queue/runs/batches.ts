/** What is said to the queue one after the other: what comes while others are on their way goes together. */
export class Batches<T> {
  readonly #send: (all: readonly T[]) => Promise<void>;
  #waiting: T[] = [];
  #sending = false;

  /** @param send never rejects */
  constructor(send: (all: readonly T[]) => Promise<void>) {
    this.#send = send;
  }

  add(each: T): void {
    this.#waiting.push(each);
    if (!this.#sending) void this.#sendAll();
  }

  /** Unless they are on their way already. */
  remove(which: (each: T) => boolean): void {
    this.#waiting = this.#waiting.filter((each) => !which(each));
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    // Those of this moment as well.
    await Promise.resolve();
    for (let all = this.#waiting.splice(0); all.length > 0; all = this.#waiting.splice(0)) await this.#send(all);
    this.#sending = false;
  }
}
