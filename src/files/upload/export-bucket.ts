/**
 * A bucket in which several machines store the files of an export. What a machine stores is an upload in parts, of which nothing can be seen before it is
 * completed, and only the machine that answers for the export completes one: whatever another does that was given up long ago, nothing comes of it.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
 */
import { open, stat } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import type { CompletedPart } from '@aws-sdk/client-s3';
import {
  CompleteMultipartUploadCommand, CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand, UploadPartCommand, UploadPartCopyCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Lost, type CopySource, type StoredFile } from '../file-store.js';
import { RequestLimiter } from '../s3/request-limiter.js';
import { newS3Client, S3Access } from '../s3/s3-client.js';
import { particulars } from '../s3/s3-fault.js';
import { ONE_COPY, partSizeFor } from '../s3/s3-limits.js';
import { listObjects } from '../s3/s3-listing.js';
import { giveUpUpload, giveUpUploads, tidily } from '../s3/s3-pending.js';
import { common, encryptionOf, failed, keyOf, type UploadTarget } from './upload-target.js';

/** An object that is stored and not yet there. Its name is that below the target's prefix. */
export interface PendingObject {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Undefined for one without bytes, of which nothing is stored before. */
  readonly upload: string | undefined;
  readonly parts: readonly { readonly etag: string; readonly sha256?: string | undefined }[];
}

/** Parts in memory at once: 64 MiB. */
const PARTS_AT_ONCE = 8;

/** Bytes that the server copies by one request, of an object that is too large for one. */
const COPIED_AT_ONCE = 2 ** 30;

export class ExportBucket {
  readonly target: UploadTarget;
  readonly #client: S3Client;
  readonly #turns = new RequestLimiter(PARTS_AT_ONCE);

  constructor(target: UploadTarget) {
    this.target = target;
    this.#client = newS3Client(target.connection);
  }

