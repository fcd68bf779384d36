// A run that was cut goes on where it stopped, and trusts nothing that it cannot check.
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import type { FileDone, FileEvent } from '../../src/files/file-events.js';
import { pullFiles } from '../../src/files/pull-files.js';
import type { EarlierFile } from '../../src/files/file-events.js';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import type { S3Server } from '../testbed/s3-server.js';
import type { Seen } from './faulty-proxy.js';
import { withFaultyProxy } from './faulty-proxy.js';
import { PART, filesBelow, pull, putUploads, upload, wantedUploads, withStore } from './pull-fixture.js';

const PARTS = 12;
const LARGE = upload(1, 'large.bin', PARTS * PART);
const SMALL = Array.from({ length: 20 }, (_, index) => upload(10 + index, 'small.txt', 500 + index));
const ALL = [LARGE, ...SMALL];

let server: S3Server;

/** Pulls until `stopAt` says so; what the journal of that run would hold. */
async function cutRun(t: Test, directory: string, stopAt: (seen: Seen, all: readonly Seen[]) => boolean, jobs: number): Promise<Map<string, EarlierFile>> {
  const journal = new Map<string, EarlierFile>();
  const stop = new AbortController();
  const cut = new Error('cut');
  const seen: Seen[] = [];
  await withFaultyProxy(server.endpoint, (each) => {
    seen.push(each);
    if (stopAt(each, seen)) stop.abort(cut);
    return undefined;
  }, async ({ endpoint }) => withStore(endpoint, { jobs }, async (store) => {
    const record = (event: FileEvent): void => void (event.kind === 'file' && journal.set(event.path, event));
    await pullFiles(store, wantedUploads(ALL), directory, { jobs, signal: stop.signal }, record).then(() => t.fail('the run was not cut'), (error: unknown) => t.equal(error, cut));
  }));
  return journal;
}

async function goOn(directory: string, journal: ReadonlyMap<string, EarlierFile>): Promise<Awaited<ReturnType<typeof pull>> & { asked: Seen[] }> {
  return withFaultyProxy(server.endpoint, () => undefined, async ({ endpoint, seen }) => withStore(endpoint, {}, async (store) => {
    const before = seen.length;
    const pulled = await pull(store, ALL, directory, { done: (path) => journal.get(path) });
    return { ...pulled, asked: seen.slice(before).filter(({ path }) => !path.includes('list-type')) };
  }));
}

const isLarge = ({ path }: Seen): boolean => path === `/${BUCKETS.uploads}/${LARGE.pathId}`;

t.test('resume', async (t) => {
  server = await startS3();
  t.teardown(async () => server.stop());
  await putUploads(server.client, ALL);
  const everything = ALL.map(({ attachmentId }) => attachmentId).sort();

  t.test('whole files are not fetched again', async (t) => {
    const directory = t.testdir();
    const journal = await cutRun(t, directory, (_, all) => all.length === 28, 2);
    t.ok(journal.size > 2 && journal.size < ALL.length, `${journal.size} files were whole`);
    const { whole, asked, result, records } = await goOn(directory, journal);
    t.strictSame(whole, everything);
    t.equal(records.length, ALL.length);
    t.equal(result.areas.uploads.resumed, journal.size);
    const again = asked.filter(({ path }) => journal.has(path.replace(`/${BUCKETS.uploads}/`, 'uploads/')));
    t.strictSame(again, []);
    t.strictSame(filesBelow(directory).filter((path) => path.startsWith('.')), []);
  });

  t.test('whole ranges of a large object are not fetched again', async (t) => {
    const directory = t.testdir();
    const journal = await cutRun(t, directory, (seen, all) => isLarge(seen) && all.filter(isLarge).length === 8, 1);
    const { whole, asked } = await goOn(directory, journal);
    t.strictSame(whole, everything);
    t.equal(asked.filter((seen) => isLarge(seen) && seen.range !== undefined).length, PARTS - 6, 'of twelve ranges six had arrived');
  });

  t.test('a range whose bytes changed on disk is fetched again', async (t) => {
    const directory = t.testdir();
    const journal = await cutRun(t, directory, (seen, all) => isLarge(seen) && all.filter(isLarge).length === 8, 1);
    const scratch = join(directory, '.realmlift', 'files');
    const partial = join(scratch, readdirSync(scratch).find((name) => !name.includes('.') && statSync(join(scratch, name)).size > PART) ?? 'none');
    const bytes = readFileSync(partial);
    bytes[PART + 5] = (bytes[PART + 5] ?? 0) ^ 1;
    writeFileSync(partial, bytes);
    const { whole, asked } = await goOn(directory, journal);
    t.strictSame(whole, everything);
    t.equal(asked.filter((seen) => isLarge(seen) && seen.range !== undefined).length, PARTS - 5);
  });

  t.test('a file that changed on disk, or lost its end, or is gone, is fetched again', async (t) => {
    const directory = t.testdir();
    const events: FileDone[] = [];
    await withStore(server.endpoint, {}, async (store) => pullFiles(store, wantedUploads(ALL), directory, {}, (event) => void (event.kind === 'file' && events.push(event))));
    const journal = new Map(events.map((event) => [event.path, event]));
    const [changed, shorter] = SMALL.map(({ pathId }) => `uploads/${pathId}`) as [string, string];
    writeFileSync(join(directory, changed), Buffer.alloc(500));
    writeFileSync(join(directory, shorter), '');
    const { whole, asked, result } = await goOn(directory, journal);
    t.strictSame(whole, everything);
    t.strictSame(asked.map(({ path }) => path.replace(`/${BUCKETS.uploads}/`, 'uploads/')).sort(), [changed, shorter]);
    t.equal(result.areas.uploads.resumed, ALL.length - 2);
  });

  t.test('a file that is there and not in the journal is not believed', async (t) => {
    const directory = t.testdir({ uploads: { 2: { '0010': { 'small.txt': 'left by a run that died' } } } });
    const { whole } = await goOn(directory, new Map());
    t.strictSame(whole, everything);
  });
});
