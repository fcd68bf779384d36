/** Files in S3: one bucket of uploads, and one of avatars, which also holds emoji, icons and logos. */
import { isDeepStrictEqual } from 'node:util';
import { RealmliftError } from '../../errors.js';
import type { Candidate, CopySource, Fetched, FetchedOnce, FileStore, ObjectInfo, S3Account, StoredFile, Taken } from '../file-store.js';
import type { FileRecord } from '../records.js';
import { checkBucket } from './s3-bucket-check.js';
import { infoOfRecord, s3Candidates } from './s3-candidates.js';
import type { S3Connection } from './s3-client.js';
import { S3Access, describeServer } from './s3-client.js';
import type { Etags } from './object-checksum.js';
import { download, lookAt } from './s3-download.js';
import { listObjects, withListing } from './s3-listing.js';
import type { Area } from '../../package/export-files.js';
import type { WantedFiles } from '../wanted-files.js';

export interface S3StoreSettings extends S3Connection {
  /** Zulip's S3_AUTH_UPLOADS_BUCKET. */
  readonly uploadsBucket: string;
  /** Zulip's S3_AVATAR_BUCKET. */
  readonly avatarsBucket: string;
  /** Bytes of a range; larger objects come in parallel ranges. Default 16 MiB. */
  readonly partSize?: number | undefined;
  /** Default `md5`. */
  readonly etags?: Etags | undefined;
}

const PART_SIZE = 16 << 20;

/**
 * Opens the two buckets and checks that they can be listed.
 *
 * @throws RealmliftError S3_ENDPOINT, S3_CREDENTIALS_MISSING, S3_CREDENTIALS_REFUSED, S3_UNREACHABLE, S3_CERTIFICATE, BUCKET_MISSING, BUCKET_FORBIDDEN
 */
export async function openS3Store(settings: S3StoreSettings): Promise<FileStore> {
  const where = describeServer(settings);
  const access = new S3Access(settings);
  try {
    for (const bucket of new Set([settings.uploadsBucket, settings.avatarsBucket])) await checkBucket(access, bucket, where);
  } catch (error) {
    access.close();
    throw error;
  }
  return new S3Store(access, settings, where);
}

class S3Store implements FileStore {
  readonly kind = 's3';
  readonly description: string;
  readonly name: string;
  readonly #access: S3Access;
  readonly #settings: S3StoreSettings;

  constructor(access: S3Access, settings: S3StoreSettings, where: string) {
    this.#access = access;
    this.#settings = settings;
    this.name = `the buckets ${settings.uploadsBucket} and ${settings.avatarsBucket}`;
    this.description = `S3 buckets ${settings.uploadsBucket} and ${settings.avatarsBucket} at ${where}`;
  }

  candidates(area: Area, wanted: WantedFiles, signal: AbortSignal, listed = false): AsyncIterable<Candidate> {
    const candidates = s3Candidates(area, wanted, (prefix, directOnly) => this.#list(this.#settings.avatarsBucket, prefix, directOnly, signal), listed);
    // The others are listed anyway.
    return listed && (area === 'uploads' || area === 'emoji') ? withListing(candidates, this.list(area, wanted.realmId, signal)) : candidates;
  }

  async fetch(candidate: Candidate, partial: string, signal: AbortSignal): Promise<Fetched> {
    const { partSize = PART_SIZE, etags = 'md5' } = this.#settings;
    return download({
      access: this.#access, bucket: this.#bucketOf(candidate.area), key: candidate.key,
      partial, partSize, etagsAreMd5: etags === 'md5', judge: candidate.judge, signal,
    });
  }

  unchanged(candidate: Candidate, record: FileRecord): Promise<boolean> {
    // Keys of uploads hold random text and are never used again; where a listing gave an ETag it costs nothing to look.
    if (candidate.listed !== undefined && candidate.listed.etag !== record.md5) return Promise.resolve(false);
    return Promise.resolve(isMadeAgain(candidate, record));
  }

  stillThere(candidate: Candidate, { record, oddMetadata }: FetchedOnce): Promise<Taken | undefined> {
    const { etag, size, lastModified } = candidate.listed ?? {};
    const same = etag !== undefined && etag === record.md5 && size === record.size && inSeconds(lastModified) === inSeconds(record.last_modified);
    return Promise.resolve(same && isMadeAgain(candidate, record) ? { take: true, record, oddMetadata } : undefined);
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

  #bucketOf(area: Area): string {
    return area === 'uploads' ? this.#settings.uploadsBucket : this.#settings.avatarsBucket;
  }

  #list(bucket: string, prefix: string, directOnly: boolean, signal: AbortSignal): AsyncIterable<StoredFile> {
    return listObjects({ access: this.#access, bucket, prefix, directOnly, signal });
  }

  async look({ area, key }: Pick<Candidate, 'area' | 'key'>, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    try {
      return await lookAt(this.#access, this.#bucketOf(area), key, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RealmliftError) throw error;
      return undefined;
    }
  }

  source({ area, key }: Pick<Candidate, 'area' | 'key'>, { etag, size }: ObjectInfo): CopySource | undefined {
    return etag?.startsWith('"') === true ? { bucket: this.#bucketOf(area), key, etag, size } : undefined;
  }

  isOf({ endpoint, region, credentials }: S3Account): boolean {
    return this.#settings.endpoint === endpoint && this.#settings.region === region && this.#settings.credentials === credentials;
  }

  close(): void {
    this.#access.close();
  }
}

/** The rows may have changed since: the record must be the one that would be made now. */
function isMadeAgain(candidate: Candidate, record: FileRecord): boolean {
  const verdict = candidate.judge(infoOfRecord(record));
  return verdict.take && isDeepStrictEqual(verdict.record, record);
}

/** A listing tells milliseconds, which the answer to a request lacks. */
function inSeconds(time: unknown): number {
  return Math.floor(Date.parse(String(time)) / 1000);
}
