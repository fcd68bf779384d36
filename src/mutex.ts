/** Lets one go at a time. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when those who came before are done, whatever became of them. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
