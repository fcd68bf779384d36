/** Where in S3 an export is stored, and what all requests that store something there have in common. */
import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import { EXIT, RealmliftError } from '../../errors.js';
import type { BucketUse } from '../s3/s3-bucket-check.js';
import type { S3Connection } from '../s3/s3-client.js';
import { particulars, s3Reason } from '../s3/s3-fault.js';

export interface UploadTarget {
  readonly connection: S3Connection;
  readonly bucket: string;
  /** Put before each name, without a `/` at its end; empty for the bucket's root. */
  readonly prefix: string;
  /** Server-side encryption; absent: as the bucket does by default. */
  readonly encryption?: { readonly kind: 'AES256' } | { readonly kind: 'aws:kms'; readonly keyId?: string | undefined } | undefined;
  /** Removes what is there, first of all its manifest. */
  readonly overwrite?: boolean | undefined;
  /** Goes on with an upload that was cut: what is there of the same export, without its manifest, is replaced. */
  readonly resume?: boolean | undefined;
}

export const USE: BucketUse = { settings: '--upload or --output', rights: 'storing an export needs s3:ListBucket on the bucket; s3:PutObject and s3:AbortMultipartUpload below the prefix, with --overwrite s3:DeleteObject, with --resume s3:GetObject' };

/** The target that `s3://BUCKET/PREFIX` names. @throws RealmliftError UPLOAD_URL */
export function parseS3Url(url: string): { bucket: string; prefix: string } {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(url);
  if (match?.[1] === undefined) throw new RealmliftError('UPLOAD_URL', 'usage', `${url} names no bucket`, { hint: 's3://BUCKET/PREFIX', exit: EXIT.usage });
  return { bucket: match[1], prefix: (match[2] ?? '').replace(/\/+$/, '') };
}

/** @param name of an object, or with a `/` at the end, of all below it */
export function taken(target: UploadTarget, name: string): RealmliftError {
  return new RealmliftError('UPLOAD_EXISTS', 'files', `s3://${target.bucket}/${keyOf(target, name)} is ${name.endsWith('/') ? 'not empty' : 'there already'}`, { hint: 'choose another prefix, or replace it with --overwrite' });
}

export function common(target: UploadTarget, path: string): Omit<PutObjectCommandInput, 'Body'> {
  // The server refuses a body that does not have the checksum.
  return { Bucket: target.bucket, Key: keyOf(target, path), ChecksumAlgorithm: 'SHA256', ...encryptionOf(target) };
}

export function encryptionOf({ encryption }: UploadTarget): Pick<PutObjectCommandInput, 'ServerSideEncryption' | 'SSEKMSKeyId'> {
  return {
    ...(encryption === undefined ? {} : { ServerSideEncryption: encryption.kind }),
    ...(encryption?.kind === 'aws:kms' && encryption.keyId !== undefined ? { SSEKMSKeyId: encryption.keyId } : {}),
  };
}

export function keyOf({ prefix }: UploadTarget, path: string): string {
  return prefix === '' ? path : `${prefix}/${path}`;
}

export function failed({ bucket }: UploadTarget, path: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const { status } = particulars(error);
  return new RealmliftError('UPLOAD_FAILED', 'files', `cannot store ${path} in the bucket ${bucket} (${s3Reason(error)})`, {
    hint: status === 403 || status === 400 ? USE.rights : undefined, again: true, cause: error,
  });
}
