/**
 * What the queue costs, and what more machines bring, on one machine: an export of a realm of 100,000 messages by a worker against the same by threads of the
 * export itself; 304 realms of 3,000 messages in one run by one worker and by three against the same by threads; and files that come over slow links, one of its
 * own for each worker.
 *
 *   RUNS=3       alternating runs of the first
 *   PART=…       rows, realms or files alone
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { withClient } from '../test/testbed/database-client.js';
import { BUCKETS, withS3, type S3Server } from '../test/testbed/s3-server.js';
import { unpackArchive } from '../test/testbed/tar-archive.js';
import { withEmptyDatabase, withTestDatabase } from '../test/testbed/test-database.js';
import { AVATAR_SALT, testData } from '../test/testbed/test-data.js';
import { withBenchDatabase, withManyRealms } from './bench-database.js';
import { measure } from './measured-process.js';
import { median } from './median.js';
import { startSlowProxy } from './slow-proxy.js';

const CLI = join(import.meta.dirname, '..', 'bundle', 'realmlift.cjs');

/** Objects, their bytes, and bytes a second of each worker's link. */
const OBJECTS = 192;
const SIZE = 2 << 20;
const RATE = 4 << 20;

const runs = Number(process.env.RUNS ?? 3);
const part = process.env.PART;

if (part === undefined || part === 'rows') await withBenchDatabase(1, ['interleaved'], async ({ url, directory, server }) => rows(url, directory, server));
if (part === undefined || part === 'realms') await withManyRealms(300, 3000, async ({ url, directory, server }) => realms(url, directory, server));
if (part === undefined || part === 'files') await withTestDatabase('zulip-11/s3', (url) => withS3((s3) => withEmptyDatabase((queue) => files(url, s3, queue))));
// The links end with the process.
process.exit();

async function rows(url: string, directory: string, server: string): Promise<void> {
  const [uploads, queue] = await prepared(url, directory);
  const environment = { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] };
  const output = join(directory, 'queued');
  const timed = async (words: readonly string[]): Promise<number> => {
    await rm(output, { recursive: true, force: true });
    return (await measure([process.execPath, CLI, 'export', '--realm', 'acme', '--output', output, '--jobs', '2', '--uploads-dir', uploads, '--no-verify', ...words], environment)).seconds;
  };
  console.log(`one realm of 100,000 messages on ${server}, ${cpus().length} cores, Node ${process.version}: two threads of the export, or of one worker, which waits for it`);
  await withWorkers([['--jobs', '2', '--uploads-dir', uploads]], queue.href, [environment], async () => {
    const alone: number[] = [];
    const queued: number[] = [];
    await timed([]);
    for (let run = 1; run <= runs; run++) {
      alone.push(await timed([]));
      queued.push(await timed(['--queue', queue.href]));
      console.log(`run ${run}: threads ${alone.at(-1)?.toFixed(2)} s, queue ${queued.at(-1)?.toFixed(2)} s`);
    }
    console.log(`medians of ${runs}: threads ${median(alone).toFixed(2)} s, queue ${median(queued).toFixed(2)} s: the queue adds ${((median(queued.map((each, run) => each / (alone[run] ?? NaN))) - 1) * 100).toFixed(0)}% (median of the runs' ratios)`);
  });
  await rm(output, { recursive: true, force: true });
}

/** Two sessions for rows in all: a worker more is a machine more, but not a core more. */
async function realms(url: string, directory: string, server: string): Promise<void> {
  const [uploads, queue] = await prepared(url, directory);
  const environment = { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] };
  const output = join(directory, 'queued');
  const timed = async (words: readonly string[]): Promise<string> => {
    await rm(output, { recursive: true, force: true });
    const { seconds, peak } = await measure([process.execPath, CLI, 'export', '--all-realms', '--output', output, '--jobs', '2', '--uploads-dir', uploads, '--no-verify', '--quiet', ...words], environment);
    return `${seconds.toFixed(1)} s, peak of the export ${peak.toFixed(0)} MiB`;
  };
  console.log(`\n304 realms of 3,000 messages on ${server}, ${cpus().length} cores, Node ${process.version}`);
  console.log(`two threads of the export: ${await timed([])}`);
  for (const [count, jobs] of [[1, '2'], [3, '1']] as const) {
    const words = Array.from({ length: count }, () => ['--jobs', jobs, '--uploads-dir', uploads]);
    await withWorkers(words, queue.href, words.map(() => environment), async () => console.log(`${count} ${count === 1 ? 'worker' : 'workers'}, ${jobs} sessions each: ${await timed(['--queue', queue.href])}`));
  }
  await rm(output, { recursive: true, force: true });
}

