// An export in S3 is whole, or looks unfinished: no manifest, no parts left behind.
import { mkdirSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import t from 'tap';
import { parseS3Url, uploadDirectory, uploadStream } from '../../src/files/upload-export.js';
import type { UploadTarget } from '../../src/files/upload-export.js';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import type { Seen } from './faulty-proxy.js';
import { s3Error, withFaultyProxy } from './faulty-proxy.js';

const LARGE = 20 << 20;
const never = new AbortController().signal;

function exportDirectory(root: string): Map<string, Buffer> {
  const files = new Map([
    ['realm.json', Buffer.from('{}')], ['empty', Buffer.alloc(0)], ['uploads/2/日本/a b.bin', randomBytes(3000)], ['uploads/large.bin', randomBytes(LARGE)],
    ['manifest.json', Buffer.from('{"files": []}')],
  ]);
  for (const [path, content] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return files;
}

t.test('upload', async (t) => {
  const server = await startS3();
  t.teardown(async () => server.stop());
  const directory = t.testdir();
  const files = exportDirectory(directory);
  const target = (prefix: string, endpoint = server.endpoint): UploadTarget => ({
    bucket: BUCKETS.uploads, prefix, connection: { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }, attempts: 2 },
  });
  const keys = async (prefix: string): Promise<string[]> => ((await server.client.send(new ListObjectsV2Command({ Bucket: BUCKETS.uploads, Prefix: prefix }))).Contents ?? []).map(({ Key }) => Key ?? '');

  t.test('every file arrives, the manifest last', async (t) => {
    const stored: string[] = [];
    const { objects, bytes } = await uploadDirectory(target('exports/acme'), directory, 'manifest.json', never, ({ key }) => void stored.push(key));
    t.equal(objects, files.size);
    t.equal(bytes, [...files.values()].reduce((sum, { length }) => sum + length, 0));
    t.equal(stored.at(-1), 'exports/acme/manifest.json');
    for (const [path, content] of files) {
      const { Body } = await server.client.send(new GetObjectCommand({ Bucket: BUCKETS.uploads, Key: `exports/acme/${path}` }));
      t.ok((await buffer(Body as Readable)).equals(content), path);
    }
  });

  t.test('a prefix that is taken is refused, or replaced when asked', async (t) => {
    await t.rejects(uploadDirectory(target('exports/acme'), directory, 'manifest.json', never, () => undefined), { code: 'UPLOAD_EXISTS' });
    const { objects } = await uploadDirectory({ ...target('exports/acme'), overwrite: true }, directory, 'manifest.json', never, () => undefined);
    t.equal(objects, files.size);
  });

  t.test('an upload that fails leaves no manifest and no parts', async (t) => {
    const secondPart = ({ method, path }: Seen): boolean => method === 'PUT' && path.includes('partNumber=2');
    await withFaultyProxy(server.endpoint, (seen) => (secondPart(seen) ? s3Error(500, 'InternalError') : undefined), async ({ endpoint, seen }) => {
      await t.rejects(uploadDirectory(target('exports/failed', endpoint), directory, 'manifest.json', never, () => undefined), { code: 'UPLOAD_FAILED' });
      t.equal(seen.filter(({ method, path }) => method === 'DELETE' && path.includes('uploadId=')).length, 1, 'the parts are removed');
    });
    t.strictSame((await keys('exports/failed')).filter((key) => /manifest|large/.test(key)), []);
  });

  t.test('an upload that is cut leaves no manifest and no parts', async (t) => {
    const stop = new AbortController();
    const cut = new Error('cut by the test');
    await withFaultyProxy(server.endpoint, ({ path }) => {
      if (path.includes('partNumber=1')) stop.abort(cut);
      return undefined;
    }, async ({ endpoint, seen }) => {
      await t.rejects(uploadDirectory(target('exports/cut', endpoint), directory, 'manifest.json', stop.signal, () => undefined), cut);
      t.equal(seen.filter(({ method, path }) => method === 'DELETE' && path.includes('uploadId=')).length, 1, 'the parts are removed');
    });
    t.strictSame((await keys('exports/cut')).filter((key) => /manifest|large/.test(key)), []);
  });

  t.test('a stream is one object, and none when it breaks', async (t) => {
    const content = randomBytes(LARGE);
    await uploadStream(target('tar'), 'acme.tar.gz', Readable.from([content.subarray(0, 100), content.subarray(100)]), content.length, never);
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket: BUCKETS.uploads, Key: 'tar/acme.tar.gz' }));
    t.ok((await buffer(Body as Readable)).equals(content));
    const broken = new Error('broken');
    await t.rejects(uploadStream(target('broken'), 'acme.tar.gz', Readable.from((function* () {
      yield content;
      throw broken;
    })()), undefined, never), broken);
    t.strictSame(await keys('broken'), []);
  });

  t.test('encryption is asked for', async (t) => {
    const asked: (string | undefined)[] = [];
    await withFaultyProxy(server.endpoint, ({ method, headers }) => {
      if (method === 'PUT') asked.push(`${headers['x-amz-server-side-encryption']?.toString()} ${headers['x-amz-server-side-encryption-aws-kms-key-id']?.toString()} ${typeof headers['x-amz-checksum-sha256']}`);
      return undefined;
    }, async ({ endpoint }) => uploadStream({ ...target('kms', endpoint), encryption: { kind: 'aws:kms', keyId: 'key' } }, 'one', Readable.from([Buffer.from('x')]), 1, never));
    t.strictSame(asked, ['aws:kms key string']);
  });

  t.test('a bucket that is not there', async (t) => {
    await t.rejects(uploadDirectory({ ...target('x'), bucket: 'no-such-bucket' }, directory, 'manifest.json', never, () => undefined), { code: 'BUCKET_MISSING' });
  });
});

t.test('addresses', (t) => {
  t.strictSame(parseS3Url('s3://backups/zulip/2026/'), { bucket: 'backups', prefix: 'zulip/2026' });
  t.strictSame(parseS3Url('s3://backups'), { bucket: 'backups', prefix: '' });
  for (const bad of ['s3://', 's3:///x', 'https://backups/x', 's3://Bad_Name/x']) t.throws(() => parseS3Url(bad), { code: 'UPLOAD_URL', exit: 2 }, bad);
  t.end();
});
