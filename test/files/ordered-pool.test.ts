import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { inOrder } from '../../src/files/ordered-pool.js';
import { each } from './wanted-rows.js';

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const value of values) found.push(value);
  return found;
}

t.test('results come in the order of the inputs, never more than allowed at once', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 30 }), fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }), async (delays, jobs, window) => {
    let running = 0;
    let most = 0;
    const results = await all(inOrder(each(delays.entries()), jobs, window, async ([index, delay]) => {
      running += 1;
      most = Math.max(most, running);
      await sleep(delay);
      running -= 1;
      return index;
    }));
    return most <= jobs && results.length === delays.length && results.every((value, index) => value === index);
  }), { numRuns: 40 });
});

t.test('a slow job holds back results, not the work', async (t) => {
  let done = 0;
  let release: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => (release = resolve));
  const results = all(inOrder(each([0, 1, 2, 3, 4, 5]), 2, 100, async (index) => {
    if (index === 0) await slow;
    else if (++done === 5) release();
    return index;
  }));
  t.strictSame(await results, [0, 1, 2, 3, 4, 5]);
});

t.test('what waits for its turn costs nothing', async (t) => {
  const seconds = async (window: number): Promise<number> => {
    const began = performance.now();
    let count = 0;
    for await (const result of inOrder(each(Array.from({ length: 60_000 }, (_, index) => index)), 8, window, async (index) => Promise.resolve(index))) count += Number(result === count);
    t.equal(count, 60_000);
    return (performance.now() - began) / 1000;
  };
  const few = await seconds(8);
  const many = await seconds(20_000);
  t.ok(many < 5 * few, `${few.toFixed(3)} s where 8 results wait, ${many.toFixed(3)} s where 20,000 do`);
});

t.test('the first error ends it, when nothing is under way any more', async (t) => {
  const started: number[] = [];
  let finished = 0;
  await t.rejects(all(inOrder(each([0, 1, 2, 3, 4, 5]), 2, 100, async (index) => {
    started.push(index);
    await sleep(index === 0 ? 1 : 20);
    finished += 1;
    if (index === 0) throw new Error('first');
  })), { message: 'first' });
  t.strictSame(started, [0, 1]);
  t.equal(finished, 2);
});

t.test('an error of the inputs, and a reader that stops, wait for what is under way', async (t) => {
  let finished = 0;
  const work = async (): Promise<void> => {
    await sleep(5);
    finished += 1;
  };
  async function* broken(): AsyncGenerator<number> {
    yield 1;
    await sleep(0);
    throw new Error('inputs');
  }
  await t.rejects(all(inOrder(broken(), 4, 4, work)), { message: 'inputs' });
  t.equal(finished, 1);
  for await (const first of inOrder(each([1, 2, 3]), 1, 1, work)) {
    void first;
    break;
  }
  t.equal(finished, 2);
});
