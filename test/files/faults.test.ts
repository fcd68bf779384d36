// Whatever happens on the way, a file is whole in the export or told as lost: `pull` compares each with its object.
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { Test } from 'tap';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import type { S3Server } from '../testbed/s3-server.js';
import type { Fault, FaultyProxy, Seen } from './faulty-proxy.js';
import { s3Error, withFaultyProxy } from './faulty-proxy.js';
import type { Upload } from './pull-fixture.js';
import { PART, filesBelow, lostAttachments, pull, putUploads, upload, withStore } from './pull-fixture.js';
import type { S3StoreSettings } from '../../src/files/s3/s3-store.js';

const SMALL = upload(1, 'small.txt', 3000);
const EMPTY = upload(2, 'empty.txt', 0);
const LARGE = upload(3, 'large.bin', 5 * PART + 17);
const OTHER = upload(4, 'other.txt', 2000);
const ALL = [SMALL, EMPTY, LARGE, OTHER];
/** What a proxy answers that wants a login. */
const PAGE = '<html><body>Log in</body></html>';
const ALL_IDS = ['1', '2', '3', '4'];

let server: S3Server;

/** Pulls all uploads through a proxy. */
async function through(
  t: Test, fault: (seen: Seen) => Fault | undefined | Promise<Fault | undefined>, settings: Partial<S3StoreSettings> = {}, uploads: readonly Upload[] = ALL,
): Promise<Awaited<ReturnType<typeof pull>> & { seen: FaultyProxy['seen'] }> {
  return withFaultyProxy(server.endpoint, fault, async ({ endpoint, seen }) => withStore(endpoint, settings, async (store) => {
    const directory = t.testdir();
    const pulled = await pull(store, uploads, directory);
    t.strictSame(filesBelow(directory).filter((path) => path.startsWith('.')), [], 'nothing unfinished is left');
    t.strictSame(pulled.records.map(({ path }) => path), uploads.filter(({ attachmentId }) => pulled.whole.includes(attachmentId)).map(({ pathId }) => pathId), 'a record for each file and no other');
    t.strictSame(lostAttachments(pulled.events), uploads.map(({ attachmentId }) => attachmentId).filter((id) => !pulled.whole.includes(id)), 'lost are those without a file');
    return { ...pulled, seen };
  }));
}

const of = ({ pathId }: Upload) => ({ path, method }: Seen): boolean => method === 'GET' && path === `/${BUCKETS.uploads}/${pathId}`;

/** The first time that a request comes; the second goes through. */
const once = (matches: (seen: Seen) => boolean, fault: Fault) => (seen: Seen): Fault | undefined => (matches(seen) && seen.repeat === 0 ? fault : undefined);
const always = (matches: (seen: Seen) => boolean, fault: Fault) => (seen: Seen): Fault | undefined => (matches(seen) ? fault : undefined);
const isRange = (seen: Seen): boolean => of(LARGE)(seen) && seen.range !== undefined;

