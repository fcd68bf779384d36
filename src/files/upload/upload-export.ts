/**
 * Stores a finished export in S3: every file, and last of all its manifest, so that a prefix without a manifest is never
 * taken for an export. Large files go in parts, of which nothing is visible before all are there; parts of an upload that
 * fails or is cut are removed.
 */
import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { createReadStream, existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { AbortMultipartUploadCommand, CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { RealmliftError } from '../../errors.js';
import { ioReason } from '../../io-reason.js';
import { comparePaths, readManifest } from '../../package/manifest.js';
import { RUN_DIRECTORY } from '../../package/output-directory.js';
import { digestOf } from '../../package/part-file.js';
import { Lost, type StoredFile } from '../file-store.js';
import { inOrder } from '../ordered-pool.js';
import { checkBucket } from '../s3/s3-bucket-check.js';
import { S3Access, describeServer, newS3Client } from '../s3/s3-client.js';
import { particulars } from '../s3/s3-fault.js';
import { ONE_REQUEST, partSizeFor } from '../s3/s3-limits.js';
import { listObjects } from '../s3/s3-listing.js';
import { uploadParts } from '../s3/s3-upload.js';
import { sortedWalk } from '../sorted-walk.js';
import { common, encryptionOf, failed, keyOf, taken, USE, type UploadTarget } from './upload-target.js';

/** What has been stored since the last time: bytes, and objects that are whole. */
export interface Stored {
  readonly objects: number;
  readonly bytes: number;
}

export type OnStored = (stored: Stored) => void;

/** Such requests at once: 32 MiB. */
const SMALL_AT_ONCE = 8;
/** Parts at once: 32 MiB, for one large file at a time. */
const PARTS_AT_ONCE = 4;
/** Bytes of a part of a stream whose length is not known: 640 GB in all. */
const STREAM_PART = 64 << 20;

/**
 * Checks that the bucket can be written and that nothing is in the way of what will be stored: begins an upload in parts,
 * of which nothing can be seen, and takes it back.
 *
 * @param names below the prefix, of directories with a `/` at the end, and of objects
 * @throws RealmliftError UPLOAD_EXISTS, UPLOAD_FAILED, and those of {@link checkBucket}
 */
export async function checkUpload(target: UploadTarget, names: readonly string[], signal: AbortSignal): Promise<void> {
  await withTarget(target, signal, async (access, client) => {
    const name = '.realmlift-check';
    const place = { Bucket: target.bucket, Key: keyOf(target, name) };
    try {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...place, ...encryptionOf(target) }), { abortSignal: signal });
      await client.send(new AbortMultipartUploadCommand({ ...place, UploadId }), { abortSignal: signal });
    } catch (error) {
      throw failed(target, name, error, signal);
    }
    // Of one that is gone on with, only what is whole can be told now: see isStored.
    if (target.overwrite !== true && target.resume !== true) for (const each of names) await refuseTaken(access, target, each, signal);
  });
}

/**
 * Whether an upload that is gone on with came to its end before: what is stored last is there, and is the file here.
 *
 * @param mark its name below the prefix
 * @throws RealmliftError UPLOAD_EXISTS where it is another, UPLOAD_FAILED, and those of {@link checkBucket}
 */
export async function isStored(target: UploadTarget, mark: string, file: string, signal: AbortSignal): Promise<boolean> {
  const hash = createHash('sha256');
  if (!await readStored(target, mark, signal, (chunk) => hash.update(chunk))) return false;
  if (existsSync(file) && (await digestOf(file)).sha256 === hash.digest('hex')) return true;
  throw taken(target, mark);
}

/** What is stored under that name, which must be small; undefined where nothing is. @throws as {@link checkUpload} */
export async function storedText(target: UploadTarget, name: string, signal: AbortSignal): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  return await readStored(target, name, signal, (chunk) => chunks.push(chunk)) ? Buffer.concat(chunks).toString() : undefined;
}

async function readStored(target: UploadTarget, name: string, signal: AbortSignal, onChunk: (chunk: Buffer) => void): Promise<boolean> {
  return withTarget(target, signal, async (_, client) => {
    try {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: target.bucket, Key: keyOf(target, name) }), { abortSignal: signal });
      for await (const chunk of Body as Readable) onChunk(chunk as Buffer);
      return true;
    } catch (error) {
      if (particulars(error).status === 404) return false;
      throw failed(target, name, error, signal);
    }
  });
}

