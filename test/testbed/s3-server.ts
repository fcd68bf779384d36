/**
 * A real S3 protocol server for tests and for the sample server: s3rver, in this process, on a free port of the loopback
 * interface, with its objects in a temporary directory.
 *
 * s3rver knows one access key, S3RVER, refuses others with 403, and does not check signatures. It stores a body in AWS's
 * own chunked encoding as it comes (the SDK's default for streams); such requests are refused here rather than kept
 * wrong, so clients set `requestChecksumCalculation: 'WHEN_REQUIRED'`.
 */
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import S3rver from 's3rver';
import type { Context } from 's3rver';
import { S3Store } from './s3-store.js';
import { readArchive } from './tar-archive.js';
import { testData } from './test-data.js';

/** The buckets of a Zulip server with S3, named as in the test data. */
export const BUCKETS = { uploads: 'zulip-uploads', avatars: 'zulip-avatars' } as const;

const REGION = 'us-east-1';
const ACCESS_KEY = 'S3RVER';

/** One object of a data set's objects.json. */
interface ObjectDescription {
  bucket: string;
  key: string;
  contentType: string;
  contentDisposition?: string;
  metadata: Record<string, string>;
  /** Path in bodies.tar.gz. */
  body: string;
}

export interface S3Server {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  /** The settings that point realmlift and the AWS SDK at this server. */
  readonly environment: Readonly<Record<string, string>>;
  /** A client of this server. */
  readonly client: S3Client;
  readonly store: S3Store;
  stop(): Promise<void>;
}

/** Starts a server with two empty buckets. */
export async function startS3(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'realmlift-s3-'));
  const removeAtExit = (): void => rmSync(directory, { recursive: true, force: true });
  process.once('exit', removeAtExit);

  const server = new S3rver({
    address: '127.0.0.1', port: 0, directory, silent: true, vhostBuckets: false,
    configureBuckets: Object.values(BUCKETS).map((name) => ({ name })),
  });
  const store = new S3Store(directory);
  server.store = server.context.store = store;
  // Its logger, which writes each request's line even when nobody is to see it.
  server.middleware.shift();
  // Before the router, inside the layer that turns a body object into XML.
  server.middleware.splice(-1, 0, refuseChunkedEncoding, checkPreconditions, abortUploads, refuseUnknownUploads, listUploads, copyParts, pageListings);
  const { port } = await server.run();

  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    endpoint, region: REGION, forcePathStyle: true, requestChecksumCalculation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: ACCESS_KEY },
  });
  const environment = {
    S3_ENDPOINT: endpoint, S3_REGION: REGION, S3_UPLOADS_BUCKET: BUCKETS.uploads, S3_AVATARS_BUCKET: BUCKETS.avatars,
    AWS_ACCESS_KEY_ID: ACCESS_KEY, AWS_SECRET_ACCESS_KEY: ACCESS_KEY,
  };
  const stop = async (): Promise<void> => {
    client.destroy();
    server.httpServer.closeAllConnections();
    await server.close();
    await rm(directory, { recursive: true, force: true });
    process.off('exit', removeAtExit);
  };
  return { endpoint, environment, client, store, stop };
}

/** Runs `work` with a server of its own, filled with the objects of the S3 data set. */
export async function withS3<T>(work: (server: S3Server) => Promise<T>): Promise<T> {
  const server = await startS3();
  try {
    await loadObjects(server.client, testData('zulip-11/s3', 'objects.json'), testData('zulip-11/s3', 'bodies.tar.gz'));
    return await work(server);
  } finally {
    await server.stop();
  }
}

/** Stores the objects that `description` (objects.json) lists with the bodies that the gzipped tar `bodies` holds. */
export async function loadObjects(client: S3Client, description: string, bodies: string): Promise<void> {
  const objects = JSON.parse(await readFile(description, 'utf8')) as ObjectDescription[];
  const byBody = new Map(objects.map((object) => [object.body, object]));
  await readArchive(bodies, async (path, content) => {
    const object = byBody.get(path);
    if (object === undefined) return void content.resume();
    byBody.delete(path);
    await client.send(new PutObjectCommand({
      Bucket: object.bucket, Key: object.key, Body: await buffer(content), ContentType: object.contentType,
      ContentDisposition: object.contentDisposition, Metadata: object.metadata,
    }));
  });
  if (byBody.size > 0) throw new Error(`${bodies} lacks ${[...byBody.keys()].join(', ')}`);
}

async function refuseChunkedEncoding(context: Context, next: () => Promise<void>): Promise<void> {
  if (context.headers['x-amz-content-sha256']?.startsWith('STREAMING-') !== true) return next();
  context.status = 501;
  context.body = { Error: { Code: 'NotImplemented', Message: 'aws-chunked bodies: set requestChecksumCalculation to WHEN_REQUIRED' } };
}