/** The uploads directory, and a queue that is new. */
async function prepared(url: string, directory: string): Promise<[uploads: string, queue: URL]> {
  const uploads = join(directory, 'uploads');
  if (!existsSync(uploads)) await unpackArchive(testData('zulip-11/local', 'uploads.tar.gz'), uploads);
  const queue = new URL(url);
  queue.pathname = '/realmlift_bench_queue';
  await withClient(url, async (client) => {
    await client.query('DROP DATABASE IF EXISTS realmlift_bench_queue WITH (FORCE)');
    await client.query('CREATE DATABASE realmlift_bench_queue');
  });
  return [uploads, queue];
}

async function files(url: string, { client, endpoint, environment }: S3Server, queue: string): Promise<void> {
  const keys = await withClient(url, async (source) => {
    const { rows: [first] } = await source.query<{ attachment: string; message: string }>(`
      SELECT a.id AS attachment, l.message_id AS message FROM zulip.zerver_attachment a JOIN zulip.zerver_attachment_messages l ON l.attachment_id = a.id
      WHERE a.realm_id = (SELECT id FROM zulip.zerver_realm WHERE string_id = 'acme') ORDER BY a.id, l.id LIMIT 1`);
    const { rows: made } = await source.query<{ path_id: string }>(`
      WITH made AS (
        INSERT INTO zulip.zerver_attachment
          SELECT made.* FROM generate_series(1, ${OBJECTS}) AS k, (SELECT a FROM zulip.zerver_attachment AS a WHERE id = ${first?.attachment}) AS first,
            LATERAL jsonb_populate_record(first.a, jsonb_build_object(
              'id', (SELECT max(id) FROM zulip.zerver_attachment) + k, 'path_id', format('%s/slow/%s/file.bin', (first.a).realm_id, k), 'size', ${SIZE})) AS made
        RETURNING id, path_id
      ), linked AS (
        INSERT INTO zulip.zerver_attachment_messages (id, attachment_id, message_id)
          SELECT (SELECT max(id) FROM zulip.zerver_attachment_messages) + row_number() OVER (ORDER BY id), id, ${first?.message} FROM made
      )
      SELECT path_id FROM made`);
    return made.map(({ path_id: key }) => key);
  });
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key, Body: Buffer.alloc(SIZE, Key) }));
  const settings = { ...environment, DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'] };
  console.log(`\n${keys.length} objects of ${SIZE >> 20} MiB, ${RATE >> 20} MiB/s for each worker's link`);
  const timed = async (count: number): Promise<number> => {
    const links = await Promise.all(Array.from({ length: count }, () => startSlowProxy(endpoint, { latency: 0, rate: RATE, shared: true })));
    const output = join(import.meta.dirname, '..', '..', 'out', `bench-queue-${count}`);
    await rm(output, { recursive: true, force: true });
    return withWorkers(links.map(() => ['--jobs', '1', '--file-jobs', '4']), queue, links.map((S3_ENDPOINT) => ({ ...settings, S3_ENDPOINT })), async () => {
      const words = [CLI, 'export', '--realm', 'acme', '--output', output, '--no-verify', '--queue', queue, '--orphans', 'ignore', '--json'];
      const { stderr } = await promisify(execFile)(process.execPath, words, { env: { ...process.env, ...settings }, maxBuffer: 1 << 28 });
      const events = stderr.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as { time: string; kind: string });
      const at = (event: { time: string } | undefined): number => Date.parse(event?.time ?? '') / 1000;
      const seconds = at(events.findLast(({ kind }) => kind === 'file')) - at(events.find(({ kind }) => kind === 'started'));
      const came = (await readdir(join(output, 'acme', 'uploads'), { recursive: true })).filter((name) => name.endsWith('file.bin')).length;
      if (came !== keys.length) throw new Error(`${came} of ${keys.length} files came`);
      await rm(output, { recursive: true, force: true });
      return seconds;
    });
  };
  const one = await timed(1);
  const three = await timed(3);
  console.log(`from the beginning of the realm to its last file: by one worker ${one.toFixed(1)} s, by three ${three.toFixed(1)} s: ${(one / three).toFixed(2)} x as fast; the link alone would take ${(keys.length * SIZE / RATE).toFixed(1)} and ${(keys.length * SIZE / RATE / 3).toFixed(1)} s`);
}

/** Workers, of which all wait for runs. @param environments of each */
async function withWorkers<T>(words: readonly (readonly string[])[], queue: string, environments: readonly NodeJS.ProcessEnv[], work: () => Promise<T>): Promise<T> {
  const workers = words.map((each, index) => spawn(process.execPath, [CLI, 'worker', '--queue', queue, ...each], { env: { ...process.env, ...environments[index] }, stdio: ['ignore', 'ignore', 'pipe'] }));
  try {
    await Promise.all(workers.map(waits));
    return await work();
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
  }
}

async function waits(worker: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    worker.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('waits for runs')) resolve();
    });
    worker.once('exit', () => reject(new Error(`a worker ended: ${said}`)));
  });
}
