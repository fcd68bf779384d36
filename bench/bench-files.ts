/**
 * Files out of S3: many small objects over a line with latency, a few large ones over a line with a rate per connection,
 * against a serial pull and against what line, server and disk can do without the program.
 *
 *   SCALE=1      5,000 objects of 20 KB and 4 of 500 MB; SCALE=0.1 a tenth of the objects, and of the large ones' size
 *   RUNS=1       runs of each measurement; the median counts
 *   LATENCY=20   milliseconds that each request waits
 *   RATE=25      MB a second and connection for the large objects
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PullDone, PullOrder } from './files-puller.js';
import type { ServerCost, ServerOrder, ServerReady } from './files-server.js';
import { largeKey, smallKey } from './files-objects.js';

const scale = Number(process.env.SCALE ?? 1);
const runs = Number(process.env.RUNS ?? 1);
const JOBS = 32;
const PART = 16 << 20;

const order: ServerOrder = {
  small: { count: Math.ceil(5000 * scale), size: 20_000 },
  large: { count: 4, size: Math.ceil(500e6 * scale) },
  latency: Number(process.env.LATENCY ?? 20),
  rate: Number(process.env.RATE ?? 25) * 1e6,
};
const smallKeys = Array.from({ length: order.small.count }, (_, index) => smallKey(index));
const largeKeys = Array.from({ length: order.large.count }, (_, index) => largeKey(index));

const directory = await mkdtemp(join(tmpdir(), 'realmlift-bench-'));
const env = { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };
const server = fork(join(import.meta.dirname, 'files-server.js'), { env });
try {
  server.send(order);
  const [{ direct, distant, narrow, buckets }] = (await answer(server)) as [ServerReady];
  console.log(`SCALE=${scale}, ${cpus().length} cores, Node ${process.version}, ${JOBS} jobs, medians of ${runs}`);

  console.log(`\n${order.small.count} objects of 20 KB, ${order.latency} ms latency a request`);
  // One at a time, each object costs the same: a tenth of them tells, and takes minutes less.
  const sample = smallKeys.slice(0, Math.max(50, Math.ceil(smallKeys.length / 10)));
  const small: PullOrder = { work: 'pull', endpoint: distant, buckets, keys: smallKeys, size: order.small.size, partSize: PART, jobs: JOBS, directory };
  const serial = await measure('serial', { ...small, keys: sample, jobs: 1 }, smallKeys.length / sample.length);
  await measure('these requests alone', { ...small, work: 'requests' });
  await measure('the same without latency', { ...small, work: 'requests', endpoint: direct });
  await measure('these files alone', { ...small, work: 'files' });
  const parallel = await measure('pull', small);
  console.log(`${(serial / parallel).toFixed(1)} x serial`);

  console.log(`\n${order.large.count} objects of ${(order.large.size / 1e6).toFixed(0)} MB, ${order.rate / 1e6} MB/s a connection`);
  const large: PullOrder = { work: 'pull', endpoint: narrow, buckets, keys: largeKeys, size: order.large.size, partSize: PART, jobs: JOBS, directory };
  const single = await measure('single stream', { ...large, keys: largeKeys.slice(0, 1), jobs: 1, partSize: Number.MAX_SAFE_INTEGER }, largeKeys.length);
  await measure('these ranges alone', { ...large, work: 'requests' });
  await measure('the same without limit', { ...large, work: 'requests', endpoint: direct });
  await measure('these files alone', { ...large, work: 'files', jobs: 2 });
  const ranged = await measure('pull', large);
  console.log(`${(single / ranged).toFixed(1)} x a single stream`);
} finally {
  server.disconnect();
  await rm(directory, { recursive: true, force: true });
}

/**
 * Prints one line and returns the median of the seconds.
 *
 * @param times what was measured is the whole divided by this
 */
async function measure(name: string, pull: PullOrder, times = 1): Promise<number> {
  const done: (PullDone & { readonly server: number })[] = [];
  for (let run = 0; run < runs; run += 1) {
    const child = fork(join(import.meta.dirname, 'files-puller.js'), { env });
    await serverCost();
    child.send(pull);
    const [result] = (await answer(child)) as [PullDone];
    done.push({ ...result, server: await serverCost() });
  }
  const middle = done.sort((a, b) => a.seconds - b.seconds)[Math.floor(done.length / 2)] as (typeof done)[number];
  const seconds = middle.seconds * times;
  const part = times === 1 ? '' : `  (measured on 1/${times.toFixed(0)})`;
  const peak = Math.max(...done.map((each) => each.peak));
  console.log(`  ${name.padEnd(28)}${seconds.toFixed(2).padStart(9)} s ${((middle.bytes / middle.seconds) / 1e6).toFixed(1).padStart(8)} MB/s ${peak.toFixed(0).padStart(6)} MiB peak ${middle.processor.toFixed(1).padStart(6)} s processor, ${middle.server.toFixed(1).padStart(5)} s the server's${part}`);
  return seconds;
}

/** Processor seconds of server and lines since this was last asked. */
async function serverCost(): Promise<number> {
  server.send('cost');
  const [{ processor }] = (await answer(server)) as [ServerCost];
  return processor;
}

/** The first message of a child; an error when it ends without one. */
async function answer(child: ChildProcess): Promise<unknown[]> {
  const answered = new AbortController();
  const { signal } = answered;
  try {
    return await Promise.race([
      once(child, 'message', { signal }) as Promise<unknown[]>,
      once(child, 'exit', { signal }).then(([code]) => Promise.reject<never>(new Error(`a process of the bench ended with ${String(code)}`))),
    ]);
  } finally {
    answered.abort();
  }
}