/** If-Match, which s3rver ignores. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
async function checkPreconditions(context: Context, next: () => Promise<void>): Promise<void> {
  const wanted = context.headers['if-match'];
  if (wanted === undefined || (context.method !== 'GET' && context.method !== 'HEAD')) return next();
  const [, bucket = '', ...key] = decodeURIComponent(context.path).split('/');
  const metadata = await (context.app.store as S3Store).getMetadata(bucket, key.join('/')).catch(() => undefined);
  if (metadata === undefined || metadata.etag === wanted) return next();
  context.status = 412;
  context.body = { Error: { Code: 'PreconditionFailed', Message: 'the object has another ETag' } };
}

async function abortUploads(context: Context, next: () => Promise<void>): Promise<void> {
  const { uploadId } = context.query;
  const bucket = context.path.split('/')[1];
  if (context.method !== 'DELETE' || uploadId === undefined || bucket === undefined) return next();
  await (context.app.store as S3Store).abortUpload(bucket, uploadId);
  context.status = 204;
}

/** An upload that was aborted, or completed, takes no part any more; s3rver makes it again. */
async function refuseUnknownUploads(context: Context, next: () => Promise<void>): Promise<void> {
  const { uploadId } = context.query;
  const bucket = context.path.split('/')[1];
  if (uploadId === undefined || bucket === undefined || context.method === 'DELETE' || (context.app.store as S3Store).hasUpload(bucket, uploadId)) return next();
  context.status = 404;
  context.body = { Error: { Code: 'NoSuchUpload', Message: 'there is no such upload' } };
}

/** ListMultipartUploads, which s3rver lacks. */
async function listUploads(context: Context, next: () => Promise<void>): Promise<void> {
  const { uploads, prefix = '' } = context.query;
  const [, bucket = '', ...key] = context.path.split('/');
  if (context.method !== 'GET' || uploads === undefined || key.join('') !== '') return next();
  const found = await (context.app.store as S3Store).listUploads(bucket);
  context.body = { ListMultipartUploadsResult: { Bucket: bucket, IsTruncated: false, Upload: found.filter(({ key: Key }) => Key.startsWith(prefix)).map(({ key: Key, uploadId: UploadId }) => ({ Key, UploadId })) } };
}

/** UploadPartCopy, which s3rver takes for CopyObject. https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html */
async function copyParts(context: Context, next: () => Promise<void>): Promise<void> {
  const { uploadId, partNumber } = context.query;
  const source = context.headers['x-amz-copy-source'];
  if (context.method !== 'PUT' || uploadId === undefined || partNumber === undefined || source === undefined) return next();
  const store = context.app.store as S3Store;
  const [from = '', ...key] = decodeURIComponent(source).replace(/^\//, '').split('/');
  const [, to = ''] = context.path.split('/');
  const range = /^bytes=(\d+)-(\d+)$/.exec((context.headers['x-amz-copy-source-range']) ?? '');
  const object = await store.getObject(from, key.join('/'), range === null ? undefined : { start: Number(range[1]), end: Number(range[2]) }).catch(() => null);
  const wanted = context.headers['x-amz-copy-source-if-match'];
  if (object === null || (wanted !== undefined && wanted !== object.metadata.etag)) {
    context.status = object === null ? 404 : 412;
    context.body = { Error: { Code: object === null ? 'NoSuchKey' : 'PreconditionFailed', Message: 'the source is not there, or another' } };
    return;
  }
  store.copied += 1;
  const { md5, sha256 } = await store.putPart(to, uploadId, partNumber, object.content as Readable);
  context.body = { CopyPartResult: { ETag: JSON.stringify(md5), LastModified: new Date().toISOString(), ...(store.tellsDigests ? { ChecksumSHA256: sha256 } : {}) } };
}

/** Paging of ListObjectsV2: s3rver's own encrypts its continuation tokens with DES, which OpenSSL 3 no longer has. */
async function pageListings(context: Context, next: () => Promise<void>): Promise<void> {
  if (context.query['list-type'] !== '2') return next();
  const { 'continuation-token': token, ...query } = context.query;
  context.query = token === undefined ? query : { ...query, 'start-after': Buffer.from(token, 'base64url').toString() };
  await next();
  const { ListBucketResult: result } = context.body as { ListBucketResult: Record<string, unknown> & { Contents: { Key: string }[] } };
  const page = result.Contents.slice(0, Math.min(1000, Number(query['max-keys'] ?? 1000)));
  const more = page.length < result.Contents.length;
  Object.assign(result, { Contents: page, KeyCount: page.length, IsTruncated: more });
  if (more) result.NextContinuationToken = Buffer.from(page.at(-1)?.Key ?? '').toString('base64url');
}