t.test('faults', async (t) => {
  server = await startS3();
  t.teardown(async () => server.stop());
  await putUploads(server.client, ALL);

  t.test('large objects come in ranges, small ones in one request', async (t) => {
    const { whole, seen } = await through(t, () => undefined);
    t.strictSame(whole, ALL_IDS);
    t.strictSame(seen.filter(isRange).map(({ range }) => range).sort(), [
      'bytes=0-65535', 'bytes=131072-196607', 'bytes=196608-262143', 'bytes=262144-327679', 'bytes=327680-327696', 'bytes=65536-131071',
    ]);
    t.equal(seen.filter(of(SMALL)).length, 1);
  });

  for (const [name, fault] of [
    ['a reset', { kind: 'reset', after: 1000 }],
    ['a reset before the first byte', { kind: 'reset', after: 0 }],
    ['a body below its length', { kind: 'short', by: 1 }],
    ['a length that is wrong', { kind: 'wrong-length', by: 1 }],
    ['a byte that is wrong', { kind: 'corrupt', at: 999 }],
    ['an internal error', s3Error(500, 'InternalError')],
    ['SlowDown', s3Error(503, 'SlowDown')],
    ['429', s3Error(429, 'TooManyRequests')],
    ['an error page of another proxy', { kind: 'status', status: 502, body: '<html><body>Bad Gateway' }],
    ['an empty answer that says 200', { kind: 'status', status: 200, body: '' }],
    ['a page of something between that says 200', { kind: 'status', status: 200, body: PAGE }],
  ] as const satisfies readonly (readonly [string, Fault])[]) {
    t.test(`once ${name}: asked again, and whole`, async (t) => {
      const { whole, lost } = await through(t, (seen) => once(of(SMALL), fault)(seen) ?? once(isRange, fault)(seen));
      t.strictSame(whole, ALL_IDS);
      t.strictSame(lost, []);
    });
  }

  for (const [name, fault, reason] of [
    ['a reset', { kind: 'reset', after: 1000 }, 'fault'],
    ['a body below its length', { kind: 'short', by: 1 }, 'fault'],
    ['a length that is wrong', { kind: 'wrong-length', by: 1 }, 'corrupt'],
    ['a byte that is wrong', { kind: 'corrupt', at: 999 }, 'corrupt'],
    ['an internal error', s3Error(500, 'InternalError'), 'fault'],
  ] as const satisfies readonly (readonly [string, Fault, string])[]) {
    t.test(`always ${name}: lost by key and reason, and nothing else`, async (t) => {
      const { whole, lost } = await through(t, always(of(SMALL), fault));
      t.strictSame(whole, ['2', '3', '4']);
      t.strictSame(lost, [`${SMALL.pathId}: ${reason}`]);
    });
  }

  t.test('a wrong byte in a range of a large object, always: lost as corrupt', async (t) => {
    const { whole, lost } = await through(t, always((seen) => isRange(seen) && seen.range === 'bytes=65536-131071', { kind: 'corrupt', at: 5 }));
    t.strictSame(whole, ['1', '2', '4']);
    t.strictSame(lost, [`${LARGE.pathId}: corrupt`]);
  });

  t.test('a stored checksum is checked where the ETag is no MD5', async (t) => {
    const headers = { etag: '"0123456789abcdef0123456789abcdef-6"', 'x-amz-checksum-crc32': Buffer.from('00000000', 'hex').toString('base64'), 'x-amz-checksum-type': 'FULL_OBJECT' };
    const { lost } = await through(t, always(of(SMALL), { kind: 'headers', headers }));
    t.strictSame(lost, [`${SMALL.pathId}: corrupt`]);
  });

  t.test('403 and 404 are not asked for again', async (t) => {
    const { lost, seen } = await through(t, (seen) => always(of(SMALL), s3Error(403, 'AccessDenied'))(seen) ?? always(of(OTHER), s3Error(404, 'NoSuchKey'))(seen));
    t.strictSame(lost, [`${SMALL.pathId}: forbidden`, `${OTHER.pathId}: absent`]);
    t.equal(seen.filter(of(SMALL)).length, 1);
    t.equal(seen.filter(of(OTHER)).length, 1);
  });

  t.test('a hung connection is cut, before and within a body', async (t) => {
    // Server and proxy are in this process too: on a loaded machine all are silent for some tenths of a second, which is no hang.
    const { whole } = await through(t, (seen) => once(of(SMALL), { kind: 'hang', after: 10 })(seen) ?? once(isRange, { kind: 'hang', after: 0 })(seen), { timeout: 1.5 });
    t.strictSame(whole, ALL_IDS);
    const always10 = await through(t, always(of(SMALL), { kind: 'hang', after: 10 }), { timeout: 1, attempts: 3 });
    t.strictSame(always10.lost, [`${SMALL.pathId}: timeout`]);
  });

  t.test('a storm of 503 slows all transfers down and loses none', async (t) => {
    let refused = 0;
    const { whole } = await through(t, (seen) => {
      if (seen.method !== 'GET' || seen.path.includes('list-type') || seen.repeat >= 2) return undefined;
      refused += 1;
      return s3Error(503, 'SlowDown');
    });
    t.strictSame(whole, ALL_IDS);
    t.ok(refused >= 10, `${refused} requests were refused`);
  });

  t.test('an object that is replaced between two ranges is never mixed', async (t) => {
    const replaced: Upload = { ...LARGE, content: randomBytes(LARGE.content.length) };
    let done = false;
    const { whole } = await through(t, async (seen) => {
      if (!isRange(seen) || done || seen.range === 'bytes=0-65535') return undefined;
      done = true;
      await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: LARGE.pathId, Body: replaced.content, Metadata: { user_profile_id: '7', realm_id: '2' } }));
      return undefined;
    }, { jobs: 2 }, [SMALL, replaced]);
    t.strictSame(whole, ['1', '3'], 'the new object, whole');
    await putUploads(server.client, [LARGE]);
  });

  t.test('an object that never stays the same is lost', async (t) => {
    let version = 0;
    const { lost } = await through(t, (seen) => (of(LARGE)(seen) ? { kind: 'headers', headers: { etag: `"${String(version += 1).padStart(32, '0')}"` } } : undefined));
    t.strictSame(lost, [`${LARGE.pathId}: changed`]);
  });

  t.test('a server without ranges, or without ETags, is asked for the whole', async (t) => {
    const ignored = await through(t, always(isRange, { kind: 'no-range' }));
    t.strictSame(ignored.whole, ALL_IDS);
    const anonymous = await through(t, always(of(LARGE), { kind: 'headers', headers: { etag: undefined } }));
    t.strictSame(anonymous.whole, ALL_IDS);
    t.equal(anonymous.seen.filter(isRange).length, 0);
  });

  t.test('a server that refuses If-Match of its own ETag is asked for the whole', async (t) => {
    const { whole } = await through(t, always(isRange, s3Error(412, 'PreconditionFailed')));
    t.strictSame(whole, ALL_IDS);
  });

  t.test('ETags that only look like an MD5: lost, unless it is said that they are none', async (t) => {
    const fault = always(of(SMALL), { kind: 'headers', headers: { etag: '"0123456789abcdef0123456789abcdef"' } });
    t.strictSame((await through(t, fault)).lost, [`${SMALL.pathId}: corrupt`]);
    t.strictSame((await through(t, fault, { etags: 'opaque' })).whole, ALL_IDS);
  });

  t.test('credentials that expire in the middle are renewed', async (t) => {
    let issued = 0;
    const credentials = async () => Promise.resolve({ accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', sessionToken: `token-${issued += 1}` });
    const { whole } = await through(t, (seen) => once(of(SMALL), s3Error(400, 'ExpiredToken'))(seen) ?? once(isRange, s3Error(403, 'ExpiredToken'))(seen), { credentials });
    t.strictSame(whole, ALL_IDS);
    t.ok(issued >= 2);
  });

  t.test('credentials that stay expired end the run', async (t) => {
    await t.rejects(through(t, always(of(SMALL), s3Error(400, 'ExpiredToken'))), { code: 'S3_CREDENTIALS_REFUSED', stage: 'files' });
  });

  t.test('a server that is gone ends the run, instead of losing every file', async (t) => {
    const many = Array.from({ length: 30 }, (_, index) => upload(100 + index, 'x', 10));
    await putUploads(server.client, many);
    await t.rejects(through(t, always(({ path }) => path.includes(`${BUCKETS.uploads}/2/01`), { kind: 'reset', after: 0 }), { attempts: 2 }, many), { code: 'S3_UNREACHABLE' });
  });
});
