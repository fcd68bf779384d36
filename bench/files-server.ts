/** Process of bench-files: an embedded S3 server with objects of two sizes, behind two slow lines. Told by its parent how many. */
import { Readable } from 'node:stream';
import { Upload } from '@aws-sdk/lib-storage';
import { BUCKETS, startS3 } from '../test/testbed/s3-server.js';
import { OWNER, REALM, largeKey, smallKey } from './files-objects.js';
import { startSlowProxy } from './slow-proxy.js';

export interface ServerOrder {
  readonly small: { readonly count: number; readonly size: number };
  readonly large: { readonly count: number; readonly size: number };
  /** Milliseconds. */
  readonly latency: number;
  /** Bytes a second and connection, for the large objects. */
  readonly rate: number;
}

export interface ServerReady {
  /** As fast as it goes. */
  readonly direct: string;
  /** With latency. */
  readonly distant: string;
  /** With latency and a rate per connection. */
  readonly narrow: string;
  readonly buckets: typeof BUCKETS;
}

/** Processor seconds of server and lines since the last time they were asked for. */
export interface ServerCost {
  readonly processor: number;
}

const Metadata = { user_profile_id: String(OWNER), realm_id: String(REALM) };

process.once('message', (order: ServerOrder) => void start(order));
process.once('disconnect', () => process.exit());

async function start({ small, large, latency, rate }: ServerOrder): Promise<void> {
  const { client, endpoint } = await startS3();
  const store = async (key: string, size: number): Promise<void> => {
    await new Upload({ client, params: { Bucket: BUCKETS.uploads, Key: key, Body: Readable.from(pattern(key, size)), Metadata }, partSize: 64 << 20, queueSize: 1 }).done();
  };
  for (let index = 0; index < small.count; index += 50) {
    await Promise.all(Array.from({ length: Math.min(50, small.count - index) }, async (_, offset) => store(smallKey(index + offset), small.size)));
  }
  for (let index = 0; index < large.count; index += 1) await store(largeKey(index), large.size);
  const ready: ServerReady = {
    direct: endpoint, distant: await startSlowProxy(endpoint, { latency, rate: Infinity }), narrow: await startSlowProxy(endpoint, { latency, rate }), buckets: BUCKETS,
  };
  process.send?.(ready);
  let last = process.cpuUsage();
  process.on('message', () => {
    const { user, system } = process.cpuUsage(last);
    last = process.cpuUsage();
    process.send?.({ processor: (user + system) / 1e6 } satisfies ServerCost);
  });
}

function* pattern(key: string, size: number): Generator<Buffer> {
  const block = Buffer.alloc(1 << 16, key);
  for (let left = size; left > 0; left -= block.length) yield block.subarray(0, Math.min(left, block.length));
}
