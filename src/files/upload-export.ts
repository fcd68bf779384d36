/**
 * Stores a finished export in S3: every file, and last of all its manifest, so that a prefix without a manifest is never
 * taken for an export. Large files go in parts, of which nothing is visible before all are there; parts of an upload that
 * fails or is cut are removed.
 */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import { DeleteObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { EXIT, RealmliftError } from '../errors.js';
import type { StoredFile } from './file-store.js';
import { inOrder } from './ordered-pool.js';
import { checkBucket } from './s3-bucket-check.js';
import type { S3Connection } from './s3-client.js';
import { S3Access, describeServer, newS3Client } from './s3-client.js';
import { particulars } from './s3-fault.js';
import { sortedWalk } from './sorted-walk.js';

export interface UploadTarget {
  readonly connection: S3Connection;
  readonly bucket: string;
  /** Put before each name, without a `/` at its end; empty for the bucket's root. */
  readonly prefix: string;
  /** Server-side encryption; absent: as the bucket does by default. */
  readonly encryption?: { readonly kind: 'AES256' } | { readonly kind: 'aws:kms'; readonly keyId?: string | undefined } | undefined;
  /** Replaces what is below the prefix. Its manifest is removed first. */
  readonly overwrite?: boolean | undefined;
}

/** Told of each object when it is stored. */
export type OnStored = (object: { readonly key: string; readonly size: number }) => void | Promise<void>;

/** Bytes up to which a file is one request, held in memory. */
const ONE_REQUEST = 4 << 20;
/** Such requests at once: 32 MiB. */
const SMALL_AT_ONCE = 8;
/** Bytes of a part, unless the file needs larger ones: S3 takes 10,000 of them. */
const PART = 8 << 20;
const MOST_PARTS = 10_000;
/** Parts at once: 32 MiB, for one large file at a time. */
const PARTS_AT_ONCE = 4;
/** Bytes of a part of a stream whose length is not known: 640 GB in all. */
const STREAM_PART = 64 << 20;

/** The target that `s3://BUCKET/PREFIX` names. @throws RealmliftError UPLOAD_URL */
export function parseS3Url(url: string): { bucket: string; prefix: string } {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(url);
  if (match?.[1] === undefined) throw new RealmliftError('UPLOAD_URL', 'usage', `${url} names no bucket`, { hint: 's3://BUCKET/PREFIX', exit: EXIT.usage });
  return { bucket: match[1], prefix: (match[2] ?? '').replace(/\/+$/, '') };
}

/**
 * Stores the directory's files below the prefix, `manifest` (its name in the directory) last.
 *
 * @returns how many objects, and their bytes
 * @throws RealmliftError UPLOAD_EXISTS, UPLOAD_FAILED, and those of {@link checkBucket}
 */
export async function uploadDirectory(target: UploadTarget, directory: string, manifest: string, signal: AbortSignal, onStored: OnStored): Promise<{ objects: number; bytes: number }> {
  return withTarget(target, signal, async (client) => {
    await clear(client, target, manifest, signal);
    let objects = 0;
    let bytes = 0;
    const store = async (path: string, size: number): Promise<void> => {
      await storeFile(client, target, path, join(directory, path), size, signal);
      objects += 1;
      bytes += size;
      await onStored({ key: keyOf(target, path), size });
    };
    const small = filesOf(directory, ({ key, size }) => key !== manifest && size <= ONE_REQUEST);
    for await (const done of inOrder(small, SMALL_AT_ONCE, SMALL_AT_ONCE, async ({ key, size }) => store(key, size))) void done;
    for await (const { key, size } of filesOf(directory, ({ key, size }) => key !== manifest && size > ONE_REQUEST)) await store(key, size);
    await store(manifest, (await stat(join(directory, manifest))).size);
    return { objects, bytes };
  });
}

/**
 * Stores a stream, e.g. a tarball, as one object, which is visible only when the stream has ended well.
 *
 * @param size bytes, where known; 640 GB are the most where not
 * @throws RealmliftError UPLOAD_EXISTS, UPLOAD_FAILED, those of {@link checkBucket}, and the stream's own error
 */
export async function uploadStream(target: UploadTarget, name: string, body: Readable, size: number | undefined, signal: AbortSignal): Promise<void> {
  await withTarget(target, signal, async (client) => {
    await clear(client, target, name, signal);
    await storeStream(client, target, name, body, size === undefined ? STREAM_PART : partSizeFor(size), signal);
  });
}

async function withTarget<T>(target: UploadTarget, signal: AbortSignal, work: (client: S3Client) => Promise<T>): Promise<T> {
  const access = new S3Access(target.connection);
  const client = newS3Client(target.connection);
  try {
    await checkBucket(access, target.bucket, describeServer(target.connection), signal);
    return await work(client);
  } finally {
    client.destroy();
    access.close();
  }
}

/** Refuses a place that is taken, or takes its mark of completeness away. */
async function clear(client: S3Client, target: UploadTarget, mark: string, signal: AbortSignal): Promise<void> {
  const { bucket, prefix, overwrite = false } = target;
  const key = keyOf(target, mark);
  const { Contents: found = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix === '' ? key : `${prefix}/`, MaxKeys: 1 }), { abortSignal: signal });
  if (found.length === 0) return;
  if (!overwrite) throw new RealmliftError('UPLOAD_EXISTS', 'files', `s3://${bucket}/${prefix} is not empty`, { hint: 'choose another prefix, or replace it with --force' });
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
}