/**
 * Stores the directory's files below the prefix, in a directory `name`, the file `manifest` last.
 *
 * @throws RealmliftError UPLOAD_EXISTS, UPLOAD_FAILED, and those of {@link checkBucket}
 */
export async function uploadDirectory(place: UploadTarget, name: string, directory: string, manifest: string, signal: AbortSignal, onStored: OnStored): Promise<void> {
  await withTarget(place, signal, async (access, client) => {
    if (place.overwrite === true) await clear(access, client, { ...place, prefix: keyOf(place, name) }, manifest, signal);
    else await refuseTaken(access, place, `${name}/`, signal, place.resume === true ? (path) => existsSync(join(directory, path)) : undefined);
    await storeAll(client, place, name, directory, manifest, () => true, signal, onStored);
  });
}

/**
 * Stores what is left of a directory in whose place most files are in S3 already, and empty here; objects that are not of it are removed, those by
 * which an unfinished one could be gone on with at last.
 *
 * @throws as {@link uploadDirectory}
 */
export async function uploadRest(place: UploadTarget, name: string, directory: string, manifest: string, signal: AbortSignal, onStored: OnStored): Promise<void> {
  await withTarget(place, signal, async (access, client) => {
    const target = { ...place, prefix: keyOf(place, name) };
    const stored = (below: string): AsyncGenerator<StoredFile> => listObjects({ access, bucket: place.bucket, prefix: `${target.prefix}/${below}`, directOnly: false, signal });
    for await (const { key } of stored('')) {
      const path = key.slice(target.prefix.length + 1);
      if (!path.startsWith(`${RUN_DIRECTORY}/`) && !existsSync(join(directory, path))) await remove(client, target, key, signal);
    }
    await storeAll(client, place, name, directory, manifest, ({ size }) => size > 0, signal, onStored);
    for await (const { key } of stored(`${RUN_DIRECTORY}/`)) await remove(client, target, key, signal);
  });
}

/** Removes what is below the directories and what was left of uploads there, or refuses it: for exports whose files are stored while they are made. */
export async function beginUpload(place: UploadTarget, names: readonly string[], manifest: string, signal: AbortSignal): Promise<void> {
  await withTarget(place, signal, async (access, client) => {
    for (const name of names) {
      if (place.overwrite === true) await clear(access, client, { ...place, prefix: keyOf(place, name) }, manifest, signal);
      else await refuseTaken(access, place, `${name}/`, signal);
    }
  });
}

async function storeAll(client: S3Client, place: UploadTarget, name: string, directory: string, manifest: string, which: (file: StoredFile) => boolean, signal: AbortSignal, onStored: OnStored): Promise<void> {
  const target = { ...place, prefix: keyOf(place, name) };
  const store = (path: string, size: number): Promise<void> => storeFile(client, target, path, join(directory, path), size, signal, onStored);
  const small = filesOf(directory, manifest, (file) => file.size <= ONE_REQUEST && which(file));
  for await (const done of inOrder(small, SMALL_AT_ONCE, SMALL_AT_ONCE, async ({ key, size }) => store(key, size))) void done;
  for await (const { key, size } of filesOf(directory, manifest, (file) => file.size > ONE_REQUEST && which(file))) await store(key, size);
  await store(manifest, (await stat(join(directory, manifest)).catch(unreadable(manifest))).size);
}

/**
 * Stores a stream, e.g. a tarball, as one object, which is visible only when the stream has ended well.
 *
 * @param size bytes, where known; 640 GB are the most where not
 * @throws RealmliftError UPLOAD_EXISTS, UPLOAD_FAILED, those of {@link checkBucket}, and the stream's own error
 */
export async function uploadStream(target: UploadTarget, name: string, body: Readable, size: number | undefined, signal: AbortSignal, onStored: OnStored): Promise<void> {
  await withTarget(target, signal, async (access, client) => {
    if (target.overwrite !== true && target.resume !== true) await refuseTaken(access, target, name, signal);
    await storeStream(client, target, name, body, size === undefined ? STREAM_PART : partSizeFor(size), signal, onStored);
  });
}

