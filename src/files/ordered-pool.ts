/**
 * Many jobs at once, results in the order of their inputs: records.json is sorted, whatever finishes first.
 */

/**
 * Runs `work` on `inputs`, at most `jobs` at a time, and yields the results in order.
 *
 * A slow job holds back the results behind it, not the work: up to `window` results wait, then no new job starts.
 * The first error ends the whole; jobs under way are awaited before it is thrown, so that nothing goes on behind the
 * caller's back (`work` should watch a signal to make that quick).
 */
export async function* inOrder<I, O>(inputs: AsyncIterable<I>, jobs: number, window: number, work: (input: I) => Promise<O>): AsyncGenerator<O, void, void> {
  // By the number of their input: to take the first out of a long array would move all the others.
  const results = new Map<number, Promise<O>>();
  let started = 0;
  let taken = 0;
  const take = (): Promise<O> => {
    const result = results.get(taken) as Promise<O>;
    results.delete(taken);
    taken += 1;
    return result;
  };
  let running = 0;
  let failed = false;
  // Not Promise.race over the jobs: each call would leave a reaction on a job that is slow, and there are a million calls.
  let wake = (): void => undefined;
  const settled = (): void => {
    running -= 1;
    wake();
  };
  const start = (input: I): void => {
    running += 1;
    const result = work(input);
    results.set(started, result);
    started += 1;
    result.then(settled, () => {
      failed = true;
      settled();
    });
  };
  const iterator = inputs[Symbol.asyncIterator]();
  try {
    let next = await iterator.next();
    while (next.done !== true && !failed) {
      if (results.size >= window) {
        yield await take();
      } else if (running >= jobs) {
        await new Promise<void>((resolve) => (wake = resolve));
      } else {
        start(next.value);
        next = await iterator.next();
      }
    }
    while (results.size > 0) yield await take();
  } finally {
    await Promise.allSettled(results.values());
    await iterator.return?.();
  }
}
