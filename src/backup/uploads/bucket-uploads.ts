/** Uploads in S3: every object of the two buckets, with what S3 knows of it. */
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import { buffer } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { Lost } from '../../files/file-store.js';
import type { S3Access } from '../../files/s3/s3-client.js';
import { BadResponse, meaningOf } from '../../files/s3/s3-fault.js';
import { listObjects } from '../../files/s3/s3-listing.js';
import { asListed, type ListedFile, type ObjectAttributes, type OnLostUpload, type UploadContent, type UploadSource, type UploadedFile } from './upload-source.js';

/** Bytes asked for at a time: a request that fails is repeated as a whole, and held in memory until it has come. */
const RANGE = 8 * 1024 * 1024;

export class BucketUploads implements UploadSource {
  readonly kind = 'buckets';
  readonly #access: S3Access;
  readonly #buckets: Readonly<Record<'uploads' | 'avatars', string>>;
  readonly #signal: AbortSignal;

  constructor(access: S3Access, buckets: Readonly<Record<'uploads' | 'avatars', string>>, signal: AbortSignal) {
    this.#access = access;
    this.#buckets = buckets;
    this.#signal = signal;
  }

  async *files(onLost: OnLostUpload): AsyncGenerator<UploadedFile> {
    for (const role of ['uploads', 'avatars'] as const) {
      const bucket = this.#buckets[role];
      try {
        for await (const { key, size, lastModified } of listObjects({ access: this.#access, bucket, prefix: '', directOnly: false, signal: this.#signal })) {
          yield { name: `${role}/${key}`, size, modified: Math.floor(Date.parse(lastModified ?? '') / 1000), read: () => this.#read(bucket, key, size) };
        }
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        // Not `absent`: it is not known what was there.
        onLost({ name: `${role}/`, reason: error.reason === 'absent' ? 'fault' : error.reason, detail: `the listing broke off: ${error.message}` });
      }
    }
  }

  file(listed: ListedFile): UploadedFile {
    const [role = '', ...key] = listed.name.split('/');
    return { ...listed, read: async () => asListed(listed, await this.#read(this.#buckets[role as 'uploads' | 'avatars'], key.join('/'), listed.size)) };
  }

  async #read(bucket: string, key: string, listed: number): Promise<UploadContent> {
    try {
      // Of an empty object no range can be had.
      const first = await this.#get(bucket, key, listed === 0 ? {} : { Range: `bytes=0-${RANGE - 1}` });
      const size = Number(/\/(\d+)$/.exec(first.answer.ContentRange ?? '')?.[1] ?? first.body.length);
      return { size, modified: (first.answer.LastModified?.getTime() ?? 0) / 1000, attributes: attributesOf(first.answer), chunks: this.#rest(bucket, key, size, first) };
    } catch (error) {
      throw lossOf(error);
    }
  }

  async *#rest(bucket: string, key: string, size: number, first: { answer: GetObjectCommandOutput; body: Buffer }): AsyncGenerator<Buffer> {
    yield first.body;
    for (let at = first.body.length; at < size; at += RANGE) {
      try {
        yield (await this.#get(bucket, key, { Range: `bytes=${at}-${Math.min(at + RANGE, size) - 1}`, ...(first.answer.ETag === undefined ? {} : { IfMatch: first.answer.ETag }) })).body;
      } catch (error) {
        throw lossOf(error);
      }
    }
  }

  #get(bucket: string, key: string, options: { Range?: string; IfMatch?: string }): Promise<{ answer: GetObjectCommandOutput; body: Buffer }> {
    return this.#access.request(this.#signal, async (client: S3Client, watch: AbortSignal) => {
      const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...options }), { abortSignal: watch });
      const body = await buffer(answer.Body as Readable);
      if (answer.ContentLength !== undefined && body.length !== answer.ContentLength) throw new BadResponse(`${body.length} of ${answer.ContentLength} bytes came`);
      return { answer, body };
    });
  }
}

function attributesOf({ ContentType, ContentDisposition, ContentEncoding, ContentLanguage, CacheControl, Metadata }: GetObjectCommandOutput): ObjectAttributes {
  return {
    ...(ContentType === undefined ? {} : { contentType: ContentType }),
    ...(ContentDisposition === undefined ? {} : { contentDisposition: ContentDisposition }),
    ...(ContentEncoding === undefined ? {} : { contentEncoding: ContentEncoding }),
    ...(ContentLanguage === undefined ? {} : { contentLanguage: ContentLanguage }),
    ...(CacheControl === undefined ? {} : { cacheControl: CacheControl }),
    ...(Metadata === undefined ? {} : { metadata: Metadata }),
  };
}

/** An object that was replaced while it was read may be had at another attempt. */
function lossOf(error: unknown): unknown {
  const meaning = meaningOf(error);
  return meaning.kind === 'restart' ? new Lost('changed', meaning.error.message, error) : error;
}
