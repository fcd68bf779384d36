import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand, CreateMultipartUploadCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client, UploadPartCommand,
  paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import t from 'tap';
import { BUCKETS, startS3, withS3 } from './s3-server.js';
import { testData } from './test-data.js';

const MEGABYTE = 1 << 20;

async function keys(client: S3Client, bucket: string, prefix: string, pageSize: number): Promise<string[]> {
  const out: string[] = [];
  for await (const page of paginateListObjectsV2({ client, pageSize }, { Bucket: bucket, Prefix: prefix })) {
    out.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ''));
  }
  return out;
}

async function bytes(client: S3Client, bucket: string, key: string, range?: string): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range: range }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

/** The HTTP status with which a request is refused. */
async function refusal(request: Promise<unknown>): Promise<number | undefined> {
  return request.then(() => undefined, (error: { $metadata?: { httpStatusCode?: number } }) => error.$metadata?.httpStatusCode);
}

t.test('the S3 data set comes back with its metadata', async (t) => {
  const expected = JSON.parse(readFileSync(testData('zulip-11/s3', 'objects.json'), 'utf8')) as {
    bucket: string; key: string; contentType: string; contentDisposition?: string; metadata: Record<string, string>;
  }[];
  await withS3(async ({ client }) => {
    for (const object of expected) {
      const head = await client.send(new HeadObjectCommand({ Bucket: object.bucket, Key: object.key }));
      const body = await bytes(client, object.bucket, object.key);
      t.same(
        [head.Metadata, head.ContentType, head.ContentDisposition, head.ContentLength, head.ETag],
        [object.metadata, object.contentType, object.contentDisposition, body.length, `"${createHash('md5').update(body).digest('hex')}"`],
        object.key,
      );
    }
    const uploads = expected.filter(({ bucket }) => bucket === BUCKETS.uploads).map(({ key }) => key);
    t.same(await keys(client, BUCKETS.uploads, '', 7), uploads.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  });
});

t.test('the server behaves as S3 does where an exporter can tell', async (t) => {
  const server = await startS3();
  t.teardown(() => server.stop());
  const { client } = server;
  const Bucket = BUCKETS.avatars;

  const awkward = ['2/日本 +%41 (1)\'!*&=?#.bin', 'h', 'h-medium.png', 'h.original', 'h.png', 'h/x', 'hz'];
  for (const Key of awkward) await client.send(new PutObjectCommand({ Bucket, Key, Body: `body of ${Key}` }));
  for (const key of awkward) t.equal((await bytes(client, Bucket, key)).toString(), `body of ${key}`);
  for (const pageSize of [1, 2, 3, 1000]) t.same(await keys(client, Bucket, 'h', pageSize), awkward.slice(1), `pages of ${pageSize}`);

  t.equal((await bytes(client, Bucket, 'h.original', 'bytes=5-6')).toString(), 'of');
  t.equal((await bytes(client, Bucket, 'h.original', 'bytes=8-')).toString(), 'h.original');
  await t.rejects(client.send(new GetObjectCommand({ Bucket, Key: 'none' })), { name: 'NoSuchKey' });
  await t.rejects(client.send(new GetObjectCommand({ Bucket: 'no-such-bucket', Key: 'none' })), { name: 'NoSuchBucket' });

  const { ETag } = await client.send(new HeadObjectCommand({ Bucket, Key: 'hz' }));
  await client.send(new GetObjectCommand({ Bucket, Key: 'hz', Range: 'bytes=0-1', IfMatch: ETag })).then(({ Body }) => Body?.transformToString());
  await client.send(new PutObjectCommand({ Bucket, Key: 'hz', Body: 'another body' }));
  t.equal(await refusal(client.send(new GetObjectCommand({ Bucket, Key: 'hz', Range: 'bytes=0-1', IfMatch: ETag }))), 412);

  const stranger = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: 'other', secretAccessKey: 'other' } });
  t.teardown(() => stranger.destroy());
  t.equal(await refusal(stranger.send(new GetObjectCommand({ Bucket, Key: 'h' }))), 403);

  const big = randomBytes(11 * MEGABYTE);
  const upload = new Upload({ client, partSize: 5 * MEGABYTE, params: { Bucket, Key: 'big', Body: Readable.from([big]), Metadata: { realm_id: '2' } } });
  await upload.done();
  t.ok(big.equals(await bytes(client, Bucket, 'big')), 'multipart upload');
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'big' }));
  t.match(head, { Metadata: { realm_id: '2' }, ContentLength: big.length, ETag: /^"[0-9a-f]{32}-3"$/ });

  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'aborted' }));
  await client.send(new UploadPartCommand({ Bucket, Key: 'aborted', UploadId, PartNumber: 1, Body: 'x' }));
  await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'aborted', UploadId }));
  t.same(await keys(client, Bucket, 'a', 1000), [], 'an aborted upload leaves nothing');

  const chunked = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }, maxAttempts: 1 });
  t.teardown(() => chunked.destroy());
  const streamed = new PutObjectCommand({ Bucket, Key: 'chunked', Body: Readable.from([Buffer.alloc(100)]), ContentLength: 100 });
  t.equal(await refusal(chunked.send(streamed)), 501, 'what it would store wrong it refuses');
});
