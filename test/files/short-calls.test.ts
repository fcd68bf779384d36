import t from 'tap';
import { ShortCalls } from '../../src/files/short-calls.js';

const waits = (milliseconds: number) => (): void => {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
};

t.test('a quick disk is called at once, a slow one by the thread pool, until it is quick again', async (t) => {
  const disk = new ShortCalls();
  /** @returns how many of the calls were made at once */
  const calls = async (count: number, atOnce: () => void): Promise<number> => {
    let direct = 0;
    let pooled = 0;
    for (let call = 0; call < count; call += 1) {
      await disk.run(() => {
        direct += 1;
        atOnce();
      }, async () => Promise.resolve(void (pooled += 1)));
    }
    t.equal(direct + pooled, count, 'each call is made once');
    return direct;
  };
  t.ok(await calls(200, () => undefined) > 50);
  const slow = await calls(1000, waits(2));
  t.ok(slow > 1 && slow < 100, `${slow} of 1000 slow ones at once`);
  t.ok(await calls(20_000, () => undefined) > 10_000, 'again');
});

t.test('errors are passed on, and count as calls', async (t) => {
  const disk = new ShortCalls();
  const fails = (): never => {
    throw new Error('as asked');
  };
  await t.rejects(disk.run(fails, async () => Promise.resolve()), { message: 'as asked' });
  for (let call = 0; call < 100; call += 1) await disk.run(waits(2), async () => Promise.resolve());
  await t.rejects(disk.run(() => undefined, async () => Promise.reject(new Error('pooled'))), { message: 'pooled' });
});