  /** Stores a file. @throws RealmliftError UPLOAD_FAILED; the file system's own error */
  async put(name: string, path: string, signal: AbortSignal): Promise<PendingObject> {
    const { size } = await stat(path);
    if (size === 0) return { name, size, upload: undefined, parts: [] };
    const file = await open(path, 'r');
    try {
      const partSize = partSizeFor(size);
      return await this.#inParts(name, size, partSize, signal, (upload, number) => this.#turns.run(async () => {
        const start = (number - 1) * partSize;
        const { buffer } = await file.read(Buffer.allocUnsafe(Math.min(partSize, size - start)), 0, undefined, start);
        const ChecksumSHA256 = createHash('sha256').update(buffer).digest('base64');
        const { ETag: etag = '' } = await this.#client.send(new UploadPartCommand({ ...upload, PartNumber: number, Body: buffer, ChecksumSHA256 }), { abortSignal: signal });
        return { etag, sha256: ChecksumSHA256 };
      }));
    } finally {
      await file.close();
    }
  }

  /**
   * Has the server copy an object, as long as it has its ETag.
   * @returns with the SHA-256 of its bytes in hexadecimal, where the server tells it
   * @throws RealmliftError UPLOAD_FAILED
   */
  async copy(name: string, { bucket, key, etag, size }: CopySource, signal: AbortSignal): Promise<{ pending: PendingObject; sha256: string | undefined }> {
    const partSize = size > ONE_COPY ? Math.max(COPIED_AT_ONCE, partSizeFor(size)) : size;
    const source = { CopySource: `${bucket}/${encodeURIComponent(key).replaceAll('%2F', '/')}`, CopySourceIfMatch: etag };
    const pending = await this.#inParts(name, size, partSize, signal, async (upload, number) => {
      const [start, end] = [(number - 1) * partSize, Math.min(size, number * partSize) - 1];
      const range = partSize < size ? { CopySourceRange: `bytes=${start}-${end}` } : {};
      const { CopyPartResult: { ETag = '', ChecksumSHA256 } = {} } = await this.#client.send(new UploadPartCopyCommand({ ...upload, ...source, ...range, PartNumber: number }), { abortSignal: signal });
      return { etag: ETag, sha256: ChecksumSHA256 };
    });
    const [whole] = pending.parts;
    return { pending, sha256: pending.parts.length > 1 || whole?.sha256 === undefined ? undefined : Buffer.from(whole.sha256, 'base64').toString('hex') };
  }

  /** Makes it an object. @returns its ETag @throws RealmliftError UPLOAD_FAILED, also when the upload was given up */
  async complete({ name, upload, parts }: PendingObject, signal: AbortSignal): Promise<string> {
    return this.#try(name, signal, async () => {
      if (upload === undefined) return (await this.#client.send(new PutObjectCommand({ ...common(this.target, name), Body: '' }), { abortSignal: signal })).ETag ?? '';
      const Parts = parts.map(({ etag, sha256 }, index): CompletedPart => ({ PartNumber: index + 1, ETag: etag, ...(sha256 === undefined ? {} : { ChecksumSHA256: sha256 }) }));
      return (await this.#client.send(new CompleteMultipartUploadCommand({ ...this.#place(name), UploadId: upload, MultipartUpload: { Parts } }), { abortSignal: signal })).ETag ?? '';
    });
  }

  /** Gives up what was stored. Never throws: what remains is removed with all that is left in the end. */
  async giveUp({ name, upload }: Pick<PendingObject, 'name' | 'upload'>): Promise<void> {
    if (upload !== undefined) await giveUpUpload(this.#client, { ...this.#place(name), UploadId: upload });
  }

  /** Gives up all that is pending below a name that ends in `/`, as far as the server lists it. @returns false where the server does not answer */
  giveUpAll(below: string): Promise<boolean> {
    return giveUpUploads(this.#client, this.target.bucket, keyOf(this.target, below));
  }

  /** Whether the object is there with this ETag and so many bytes. */
  async holds(name: string, size: number, etag: string | undefined, signal: AbortSignal): Promise<boolean> {
    if (etag === undefined) return false;
    return this.#try(name, signal, async () => {
      const found = await this.#client.send(new HeadObjectCommand(this.#place(name)), { abortSignal: signal }).catch(unlessAbsent);
      return found?.ETag === etag && found.ContentLength === size;
    });
  }

  /** What is below a name that ends in `/`; keys are what follows that name. @throws RealmliftError UPLOAD_FAILED */
  async* list(below: string, signal: AbortSignal): AsyncGenerator<StoredFile> {
    const access = new S3Access(this.target.connection);
    const prefix = keyOf(this.target, below);
    try {
      for await (const object of listObjects({ access, bucket: this.target.bucket, prefix, directOnly: false, signal })) yield { ...object, key: object.key.slice(prefix.length) };
    } catch (error) {
      throw error instanceof Lost ? failed(this.target, below, error.cause ?? error, signal) : error;
    } finally {
      access.close();
    }
  }

  /** Stores a small object at once. @returns its ETag */
  async write(name: string, content: Uint8Array | string, signal: AbortSignal): Promise<string> {
    return this.#try(name, signal, async () => (await this.#client.send(new PutObjectCommand({ ...common(this.target, name), Body: content }), { abortSignal: signal })).ETag ?? '');
  }

  /** A small object; undefined where there is none. */
  async read(name: string, signal: AbortSignal): Promise<Buffer | undefined> {
    return this.#try(name, signal, async () => {
      const found = await this.#client.send(new GetObjectCommand(this.#place(name)), { abortSignal: signal }).catch(unlessAbsent);
      return found === undefined ? undefined : Buffer.from(await found.Body?.transformToByteArray() ?? []);
    });
  }

  /** Removes an object, if it is there and this machine may. */
  async remove(name: string): Promise<void> {
    await tidily((signal) => this.#client.send(new DeleteObjectCommand(this.#place(name)), { abortSignal: signal }));
  }

  close(): void {
    this.#client.destroy();
  }

  #place(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.target.bucket, Key: keyOf(this.target, name) };
  }

  async #inParts(name: string, size: number, partSize: number, signal: AbortSignal, part: (upload: { Bucket: string; Key: string; UploadId: string }, number: number) => Promise<PendingObject['parts'][number]>): Promise<PendingObject> {
    return this.#try(name, signal, async () => {
      const place = this.#place(name);
      // Whatever happens meanwhile: what has begun on the server can be given up only by the id that it tells.
      const { UploadId = '' } = await this.#client.send(new CreateMultipartUploadCommand({ ...place, ChecksumAlgorithm: 'SHA256', ...encryptionOf(this.target) }));
      const settled = await Promise.allSettled(Array.from({ length: Math.ceil(size / partSize) }, (_, index) => part({ ...place, UploadId }, index + 1)));
      const failure = settled.find((each) => each.status === 'rejected');
      if (failure === undefined) return { name, size, upload: UploadId, parts: settled.map((each) => (each as PromiseFulfilledResult<PendingObject['parts'][number]>).value) };
      await this.giveUp({ name, upload: UploadId });
      throw failure.reason;
    });
  }

  async #try<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      signal.throwIfAborted();
      return await work();
    } catch (error) {
      throw failed(this.target, name, error, signal);
    }
  }
}

function unlessAbsent(error: unknown): undefined {
  const { name, status } = particulars(error);
  if (name !== 'NoSuchKey' && name !== 'NotFound' && status !== 404) throw error;
}
