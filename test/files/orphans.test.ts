// What nobody's row claims: counted, named, copied beside the export only when asked, and only what may travel.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import type { Test } from 'tap';
import type { FileEvent, FilesResult } from '../../src/files/file-events.js';
import type { FileStore } from '../../src/files/file-store.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { pullFiles } from '../../src/files/pull-files.js';
import type { PullOptions } from '../../src/files/pull-files.js';
import { byBytes } from '../../src/files/records.js';
import type { WantedFiles } from '../../src/files/wanted-files.js';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import type { S3Server } from '../testbed/s3-server.js';
import { withFaultyProxy } from './faulty-proxy.js';
import { OWNER, REALM, filesBelow, wantedUploads, withStore } from './pull-fixture.js';
import { each } from './wanted-rows.js';

const HASH = 'a'.repeat(40);
const STALE = 'b'.repeat(40);

/** Below the uploads' root; `true` for those that a row claims. */
const UPLOADS: Readonly<Record<string, boolean>> = {
  '2/00/aaa/exported.txt': true, '2/00/aaa/exported.txt.info': true, '2/00/bbb/not-exported.txt': true, '2/00/ccc/archived.txt': true,
  '2/00/aab/orphan.txt': false, '2/zz/orphan.txt.info': false, '2/zz/\u{1F680} orphan': false, '20/of/another-realm.txt': true, 'thumbnail/2/00/aaa/exported.txt/840x560.webp': true,
};
/** Below the avatars' root. */
const AVATARS: Readonly<Record<string, boolean>> = {
  [`2/${HASH}.png`]: true, [`2/${HASH}-medium.png`]: true, [`2/${HASH}.original`]: true, [`2/${STALE}.png`]: false, [`2/${STALE}-medium.png`]: false,
  '2/emoji/images/one.gif': true, '2/emoji/images/one.gif.original': true, '2/emoji/images/still/one.png': true, '2/emoji/images/gone.png': false,
  '2/realm/icon.png': true, '2/realm/old-logo.png': true,
};
const ORPHANS = [...Object.entries(UPLOADS), ...Object.entries(AVATARS)].filter(([, claimed]) => !claimed).map(([key]) => key).sort();

const WANTED: WantedFiles = wantedUploads([{ attachmentId: '1', pathId: '2/00/aaa/exported.txt', ownerId: OWNER, size: null }], {
  avatars: () => each([{ userId: OWNER, hash: HASH, avatarSource: 'U', avatarVersion: 1 }]),
  emoji: () => each([{ fileName: 'one.gif', name: 'one', authorId: OWNER, deactivated: false }]),
  claimedUploads: () => each(['2/00/aaa/exported.txt', '2/00/bbb/not-exported.txt', '2/00/ccc/archived.txt', '2/00/ddd/missing.txt'].sort(byBytes)),
});

async function run(t: Test, store: FileStore, options: PullOptions, wanted = WANTED): Promise<{ result: FilesResult; orphans: Extract<FileEvent, { kind: 'orphan' }>[]; events: FileEvent[]; directory: string }> {
  const directory = t.testdir();
  const events: FileEvent[] = [];
  const result = await pullFiles(store, wanted, directory, options, (event) => void events.push(event));
  return { result, events, directory, orphans: events.filter((event) => event.kind === 'orphan') };
}

/** The same of both stores. */
async function checks(t: Test, store: FileStore, size: number): Promise<void> {
  const { result, orphans, directory } = await run(t, store, {});
  t.strictSame(orphans.map(({ key }) => key).sort(), ORPHANS, 'found');
  t.strictSame([result.areas.uploads.orphans, result.areas.avatars.orphans, result.areas.emoji.orphans, result.areas.realm_icons.orphans], [3, 2, 1, 0]);
  t.equal(result.areas.uploads.orphanBytes, 3 * size);
  t.strictSame(filesBelow(directory).filter((path) => path.includes('orphan') || path.includes(STALE)), [], 'not copied');

  const ignored = await run(t, store, { orphans: 'ignore' });
  t.strictSame(ignored.orphans, []);
  const single = await run(t, store, {}, { ...WANTED, claimedUploads: undefined });
  t.strictSame(single.orphans, [], 'none are looked for without the rows of all');
}

