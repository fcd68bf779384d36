/**
 * Objects staged in a bucket: uploads in parts that their machine does not complete.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
 */
import { createHash } from 'node:crypto';
import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand, type S3Client } from '@aws-sdk/client-s3';
import { RealmliftError } from '../../errors.js';
import { inOrder } from '../../files/ordered-pool.js';
import { PART } from '../../files/s3/s3-limits.js';
import { giveUpUpload, giveUpUploads } from '../../files/s3/s3-pending.js';
import type { StagedObject, Staging } from './staging.js';

/** Parts of one object that are under way at once; each is held in memory. */
export const UPLOAD_QUEUE = 2;

interface Part {
  readonly etag: string;
  readonly sha256: string;
}

export class BucketStaging implements Staging {
  readonly #client: S3Client;
  readonly #bucket: string;
  /** Ends with a slash. */
  readonly #prefix: string;
  readonly #error: (error: unknown, doing: string) => unknown;

  /** @param error puts what S3 said into words */
  constructor(client: S3Client, bucket: string, prefix: string, error: (error: unknown, doing: string) => unknown) {
    this.#client = client;
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#error = error;
  }

  begin(): Promise<void> {
    return Promise.resolve();
  }

  async stage(name: string, content: AsyncIterable<Uint8Array>): Promise<StagedObject> {
    const { UploadId: id = '' } = await this.#try(name, () => this.#client.send(new CreateMultipartUploadCommand({ ...this.#place(name), ChecksumAlgorithm: 'SHA256' })));
    const parts: Part[] = [];
    let size = 0;
    try {
      const upload = ({ number, body }: Piece): Promise<Part> => this.#try(name, async () => {
        const sha256 = createHash('sha256').update(body).digest('base64');
        size += body.length;
        const { ETag: etag = '' } = await this.#client.send(new UploadPartCommand({ ...this.#place(name), UploadId: id, PartNumber: number, Body: body, ChecksumSHA256: sha256 }));
        return { etag, sha256 };
      });
      for await (const part of inOrder(pieces(content), UPLOAD_QUEUE, UPLOAD_QUEUE, upload)) parts.push(part);
      return { name, size, upload: { id, parts } };
    } catch (error) {
      await this.giveUp({ name, size, upload: { id, parts } });
      throw error;
    }
  }

  async complete({ name, upload }: StagedObject): Promise<void> {
    if (upload === undefined) throw new RealmliftError('PART_NOT_THERE', 'backup', `a worker has not stored ${name} as it was to`, { hint: 'use the same version of realmlift everywhere' });
    const Parts = upload.parts.map(({ etag, sha256 }, index) => ({ PartNumber: index + 1, ETag: etag, ChecksumSHA256: sha256 }));
    await this.#try(name, () => this.#client.send(new CompleteMultipartUploadCommand({ ...this.#place(name), UploadId: upload.id, MultipartUpload: { Parts } })));
  }

  async giveUp({ name, upload }: StagedObject): Promise<void> {
    if (upload !== undefined) await giveUpUpload(this.#client, { ...this.#place(name), UploadId: upload.id });
  }

  /** What cannot be seen is paid for. Not every server can list it; then the bucket's own rules end it. */
  async end(): Promise<void> {
    await giveUpUploads(this.#client, this.#bucket, this.#prefix);
  }

  #place(name: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + name };
  }

  async #try<T>(name: string, request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      throw this.#error(error, `cannot write s3://${this.#bucket}/${this.#prefix}${name}`);
    }
  }
}

interface Piece {
  readonly number: number;
  readonly body: Buffer;
}

/** Chunks hold their bytes only until the next is asked for: they are gathered. */
async function* pieces(content: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  let number = 1;
  let body = Buffer.allocUnsafe(PART);
  let used = 0;
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length;) {
      if (used === PART) {
        yield { number, body };
        number += 1;
        body = Buffer.allocUnsafe(PART);
        used = 0;
      }
      const taken = chunk.subarray(at, at + PART - used);
      body.set(taken, used);
      used += taken.length;
      at += taken.length;
    }
  }
  if (used > 0) yield { number, body: body.subarray(0, used) };
}
