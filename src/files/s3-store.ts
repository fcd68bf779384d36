/** Files in S3: one bucket of uploads, and one of avatars, which also holds emoji, icons and logos. */
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RealmliftError } from '../errors.js';
import type { Candidate, Fetched, FileStore, ObjectInfo } from './file-store.js';
import { Lost } from './file-store.js';
import type { FileRecord } from './records.js';
import { s3Candidates } from './s3-candidates.js';
import type { S3Connection } from './s3-client.js';
import { S3Access } from './s3-client.js';
import { BadResponse, Corrupt, credentialsRefused, particulars } from './s3-fault.js';
import { listObjects } from './s3-listing.js';
import type { Area, WantedFiles } from './wanted-files.js';

export interface S3StoreSettings extends S3Connection {
  /** Zulip's S3_AUTH_UPLOADS_BUCKET. */
  readonly uploadsBucket: string;
  /** Zulip's S3_AVATAR_BUCKET. */
  readonly avatarsBucket: string;
}

/**
 * Opens the two buckets and checks that they can be listed: without that right S3 answers 403 for an object that is not
 * there, and nothing could be told about it.
 *
 * @throws RealmliftError S3_CREDENTIALS_MISSING, S3_CREDENTIALS_REFUSED, S3_UNREACHABLE, S3_CERTIFICATE, BUCKET_MISSING, BUCKET_FORBIDDEN
 */
export async function openS3Store(settings: S3StoreSettings): Promise<FileStore> {
  const access = new S3Access(settings);
  const where = settings.endpoint === undefined ? 'AWS' : new URL(settings.endpoint).host;
  try {
    for (const bucket of new Set([settings.uploadsBucket, settings.avatarsBucket])) await checkBucket(access, bucket, where);
  } catch (error) {
    access.close();
    throw error;
  }
  return new S3Store(access, settings, where);
}

async function checkBucket(access: S3Access, bucket: string, where: string): Promise<void> {
  try {
    await access.request(new AbortController().signal, (client, signal) => client.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 }), { abortSignal: signal }));
  } catch (error) {
    const cause = error instanceof Lost ? error.cause : error;
    if (error instanceof RealmliftError && error.code !== 'BUCKET_MISSING') throw error;
    const { name, status, code } = particulars(error instanceof RealmliftError ? error.cause : cause);
    if (name === 'NoSuchBucket' || status === 404) {
      throw new RealmliftError('BUCKET_MISSING', 'files', `there is no bucket ${bucket} at ${where}`, { hint: 'check S3_UPLOADS_BUCKET, S3_AVATARS_BUCKET, S3_ENDPOINT and S3_REGION', cause });
    }
    if (status === 401 || status === 403) {
      throw new RealmliftError('BUCKET_FORBIDDEN', 'files', `no right to list the bucket ${bucket} at ${where}`, { hint: 'the export needs s3:ListBucket on both buckets and s3:GetObject on their objects', cause });
    }
    if (name === 'CredentialsProviderError') throw credentialsRefused(name, cause);
    throw new RealmliftError('S3_UNREACHABLE', 'files', `cannot reach the bucket ${bucket} at ${where} (${code === '' ? name : code})`, { hint: 'check S3_ENDPOINT, S3_REGION and that the server is up', cause });
  }
}

class S3Store implements FileStore {
  readonly kind = 's3';
  readonly description: string;
  readonly #access: S3Access;
  readonly #settings: S3StoreSettings;

  constructor(access: S3Access, settings: S3StoreSettings, where: string) {
    this.#access = access;
    this.#settings = settings;
    this.description = `S3 buckets ${settings.uploadsBucket} and ${settings.avatarsBucket} at ${where}`;
  }

  candidates(area: Area, wanted: WantedFiles, signal: AbortSignal): AsyncIterable<Candidate> {
    return s3Candidates(area, wanted, (prefix, directOnly) => listObjects(this.#access, this.#settings.avatarsBucket, prefix, signal, directOnly));
  }

  async fetch(candidate: Candidate, partial: string, signal: AbortSignal): Promise<Fetched> {
    const bucket = candidate.area === 'uploads' ? this.#settings.uploadsBucket : this.#settings.avatarsBucket;
    return this.#access.request(signal, async (client, watch, alive) => {
      const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: candidate.key }), { abortSignal: watch });
      alive();
      const body = answer.Body as Readable;
      const info = infoOf(answer, bucket);
      const verdict = candidate.judge(info);
      if (!verdict.take) {
        body.destroy();
        return { taken: false };
      }
      return { taken: true, verdict, ...(await save(body, partial, answer, watch, alive)) };
    });
  }

  unchanged(candidate: Candidate, record: FileRecord): Promise<boolean> {
    // Keys of uploads hold random text and are never used again; where a listing gave an ETag it costs nothing to look.
    return Promise.resolve(candidate.etag === undefined || candidate.etag === record.md5);
  }

  close(): void {
    this.#access.close();
  }
}

function infoOf(answer: GetObjectCommandOutput, bucket: string): ObjectInfo {
  if (answer.ContentLength === undefined) throw new BadResponse('the answer has no length');
  return {
    size: answer.ContentLength,
    // As boto spells a Last-Modified header, which has whole seconds.
    lastModified: answer.LastModified === undefined ? '' : `${answer.LastModified.toISOString().slice(0, 19)}+00:00`,
    contentType: answer.ContentType ?? null,
    etag: answer.ETag,
    bucket,
    metadata: answer.Metadata ?? {},
  };
}

async function save(body: Readable, partial: string, answer: GetObjectCommandOutput, signal: AbortSignal, alive: () => void): Promise<{ size: number; sha256: string }> {
  const expected = md5Of(answer);
  const sha256 = createHash('sha256');
  const md5 = expected === undefined ? undefined : createHash('md5');
  let size = 0;
  await pipeline(body, async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      alive();
      sha256.update(chunk);
      md5?.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  }, createWriteStream(partial), { signal });
  if (size !== answer.ContentLength) throw new BadResponse(`${size} of ${answer.ContentLength} bytes came`);
  if (md5 !== undefined && md5.digest('hex') !== expected) throw new Corrupt('the bytes do not match the ETag');
  return { size, sha256: sha256.digest('hex') };
}

/**
 * The MD5 that the ETag is, in hexadecimal; undefined where it is none: objects stored in parts (`…-N`), or encrypted with a key
 * of KMS or of the client. https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
 */
function md5Of({ ETag: etag, ServerSideEncryption: encryption, SSECustomerAlgorithm: customer }: GetObjectCommandOutput): string | undefined {
  if (encryption?.startsWith('aws:kms') === true || customer !== undefined) return undefined;
  return /^"?([0-9a-f]{32})"?$/i.exec(etag ?? '')?.[1]?.toLowerCase();
}