async function withTarget<T>(target: UploadTarget, signal: AbortSignal, work: (access: S3Access, client: S3Client) => Promise<T>): Promise<T> {
  // Each request that waits for its next attempt listens to it.
  setMaxListeners(0, signal);
  const access = new S3Access(target.connection);
  const client = newS3Client(target.connection);
  try {
    await checkBucket(access, target.bucket, describeServer(target.connection), signal, USE);
    return await work(access, client);
  } catch (error) {
    throw error instanceof Lost ? failed(target, 'anything', error.cause ?? error, signal) : error;
  } finally {
    client.destroy();
    access.close();
  }
}

/** @param name see taken @param isOurs whether what is at this path below the name will be replaced; undefined where nothing will */
async function refuseTaken(access: S3Access, target: UploadTarget, name: string, signal: AbortSignal, isOurs?: (path: string) => boolean): Promise<void> {
  const prefix = keyOf(target, name);
  for await (const { key } of listObjects({ access, bucket: target.bucket, prefix, directOnly: false, ...(isOurs === undefined && { pageSize: 1 }), signal })) {
    if (!name.endsWith('/') && key !== prefix) return;
    if (isOurs?.(key.slice(prefix.length)) !== true) throw taken(target, name);
  }
}

/** Removes what is below the prefix, the mark of completeness first. */
async function clear(access: S3Access, client: S3Client, target: UploadTarget, mark: string, signal: AbortSignal): Promise<void> {
  const { bucket, prefix } = target;
  await remove(client, target, keyOf(target, mark), signal);
  const left = listObjects({ access, bucket, prefix: `${prefix}/`, directOnly: false, signal });
  for await (const done of inOrder(left, SMALL_AT_ONCE, SMALL_AT_ONCE, async ({ key }) => remove(client, target, key, signal))) void done;
}

async function remove(client: S3Client, target: UploadTarget, key: string, signal: AbortSignal): Promise<void> {
  try {
    await client.send(new DeleteObjectCommand({ Bucket: target.bucket, Key: key }), { abortSignal: signal });
  } catch (error) {
    throw failed(target, key, error, signal);
  }
}

async function storeFile(client: S3Client, target: UploadTarget, path: string, file: string, size: number, signal: AbortSignal, onStored: OnStored): Promise<void> {
  if (size > ONE_REQUEST) {
    return storeStream(client, target, path, createReadStream(file), partSizeFor(size), signal, onStored).catch((error: unknown) => {
      signal.throwIfAborted();
      return unreadable(path)(error);
    });
  }
  const content = await readFile(file).catch(unreadable(path));
  try {
    await client.send(new PutObjectCommand({ ...common(target, path), Body: content }), { abortSignal: signal });
    onStored({ objects: 1, bytes: size });
  } catch (error) {
    throw failed(target, path, error, signal);
  }
}

async function storeStream(client: S3Client, target: UploadTarget, path: string, body: Readable, partSize: number, signal: AbortSignal, onStored: OnStored): Promise<void> {
  let told = 0;
  await uploadParts(client, { params: { ...common(target, path), Body: body }, partSize, queueSize: PARTS_AT_ONCE }, (error) => failed(target, path, error, signal), signal, (bytes) => {
    onStored({ objects: 0, bytes: bytes - told });
    told = bytes;
  });
  onStored({ objects: 1, bytes: 0 });
}

/** What is wrong with a file that is to be stored is no fault of the server. */
function unreadable(path: string): (cause: unknown) => never {
  return (cause) => {
    throw cause instanceof RealmliftError ? cause : cannotRead(path, ioReason(cause), cause);
  };
}

function cannotRead(path: string, why: string, cause?: unknown): RealmliftError {
  return new RealmliftError('UPLOAD_FAILED', 'files', `${path} cannot be read to be stored: ${why}`, { hint: 'is the directory of the export still there, and its disk in order?', cause });
}

/** The directory's files but for the manifest, of whose list none may have gone: without one of them the stored export would look whole. */
async function* filesOf(directory: string, manifest: string, which: (file: StoredFile) => boolean): AsyncGenerator<StoredFile> {
  const { files: listed } = await readManifest(join(directory, manifest)).catch(unreadable(manifest));
  let next = await listed.next();
  for await (const file of sortedWalk(directory, '')) {
    if (next.done !== true && comparePaths(next.value.path, file.key) < 0) break;
    if (next.done !== true && next.value.path === file.key) next = await listed.next();
    if (file.key !== manifest && which(file)) yield file;
  }
  if (next.done !== true) throw cannotRead(next.value.path, `${manifest} names it, and it has gone`);
}
