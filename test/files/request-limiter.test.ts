import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { RequestLimiter } from '../../src/files/s3/request-limiter.js';

/** How many of `count` requests that never end are let through. */
async function admitted(limiter: RequestLimiter, count: number): Promise<number> {
  let running = 0;
  for (let index = 0; index < count; index += 1) {
    void limiter.run(async () => {
      running += 1;
      return new Promise<never>(() => undefined);
    });
  }
  await turn();
  return running;
}

t.test('at most as many as allowed', async (t) => t.equal(await admitted(new RequestLimiter(3), 10), 3));

t.test('one that ends, well or not, makes room for the next, in turn', async (t) => {
  const limiter = new RequestLimiter(1);
  const order: number[] = [];
  const results = await Promise.allSettled([1, 2, 3].map((each) => limiter.run(async () => {
    order.push(each);
    await turn();
    if (each === 2) throw new Error('two');
    return each;
  })));
  t.strictSame(order, [1, 2, 3]);
  t.strictSame(results.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled']);
});

t.test('halved when told to slow down, once for a burst; never below one', async (t) => {
  const limiter = new RequestLimiter(32);
  for (const [now, limit] of [[0, 16], [10, 16], [999, 16], [1000, 8], [2000, 4], [3000, 2], [4000, 1], [5000, 1]] as const) {
    limiter.throttled(now);
    t.equal(limiter.limit, limit);
  }
  t.equal(await admitted(limiter, 5), 1);
});

t.test('grows back by one for each round of successes, to the limit and not beyond', (t) => {
  const limiter = new RequestLimiter(4);
  limiter.throttled(0);
  t.equal(limiter.limit, 2);
  for (let index = 0; index < 3; index += 1) limiter.succeeded();
  t.equal(limiter.limit, 3);
  for (let index = 0; index < 100; index += 1) limiter.succeeded();
  t.equal(limiter.limit, 4);
  t.end();
});
