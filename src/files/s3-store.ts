/** Files in S3: one bucket of uploads, and one of avatars, which also holds emoji, icons and logos. */
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { isDeepStrictEqual } from 'node:util';
import { RealmliftError } from '../errors.js';
import type { Candidate, Fetched, FileStore, StoredFile } from './file-store.js';
import { Lost } from './file-store.js';
import type { FileRecord } from './records.js';
import { infoOfRecord, s3Candidates } from './s3-candidates.js';
import type { S3Connection } from './s3-client.js';
import { S3Access } from './s3-client.js';
import { download } from './s3-download.js';
import { credentialsRefused, particulars } from './s3-fault.js';
import { listObjects } from './s3-listing.js';
import type { Area, WantedFiles } from './wanted-files.js';

export interface S3StoreSettings extends S3Connection {
  /** Zulip's S3_AUTH_UPLOADS_BUCKET. */
  readonly uploadsBucket: string;
  /** Zulip's S3_AVATAR_BUCKET. */
  readonly avatarsBucket: string;
  /** Bytes of a range; larger objects come in parallel ranges. Default 16 MiB. */
  readonly partSize?: number | undefined;
  /** `opaque` for a server whose ETags look like an MD5 of the content and are none. Default `md5`. */
  readonly etags?: 'md5' | 'opaque' | undefined;
}

const PART_SIZE = 16 << 20;

/** Fewer than for an object: a wrong setting should be told at once. */
const CHECK_ATTEMPTS = 3;

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
    await access.request(new AbortController().signal, (client, signal) => client.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 }), { abortSignal: signal }), CHECK_ATTEMPTS);
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
    return s3Candidates(area, wanted, (prefix, directOnly) => this.#list(this.#settings.avatarsBucket, prefix, directOnly, signal));
  }

  async fetch(candidate: Candidate, partial: string, signal: AbortSignal): Promise<Fetched> {
    const { uploadsBucket, avatarsBucket, partSize = PART_SIZE, etags = 'md5' } = this.#settings;
    return download({
      access: this.#access, bucket: candidate.area === 'uploads' ? uploadsBucket : avatarsBucket, key: candidate.key,
      partial, partSize, etagsAreMd5: etags === 'md5', judge: candidate.judge, signal,
    });
  }

  unchanged(candidate: Candidate, record: FileRecord): Promise<boolean> {
    // Keys of uploads hold random text and are never used again; where a listing gave an ETag it costs nothing to look.
    if (candidate.etag !== undefined && candidate.etag !== record.md5) return Promise.resolve(false);
    // The rows may have changed since: the record must be the one that would be made now.
    const verdict = candidate.judge(infoOfRecord(record));
    return Promise.resolve(verdict.take && isDeepStrictEqual(verdict.record, record));
  }

  list(area: Area, realmId: number, signal: AbortSignal): AsyncIterable<StoredFile> {
    const { uploadsBucket, avatarsBucket } = this.#settings;
    switch (area) {
      case 'uploads': return this.#list(uploadsBucket, `${realmId}/`, false, signal);
      case 'avatars': return this.#list(avatarsBucket, `${realmId}/`, true, signal);
      case 'emoji': return this.#list(avatarsBucket, `${realmId}/emoji/`, false, signal);
      case 'realm_icons': return this.#list(avatarsBucket, `${realmId}/realm/`, false, signal);
    }
  }

  #list(bucket: string, prefix: string, directOnly: boolean, signal: AbortSignal): AsyncIterable<StoredFile> {
    return listObjects({ access: this.#access, bucket, prefix, directOnly, signal });
  }

  close(): void {
    this.#access.close();
  }
}