t.test('in S3', async (t) => {
  const server: S3Server = await startS3();
  t.teardown(async () => server.stop());
  const put = async (bucket: string, key: string, metadata: Record<string, string> = { user_profile_id: String(OWNER), realm_id: String(REALM) }): Promise<unknown> =>
    server.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'content', Metadata: metadata }));
  for (const key of Object.keys(UPLOADS)) await put(BUCKETS.uploads, key);
  for (const key of Object.keys(AVATARS)) await put(BUCKETS.avatars, key);

  t.test('reported', async (t) => withStore(server.endpoint, {}, async (store) => checks(t, store, 7)));

  t.test('copied when asked, but not what metadata say is another\'s', async (t) => {
    await put(BUCKETS.uploads, '2/00/aab/orphan.txt', { user_profile_id: '900', realm_id: '2' });
    await put(BUCKETS.uploads, '2/zz/orphan.txt.info', {});
    const { orphans, directory, result } = await withStore(server.endpoint, {}, async (store) => run(t, store, { orphans: 'copy' }));
    t.match(orphans.find(({ key }) => key === '2/00/aab/orphan.txt'), { notCopied: 'owner' });
    t.equal(readFileSync(join(directory, 'orphans/uploads/2/zz/orphan.txt.info'), 'utf8'), 'content');
    t.equal(readFileSync(join(directory, `orphans/avatars/2/${STALE}.png`), 'utf8'), 'content');
    t.strictSame(filesBelow(directory).filter((path) => path.startsWith('orphans/')).sort(), orphans.flatMap(({ copy }) => copy?.path ?? []).sort());
    t.equal(result.areas.uploads.orphansCopied, 2);

    const copies = orphans.flatMap(({ copy }) => copy ?? []);
    const earlier = new Map(copies.map((copy) => [copy.path, copy]));
    const fetched: string[] = [];
    const changed = `2/${STALE}.png`;
    writeFileSync(join(directory, 'orphans/uploads/2/zz/orphan.txt.info'), 'damaged');
    await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.avatars, Key: changed, Body: 'another' }));
    const resumed = await withFaultyProxy(server.endpoint, ({ method, path }) => void (method === 'GET' && !path.includes('?') && fetched.push(path)), async ({ endpoint }) =>
      withStore(endpoint, {}, async (store) => pullFiles(store, WANTED, directory, { orphans: 'copy', done: (path) => earlier.get(path) }, () => undefined)));
    t.equal(resumed.areas.uploads.orphansCopied, 2);
    const orphansFetched = fetched.filter((path) => [...earlier.keys(), '2/00/aab/orphan.txt'].some((copy) => copy.endsWith(path.replace(/^\/[^/]+\//, ''))));
    t.strictSame(orphansFetched.sort(), [`/${BUCKETS.avatars}/${changed}`, `/${BUCKETS.uploads}/2/00/aab/orphan.txt`, `/${BUCKETS.uploads}/2/zz/orphan.txt.info`], 'a resumed run copies what is not there, damaged or changed');
    t.equal(readFileSync(join(directory, `orphans/avatars/${changed}`), 'utf8'), 'another');
    await put(BUCKETS.uploads, '2/00/aab/orphan.txt');
  });

  t.test('a page of the listing that breaks is asked for again; a listing that never comes is told', async (t) => {
    const isListing = (path: string): boolean => path.startsWith(`/${BUCKETS.uploads}`) && path.includes('prefix=2/');
    const half = { kind: 'body', change: (body: string) => body.slice(0, body.length / 2) } as const;
    await withFaultyProxy(server.endpoint, ({ path, repeat }) => (isListing(path) && repeat === 0 ? half : undefined), async ({ endpoint }) => {
      const { orphans } = await withStore(endpoint, {}, async (store) => run(t, store, {}));
      t.strictSame(orphans.map(({ key }) => key).sort(), ORPHANS);
    });
    await withFaultyProxy(server.endpoint, ({ path }) => (isListing(path) ? { kind: 'reset', after: 0 } : undefined), async ({ endpoint }) => {
      const { events, result } = await withStore(endpoint, {}, async (store) => run(t, store, {}));
      t.match(events.filter(({ kind }) => kind === 'orphans-unknown'), [{ area: 'uploads' }]);
      t.equal(result.areas.uploads.found, 1, 'the export goes on');
      t.equal(result.areas.avatars.orphans, 2);
    });
    const without = { kind: 'body', change: (body: string) => body.replace(/<Contents>.*?<\/Contents>/s, '') } as const;
    await withFaultyProxy(server.endpoint, ({ path, repeat }) => (isListing(path) && repeat === 0 ? without : undefined), async ({ endpoint }) => {
      const { orphans } = await withStore(endpoint, {}, async (store) => run(t, store, {}));
      t.strictSame(orphans.map(({ key }) => key).sort(), ORPHANS, 'a page with fewer entries than it counts');
    });
  });

  t.test('a listing out of order is told, not compared', async (t) => {
    const reversed = { kind: 'body', change: (body: string) => {
      const entries = body.match(/<Contents>.*?<\/Contents>/gs) ?? [];
      return body.replace(entries.join(''), entries.reverse().join(''));
    } } as const;
    await withFaultyProxy(server.endpoint, ({ path }) => (path.startsWith(`/${BUCKETS.uploads}`) && path.includes('prefix=2/') ? reversed : undefined), async ({ endpoint }) => {
      const { events } = await withStore(endpoint, {}, async (store) => run(t, store, {}));
      t.match(events.filter(({ kind }) => kind === 'orphans-unknown'), [{ area: 'uploads', detail: /order/ }]);
    });
  });
});

t.test('on the local disk', async (t) => {
  const root = t.testdir();
  const write = (path: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), 'local');
  };
  for (const key of Object.keys(UPLOADS)) write(`files/${key}`);
  for (const key of Object.keys(AVATARS)) write(`avatars/${key}`);
  const store = await openLocalStore({ uploadsDir: root });
  await t.test('reported', async (t) => checks(t, store, 5));
  await t.test('copied when asked', async (t) => {
    const { orphans, directory } = await run(t, store, { orphans: 'copy' });
    t.strictSame(filesBelow(directory).filter((path) => path.startsWith('orphans/')).sort(), orphans.map(({ area, key }) => `orphans/${area}/${key}`).sort());
    t.equal(orphans.length, ORPHANS.length);
  });
});
