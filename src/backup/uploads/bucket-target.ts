/** Two buckets that files are restored into, each object with the attributes that it had. */
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { RealmliftError } from '../../errors.js';
import { newS3Client } from '../../files/s3/s3-client.js';
import type { S3Connection } from '../../files/s3/s3-client.js';
import { credentialsRefused, meaningOf, particulars, s3Reason } from '../../files/s3/s3-fault.js';
import { uploadParts } from '../../files/s3/s3-upload.js';
import type { ArchivedFile } from './upload-archive.js';
import type { UploadTarget } from './upload-target.js';

const NOTE = 'realmlift-restore.json';
export interface BucketTargetSettings {
  readonly connection: S3Connection;
  readonly uploads: string;
  readonly avatars: string;
}

export class BucketTarget implements UploadTarget {
  readonly kind = 'buckets';
  readonly description: string;
  readonly #client: S3Client;
  readonly #buckets: Readonly<Record<string, string>>;

  constructor({ connection, uploads, avatars }: BucketTargetSettings) {
    this.description = `the bucket ${uploads} or ${avatars}`;
    this.#buckets = { uploads, avatars };
    this.#client = newS3Client(connection);
  }

  async isEmpty(): Promise<boolean> {
    for (const bucket of Object.values(this.#buckets)) {
      const { KeyCount = 0 } = await this.#do(() => this.#client.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 })));
      if (KeyCount > 0) return false;
    }
    return true;
  }

  async put({ name, attributes }: ArchivedFile, content: Readable): Promise<void> {
    const at = name.indexOf('/');
    const bucket = this.#buckets[name.slice(0, at)];
    if (bucket === undefined) throw new RealmliftError('UPLOADS_NAME', 'restore', 'the backup holds a file of neither bucket');
    const { contentType, contentDisposition, contentEncoding, contentLanguage, cacheControl, metadata } = attributes;
    await uploadParts(this.#client, {
      params: {
        Bucket: bucket, Key: name.slice(at + 1), Body: content, ChecksumAlgorithm: 'SHA256', ContentType: contentType, ContentDisposition: contentDisposition, ContentEncoding: contentEncoding,
        ContentLanguage: contentLanguage, CacheControl: cacheControl, Metadata: metadata === undefined ? undefined : { ...metadata },
      },
    }, (error) => this.#failed(error));
  }

  async readNote(): Promise<string | undefined> {
    return this.#do(async () => {
      try {
        return await text((await this.#client.send(new GetObjectCommand(this.#note))).Body as Readable);
      } catch (error) {
        if (particulars(error).name === 'NoSuchKey') return undefined;
        throw error;
      }
    });
  }

  async writeNote(note: string | undefined): Promise<void> {
    await this.#do(async () => {
      if (note === undefined) await this.#client.send(new DeleteObjectCommand(this.#note));
      else await this.#client.send(new PutObjectCommand({ ...this.#note, Body: note, ChecksumAlgorithm: 'SHA256' }));
    });
  }

  get #note(): { Bucket: string; Key: string } {
    return { Bucket: this.#buckets.uploads as string, Key: NOTE };
  }

  async #do<T>(request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #failed(error: unknown): unknown {
    const meaning = meaningOf(error);
    if (meaning.kind === 'credentials') return credentialsRefused(particulars(error).name, error);
    return meaning.kind === 'fatal' ? meaning.error : new RealmliftError('S3_FAILED', 'restore', `${this.description}: ${s3Reason(error)}`, { hint: 'check S3_ENDPOINT and the rights', again: true, cause: error });
  }
}
