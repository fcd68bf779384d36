import { Worker } from 'node:worker_threads';
import t from 'tap';
import { TaskThreads, ThreadEnded } from '../../src/threads/task-threads.js';

/** Answers with twice the number; 0 ends the thread, a negative number is an error that nobody catches. */
const SCRIPT = `
const { parentPort } = require('node:worker_threads');
parentPort.on('message', (n) => {
  if (n === 0) process.exit(3);
  if (n < 0) throw new Error('out of numbers');
  parentPort.postMessage(n * 2);
});`;

t.test('many tasks for few threads, each with its own answer', async (t) => {
  let begun = 0;
  const begin = (): Worker => (begun++, new Worker(SCRIPT, { eval: true }));
  const replies = await TaskThreads.with<number, number, number[]>(3, 1, begin, (threads) => {
    t.equal(begun, 1, 'others are started when there is work for them');
    t.equal(threads.capacity, 6);
    return Promise.all(Array.from({ length: 100 }, (_, n) => threads.run(n + 1)));
  });
  t.strictSame(replies, Array.from({ length: 100 }, (_, n) => 2 * (n + 1)));
  t.equal(begun, 3);
});

t.test('all that there are do a task', async (t) => {
  const replies = await TaskThreads.with<number, number, number[]>(2, 2, () => new Worker(SCRIPT, { eval: true }), (threads) => threads.runOnAll(4));
  t.strictSame(replies, [8, 8]);
});

t.test('a thread that ends loses its tasks alone, and another takes its place', async (t) => {
  await TaskThreads.with<number, number, void>(1, 1, () => new Worker(SCRIPT, { eval: true }), async (threads) => {
    const lost = Promise.allSettled([threads.run(0), threads.run(1)]);
    t.equal(await threads.run(5), 10);
    t.match(await lost, [{ status: 'rejected', reason: new ThreadEnded(3) }, { status: 'rejected', reason: new ThreadEnded(3) }]);
    await t.rejects(threads.run(-1), { message: 'out of numbers', cause: { message: 'out of numbers' } });
    t.equal(await threads.run(6), 12);
  });
});
