/** Says before the work starts, and in one line, why a bucket cannot be used. */
import { RealmliftError } from '../../errors.js';
import { Lost } from '../file-store.js';
import type { S3Access } from './s3-client.js';
import { credentialsRefused, particulars, s3Reason } from './s3-fault.js';
import { listPage } from './s3-send.js';

/** Fewer than for an object: a wrong setting should be told at once. */
const ATTEMPTS = 3;

/** What a bucket is for: the settings that name it, and the rights that are needed. */
export interface BucketUse {
  readonly settings: string;
  readonly rights: string;
}

const EXPORTED: BucketUse = { settings: 'S3_UPLOADS_BUCKET, S3_AVATARS_BUCKET', rights: 'the export needs s3:ListBucket on both buckets and s3:GetObject on their objects' };

/**
 * Checks that the bucket can be listed. Without that right S3 answers 403 for an object that is not there, and nothing could be
 * told about it; and unlike HEAD, a listing's answer says what is wrong.
 *
 * @param where names the server
 * @throws RealmliftError S3_CREDENTIALS_MISSING, S3_CREDENTIALS_REFUSED, S3_UNREACHABLE, S3_CERTIFICATE, BUCKET_MISSING, BUCKET_FORBIDDEN
 */
export async function checkBucket(access: S3Access, bucket: string, where: string, signal: AbortSignal = new AbortController().signal, use: BucketUse = EXPORTED): Promise<void> {
  try {
    await access.request(signal, (client, watch) => listPage(client, { Bucket: bucket, MaxKeys: 1 }, watch), ATTEMPTS);
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Lost ? error.cause : error;
    if (error instanceof RealmliftError && error.code !== 'BUCKET_MISSING') throw error;
    const { name, status } = particulars(error instanceof RealmliftError ? error.cause : cause);
    if (name === 'NoSuchBucket' || status === 404) {
      throw new RealmliftError('BUCKET_MISSING', 'files', `there is no bucket ${bucket} at ${where}`, { hint: `check ${use.settings}, S3_ENDPOINT and S3_REGION`, cause });
    }
    if (status === 401 || status === 403) {
      throw new RealmliftError('BUCKET_FORBIDDEN', 'files', `no right to list the bucket ${bucket} at ${where}`, { hint: use.rights, cause });
    }
    if (name === 'CredentialsProviderError') throw credentialsRefused(name, cause);
    throw new RealmliftError('S3_UNREACHABLE', 'files', `cannot reach the bucket ${bucket} at ${where} (${s3Reason(cause)})`, { hint: 'check S3_ENDPOINT, S3_REGION and that the server is up', cause });
  }
}
