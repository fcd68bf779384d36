/** Process of bench-files: one pull, or the same requests without the program, measured from inside; its memory is nobody else's. */
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pullFiles } from '../src/files/pull-files.js';
import { openS3Store } from '../src/files/s3-store.js';
import type { WantedFiles, WantedUpload } from '../src/files/wanted-files.js';
import { BUCKETS } from '../test/testbed/s3-server.js';
import { OWNER, REALM } from './files-objects.js';

export interface PullOrder {
  readonly endpoint: string;
  readonly keys: readonly string[];
  readonly size: number;
  readonly jobs: number;
  /** Bytes of a range. */
  readonly partSize: number;
  /** Nothing is written, hashed or checked: how fast these bytes can be had over this line by this many connections. */
  readonly raw: boolean;
}

export interface PullDone {
  readonly seconds: number;
  /** MiB, of the whole process. */
  readonly peak: number;
  readonly bytes: number;
  /** Processor seconds. */
  readonly processor: number;
}

process.once('message', (order: PullOrder) => void run(order));

async function run(order: PullOrder): Promise<void> {
  const work = order.raw ? await raw(order) : await pulled(order);
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const done: PullDone = { ...work, peak: maxRSS / 1024, processor: (userCPUTime + systemCPUTime) / 1e6 };
  process.send?.(done, () => process.disconnect());
}

async function pulled({ endpoint, keys, size, jobs, partSize }: PullOrder): Promise<{ seconds: number; bytes: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'realmlift-bench-'));
  const store = await openS3Store({
    endpoint, region: 'us-east-1', uploadsBucket: BUCKETS.uploads, avatarsBucket: BUCKETS.avatars, jobs, partSize, credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
  });
  try {
    const started = performance.now();
    const { areas } = await pullFiles(store, wanted(keys, size), directory, { jobs }, () => undefined);
    const seconds = (performance.now() - started) / 1000;
    if (areas.uploads.found !== keys.length) throw new Error(`${areas.uploads.found} of ${keys.length} files came`);
    return { seconds, bytes: areas.uploads.bytes };
  } finally {
    store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

function wanted(keys: readonly string[], size: number): WantedFiles {
  // eslint-disable-next-line @typescript-eslint/require-await -- rows in memory, of the shape that a cursor has
  async function* uploads(): AsyncGenerator<WantedUpload> {
    for (const [index, pathId] of keys.entries()) yield { attachmentId: String(index), pathId, ownerId: OWNER, size };
  }
  async function* none(): AsyncGenerator<never> {}
  return {
    realmId: REALM, rules: { emojiOriginals: true, avatarVersions: true }, uploads, avatars: none, emoji: none, realmIcons: false,
    emailOf: () => 'owner@acme.example', isRealmUser: (id) => id === OWNER, mayOwnUpload: (id) => id === OWNER, emailGatewayBotId: undefined,
  };
}

async function raw({ endpoint, keys, size, jobs, partSize }: PullOrder): Promise<{ seconds: number; bytes: number }> {
  const ranges = keys.flatMap((key) => Array.from({ length: Math.ceil(size / partSize) }, (_, part) => ({ key, start: part * partSize, end: Math.min(size, (part + 1) * partSize) - 1 })));
  const agent = new Agent({ keepAlive: true, maxSockets: jobs });
  const queue = ranges.values();
  let bytes = 0;
  const started = performance.now();
  await Promise.all(Array.from({ length: jobs }, async () => {
    for (const { key, start, end } of queue) await read(`${endpoint}/${BUCKETS.uploads}/${key}`, start, end, agent).then((count) => (bytes += count));
  }));
  agent.destroy();
  return { seconds: (performance.now() - started) / 1000, bytes };
}

/** s3rver serves also those who do not sign. */
async function read(url: string, start: number, end: number, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { range: `bytes=${start}-${end}` } }, (answer) => {
      let bytes = 0;
      if (answer.statusCode !== 206) reject(new Error(`${url}: ${answer.statusCode}`));
      answer.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('end', () => resolve(bytes)).on('error', reject);
    }).on('error', reject);
  });
}