async function storeFile(client: S3Client, target: UploadTarget, path: string, file: string, size: number, signal: AbortSignal): Promise<void> {
  if (size > ONE_REQUEST) return storeStream(client, target, path, createReadStream(file), partSizeFor(size), signal);
  try {
    await client.send(new PutObjectCommand({ ...common(target, path), Body: await readFile(file) }), { abortSignal: signal });
  } catch (error) {
    throw failed(target, path, error, signal);
  }
}

async function storeStream(client: S3Client, target: UploadTarget, path: string, body: Readable, partSize: number, signal: AbortSignal): Promise<void> {
  const upload = new Upload({ client, params: { ...common(target, path), Body: body }, partSize, queueSize: PARTS_AT_ONCE, leavePartsOnError: false });
  let bodyError: unknown;
  body.on('error', (error) => (bodyError = error));
  // Not Upload.abort(): it rejects at once and removes the parts behind the caller's back, by a client that is closed then.
  const cut = (): void => void body.destroy(new Error('cut'));
  signal.addEventListener('abort', cut, { once: true });
  try {
    signal.throwIfAborted();
    await upload.done();
  } catch (error) {
    signal.throwIfAborted();
    throw bodyError ?? failed(target, path, error, signal);
  } finally {
    signal.removeEventListener('abort', cut);
    body.destroy();
  }
}

function common({ bucket, prefix, encryption }: UploadTarget, path: string): Omit<PutObjectCommandInput, 'Body'> {
  return {
    Bucket: bucket,
    Key: prefix === '' ? path : `${prefix}/${path}`,
    // The server refuses a body that does not have it.
    ChecksumAlgorithm: 'SHA256',
    ...(encryption === undefined ? {} : { ServerSideEncryption: encryption.kind }),
    ...(encryption?.kind === 'aws:kms' && encryption.keyId !== undefined ? { SSEKMSKeyId: encryption.keyId } : {}),
  };
}

function keyOf({ prefix }: UploadTarget, path: string): string {
  return prefix === '' ? path : `${prefix}/${path}`;
}

function partSizeFor(size: number): number {
  return Math.max(PART, Math.ceil(size / MOST_PARTS));
}

function failed({ bucket }: UploadTarget, path: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const { name, status } = particulars(error);
  return new RealmliftError('UPLOAD_FAILED', 'files', `cannot store ${path} in the bucket ${bucket} (${name}${status === undefined ? '' : `, ${status}`})`, {
    hint: status === 403 ? 'the upload needs s3:PutObject and s3:AbortMultipartUpload below the prefix' : 'nothing below the prefix has a manifest; run again with --force', cause: error,
  });
}

async function* filesOf(directory: string, which: (file: StoredFile) => boolean): AsyncGenerator<StoredFile> {
  for await (const file of sortedWalk(directory, '')) if (which(file)) yield file;
}
