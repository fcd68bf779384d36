/** The new server's two buckets. What lies in a bucket of the same provider is copied there, without coming here. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { CopyObjectCommand, DeleteObjectCommand, type PutObjectCommandInput, type S3Client } from '@aws-sdk/client-s3';
import type { UploadPlace } from '../../files/upload/upload-place.js';
import { RealmliftError } from '../../errors.js';
import { Lost } from '../../files/file-store.js';
import { checkBucket, type BucketUse } from '../../files/s3/s3-bucket-check.js';
import { describeServer, newS3Client, S3Access } from '../../files/s3/s3-client.js';
import { isSilence, particulars, s3Reason } from '../../files/s3/s3-fault.js';
import { ONE_COPY, ONE_REQUEST, partSizeFor } from '../../files/s3/s3-limits.js';
import { listObjects } from '../../files/s3/s3-listing.js';
import { putObject } from '../../files/s3/s3-put.js';
import { uploadParts } from '../../files/s3/s3-upload.js';
import { Mutex } from '../../mutex.js';
import { contentOf } from './file-content.js';
import type { FileTarget, SourceBuckets } from './file-target.js';
import type { FileAttributes, PlannedFile } from './file-plan.js';

type Area = PlannedFile['area'];

const USE: BucketUse = { settings: 'S3_UPLOADS_BUCKET, S3_AVATARS_BUCKET', rights: 'a load needs s3:ListBucket on both buckets and s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on their objects' };

export class BucketFiles implements FileTarget {
  readonly description: string;
  readonly #buckets: Readonly<Record<Area, string>>;
  readonly #from: Readonly<Record<Area, string>> | undefined;
  readonly #server: string;
  readonly #access: S3Access;
  /** Repeats by itself, and sees each byte of a connection: for uploads in parts, and for copies, of which a provider tells by single bytes that they go on. */
  readonly #client: S3Client;
  /** Large files at once: each holds several parts. */
  readonly #large = new Mutex();

  constructor({ connection, uploads, avatars }: Extract<UploadPlace, { kind: 'buckets' }>, jobs: number, from: SourceBuckets | undefined) {
    this.description = `s3://${uploads} and s3://${avatars}`;
    this.#buckets = { files: uploads, avatars };
    this.#from = from === undefined ? undefined : { files: from.uploads, avatars: from.avatars };
    this.#server = describeServer(connection);
    this.#access = new S3Access({ ...connection, jobs });
    this.#client = newS3Client({ ...connection, jobs });
  }

  async open(signal: AbortSignal): Promise<void> {
    for (const bucket of new Set([...Object.values(this.#buckets), ...Object.values(this.#from ?? {})])) await checkBucket(this.#access, bucket, this.#server, signal, USE);
  }

  async has(area: Area, prefix: string, signal: AbortSignal): Promise<boolean> {
    for await (const found of this.#list(area, prefix, signal, 1)) return found !== undefined;
    return false;
  }

  async put(file: PlannedFile, from: string, signal: AbortSignal): Promise<void> {
    if (await this.#copied(file, from, signal)) return;
    const { area, key, size, attributes } = file;
    if (size <= ONE_REQUEST) return this.write(area, key, await buffer(contentOf(file, from)), attributes, signal);
    await this.#large.run(() => this.#parts(file, from, signal));
  }

  async write(area: Area, key: string, content: Buffer, attributes: FileAttributes, signal: AbortSignal): Promise<void> {
    await this.#request(area, key, signal, (client, watch, alive) => putObject(client, { ...this.#object(area, key, attributes), Body: content, ChecksumAlgorithm: 'SHA256' }, watch, alive));
  }

  async remove(area: Area, prefixes: readonly string[], keys: readonly string[], signal: AbortSignal): Promise<number> {
    let removed = 0;
    const remove = async (key: string): Promise<void> => {
      await this.#request(area, key, signal, (client, watch) => client.send(new DeleteObjectCommand({ Bucket: this.#buckets[area], Key: key }), { abortSignal: watch }));
      removed++;
    };
    for (const key of keys) await remove(key);
    for (const prefix of prefixes) for await (const key of this.#list(area, prefix, signal)) await remove(key);
    return removed;
  }

  close(): void {
    this.#client.destroy();
    this.#access.close();
  }

  /** By the provider, if the object there is the one of the export. */
  async #copied(file: PlannedFile, from: string, signal: AbortSignal): Promise<boolean> {
    const { area, oldKey, key, size, attributes } = file;
    if (this.#from === undefined || oldKey === undefined || size > ONE_COPY) return false;
    const digest = createHash('md5');
    for await (const chunk of contentOf(file, from)) digest.update(chunk);
    const source = `${this.#from[area]}/${oldKey.split('/').map(encodeURIComponent).join('/')}`;
    try {
      await this.#client.send(new CopyObjectCommand({
        // An object that was stored in parts has another ETag, and is sent.
        ...this.#object(area, key, attributes), CopySource: source, CopySourceIfMatch: `"${digest.digest('hex')}"`, MetadataDirective: 'REPLACE',
      }), { abortSignal: signal });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      // What does not answer would not take it either.
      if (particulars(error).status === undefined) throw this.#failed('store', area, key, error);
      return false;
    }
  }

  async #parts(file: PlannedFile, from: string, signal: AbortSignal): Promise<void> {
    const { area, key, size, attributes } = file;
    // Its content is held to the manifest before the last part is finished, so that nothing of another is ever seen.
    const body = Readable.from(contentOf(file, from));
    const params = { ...this.#object(area, key, attributes), Body: body, ChecksumAlgorithm: 'SHA256' } as const;
    await uploadParts(this.#client, { params, partSize: partSizeFor(size) }, (error) => this.#failed('store', area, key, error), signal);
  }

  #object(area: Area, key: string, { contentType, contentDisposition, cacheControl, metadata }: FileAttributes): Omit<PutObjectCommandInput, 'Body'> & { Bucket: string; Key: string } {
    return {
      Bucket: this.#buckets[area], Key: key, ContentType: contentType, Metadata: { ...metadata },
      ...(contentDisposition === undefined ? {} : { ContentDisposition: contentDisposition }), ...(cacheControl === undefined ? {} : { CacheControl: cacheControl }),
    };
  }

  async #request<T>(area: Area, key: string, signal: AbortSignal, request: (client: S3Client, watch: AbortSignal, alive: () => void) => Promise<T>): Promise<T> {
    try {
      return await this.#access.request(signal, request);
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof RealmliftError ? error : this.#failed('store', area, key, error instanceof Lost ? error.cause ?? error : error);
    }
  }

  async *#list(area: Area, prefix: string, signal: AbortSignal, pageSize?: number): AsyncGenerator<string> {
    try {
      for await (const { key } of listObjects({ access: this.#access, bucket: this.#buckets[area], prefix, directOnly: false, ...(pageSize === undefined ? {} : { pageSize }), signal })) yield key;
    } catch (error) {
      throw error instanceof Lost ? this.#failed('list', area, prefix, error.cause ?? error) : error;
    }
  }

  #failed(doing: 'list' | 'store', area: Area, key: string, error: unknown): RealmliftError {
    const { status } = particulars(error);
    return new RealmliftError('UPLOAD_FAILED', 'load', `cannot ${doing} ${key} in the bucket ${this.#buckets[area]} (${s3Reason(error)})`, {
      hint: status === 403 || status === 400 ? USE.rights : isSilence(error) ? 'check S3_ENDPOINT and that the server is up and has room; over a slow line take fewer --file-jobs' : 'check S3_ENDPOINT and that the server is up and has room', cause: error,
    });
  }
}
