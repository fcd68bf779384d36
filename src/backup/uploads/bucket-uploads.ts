/** Uploads in S3: every object of the two buckets, with what S3 knows of it. */
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { Lost } from '../../files/file-store.js';
import type { S3Access } from '../../files/s3/s3-client.js';
import { contentCheck } from '../../files/s3/object-checksum.js';
import { Corrupt, meaningOf } from '../../files/s3/s3-fault.js';
import { listObjects } from '../../files/s3/s3-listing.js';
import { getRange, type Range } from '../../files/s3/s3-range.js';
import { asListed, type ListedFile, type ObjectAttributes, type OnLostUpload, type UploadContent, type UploadSource, type UploadedFile } from './upload-source.js';

export class BucketUploads implements UploadSource {
  readonly kind = 'buckets';
  readonly #access: S3Access;
  readonly #buckets: Readonly<Record<'uploads' | 'avatars', string>>;
  readonly #etagsAreMd5: boolean;
  readonly #signal: AbortSignal;

  constructor(access: S3Access, buckets: Readonly<Record<'uploads' | 'avatars', string>>, etagsAreMd5: boolean, signal: AbortSignal) {
    this.#access = access;
    this.#buckets = buckets;
    this.#etagsAreMd5 = etagsAreMd5;
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
      const first = await this.#get(bucket, key, listed === 0 ? undefined : 0);
      return { size: first.size, modified: (first.answer.LastModified?.getTime() ?? 0) / 1000, attributes: attributesOf(first.answer), chunks: this.#whole(bucket, key, first) };
    } catch (error) {
      throw lossOf(error);
    }
  }

  async *#whole(bucket: string, key: string, first: Range): AsyncGenerator<Buffer> {
    const { answer: { ETag, ServerSideEncryption, SSECustomerAlgorithm }, body, size } = first;
    yield body;
    if (body.length === size) return;
    // A checksum that is stored may be one of the range.
    const check = contentCheck({ ETag, ServerSideEncryption, SSECustomerAlgorithm }, this.#etagsAreMd5);
    check.update(body);
    try {
      for (let at = body.length; at < size;) {
        const next = await this.#get(bucket, key, at, first);
        check.update(next.body);
        yield next.body;
        at += next.body.length;
      }
      await check.confirm();
    } catch (error) {
      throw lossOf(error);
    }
  }

  #get(bucket: string, key: string, at: number | undefined, first?: Range): Promise<Range> {
    return this.#access.request(this.#signal, async (client, watch, alive) => {
      const range = await getRange(client, { bucket, key, first }, at, watch, alive);
      if (range.body.length === range.size) {
        const check = contentCheck(range.answer, this.#etagsAreMd5);
        check.update(range.body);
        await check.confirm();
      }
      return range;
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
  if (error instanceof Corrupt) return new Lost('corrupt', error.message, error);
  const meaning = meaningOf(error);
  return meaning.kind === 'restart' ? new Lost('changed', meaning.error.message, error) : error;
}
