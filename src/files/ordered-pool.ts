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
  const results: Promise<O>[] = [];
  const running = new Set<Promise<void>>();
  let failed = false;
  const start = (input: I): void => {
    const result = work(input);
    results.push(result);
    const settled: Promise<void> = result.then(() => undefined, () => { failed = true; }).finally(() => running.delete(settled));
    running.add(settled);
  };
  const iterator = inputs[Symbol.asyncIterator]();
  try {
    let next = await iterator.next();
    while (next.done !== true) {
      while (!failed && next.done !== true && running.size < jobs && results.length < window) {
        start(next.value);
        next = await iterator.next();
      }
      if (failed) break;
      if (results.length >= window) yield await (results.shift() as Promise<O>);
      else if (next.done !== true) await Promise.race(running);
    }
    while (results.length > 0) yield await (results.shift() as Promise<O>);
  } finally {
    await Promise.allSettled(results);
    await iterator.return?.();
  }
}
