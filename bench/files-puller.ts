/** Process of bench-files: one pull, or the same requests without the program, measured from inside; its memory is nobody else's. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { dirname, join } from 'node:path';
import { pullFiles } from '../src/files/pull-files.js';
import { openS3Store } from '../src/files/s3/s3-store.js';
import type { WantedFiles, WantedUpload } from '../src/files/wanted-files.js';
import { OWNER, REALM } from './files-objects.js';

export interface PullOrder {
  readonly endpoint: string;
  /** Not read from the testbed here, which would load a server into this process. */
  readonly buckets: { readonly uploads: string; readonly avatars: string };
  readonly keys: readonly string[];
  readonly size: number;
  readonly jobs: number;
  /** Bytes of a range. */
  readonly partSize: number;
  /**
   * `pull` is the program; `requests` makes the same requests by node:http and drops what comes: the limit of line and server;
   * `files` makes the same files of nothing: the limit of the disk.
   */
  readonly work: 'pull' | 'requests' | 'files';
  /** Where files go. Removed by the parent, at its end: ext4 is slow to reuse the inodes of files that were just removed. */
  readonly directory: string;
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
  const directory = await mkdtemp(join(order.directory, `${order.work}-`));
  const result = order.work === 'pull' ? await pulled(order, directory) : order.work === 'requests' ? await requests(order) : await files(order, directory);
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const done: PullDone = { ...result, peak: maxRSS / 1024, processor: (userCPUTime + systemCPUTime) / 1e6 };
  process.send?.(done, () => process.disconnect());
}

interface Result { readonly seconds: number; readonly bytes: number }

async function pulled({ endpoint, buckets, keys, size, jobs, partSize }: PullOrder, directory: string): Promise<Result> {
  const store = await openS3Store({
    endpoint, region: 'us-east-1', uploadsBucket: buckets.uploads, avatarsBucket: buckets.avatars, jobs, partSize, credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
  });
  try {
    const started = performance.now();
    const { areas } = await pullFiles(store, wanted(keys, size), directory, { jobs }, () => undefined);
    const seconds = (performance.now() - started) / 1000;
    if (areas.uploads.found !== keys.length) throw new Error(`${areas.uploads.found} of ${keys.length} files came`);
    return { seconds, bytes: areas.uploads.bytes };
  } finally {
    store.close();
  }
}

function wanted(keys: readonly string[], size: number): WantedFiles {
  // eslint-disable-next-line @typescript-eslint/require-await -- rows in memory, of the shape that a cursor has
  async function* uploads(): AsyncGenerator<WantedUpload> {
    for (const [index, pathId] of keys.entries()) yield { attachmentId: String(index), pathId, ownerId: OWNER, size };
  }
  async function* none(): AsyncGenerator<never> {}
  return {
    realmId: REALM, rules: { emojiOriginals: true, avatarVersions: true, ownerAddresses: true, uploadedAvatarsAlone: false }, uploads, avatars: none, emoji: none, areas: ['uploads'],
    emailOf: () => 'owner@acme.example', isRealmUser: (id) => id === OWNER, mayOwnUpload: (id) => id === OWNER, emailGatewayBotId: undefined,
  };
}

async function requests({ endpoint, buckets, keys, size, jobs, partSize }: PullOrder): Promise<Result> {
  const ranges = keys.flatMap((key) => Array.from({ length: Math.ceil(size / partSize) }, (_, part) => ({ key, start: part * partSize, end: Math.min(size, (part + 1) * partSize) - 1 })));
  const agent = new Agent({ keepAlive: true, maxSockets: jobs });
  const seconds = await atOnce(jobs, ranges, async ({ key, start, end }) => read(`${endpoint}/${buckets.uploads}/${key}`, start, end, agent));
  agent.destroy();
  return { seconds, bytes: keys.length * size };
}

async function files({ keys, size, jobs }: PullOrder, directory: string): Promise<Result> {
  const content = Buffer.alloc(size);
  const seconds = await atOnce(jobs, keys, async (key) => {
    await mkdir(join(directory, dirname(key)), { recursive: true });
    await writeFile(join(directory, key), content);
  });
  return { seconds, bytes: keys.length * size };
}

/** @returns seconds */
async function atOnce<T>(jobs: number, inputs: readonly T[], work: (input: T) => Promise<void>): Promise<number> {
  const queue = inputs.values();
  const started = performance.now();
  await Promise.all(Array.from({ length: jobs }, async () => {
    for (const input of queue) await work(input);
  }));
  return (performance.now() - started) / 1000;
}

/** s3rver serves also those who do not sign. */
async function read(url: string, start: number, end: number, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { range: `bytes=${start}-${end}` } }, (answer) => {
      let bytes = 0;
      answer.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('error', reject)
        .on('end', () => (answer.statusCode === 206 && bytes === end + 1 - start ? resolve() : reject(new Error(`${url}: ${answer.statusCode}, ${bytes} bytes`))));
    }).on('error', reject);
  });
}
