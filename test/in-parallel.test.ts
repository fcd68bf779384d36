import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { inParallel } from '../src/in-parallel.js';

t.test('every item is worked on once, so many at a time', async (t) => {
  for (const items of [[1, 2, 3, 4, 5, 6, 7], madeWhenAsked(7)]) {
    const done: number[] = [];
    let [running, most] = [0, 0];
    await inParallel(items, 3, async (item) => {
      most = Math.max(most, ++running);
      await sleep(5);
      running--;
      done.push(item);
    });
    t.strictSame(done.sort(), [1, 2, 3, 4, 5, 6, 7]);
    t.equal(most, 3);
  }
});

t.test('the first failure stops the others, is thrown when they have ended, and asks for no more items', async (t) => {
  const begun: number[] = [];
  const ended: number[] = [];
  let closed = false;
  const work = inParallel(madeWhenAsked(100, () => { closed = true; }), 3, async (item, signal) => {
    begun.push(item);
    await sleep(item === 2 ? 10 : 10_000, undefined, { signal }).catch(async () => {
      await sleep(20);
      ended.push(item);
      throw new Error(`${item} was stopped`);
    });
    throw new Error(`${item} failed`);
  });
  await t.rejects(work, { message: '2 failed' });
  t.strictSame([begun, ended, closed], [[1, 2, 3], [1, 3], true]);
});

t.test('items that cannot be had are a failure like any other', async (t) => {
  await t.rejects(inParallel(madeWhenAsked(2, () => { throw new Error('no more'); }), 2, () => Promise.resolve()), { message: 'no more' });
});

t.test('whoever stops it gets the reason, also where nothing has begun', async (t) => {
  const stop = new AbortController();
  const work = inParallel([1, 2], 1, (_, signal) => sleep(10_000, undefined, { signal }), stop.signal);
  stop.abort(new Error('enough'));
  await t.rejects(work, { message: 'enough' });
  await t.rejects(inParallel([1], 1, () => Promise.reject(new Error('has begun')), stop.signal), { message: 'enough' });
});

async function* madeWhenAsked(count: number, onEnd: () => void = () => undefined): AsyncGenerator<number> {
  try {
    for (let n = 1; n <= count; n++) yield await Promise.resolve(n);
  } finally {
    onEnd();
  }
}
