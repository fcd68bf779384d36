/** Where uploaded files are, or go: Zulip's LOCAL_UPLOADS_DIR, or its two buckets, for which alone the AWS SDK is loaded. */
import { relative } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import type { S3Connection } from '../files/s3-client.js';
import { s3Settings } from '../files/s3-settings.js';
import { DirectoryTarget } from './directory-target.js';
import { DirectoryUploads } from './directory-uploads.js';
import type { UploadTarget } from './upload-target.js';
import type { UploadSource } from './upload-source.js';

export type UploadPlace =
  | { readonly kind: 'directory'; readonly directory: string }
  | { readonly kind: 'buckets'; readonly connection: S3Connection; readonly uploads: string; readonly avatars: string };

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param directory as the command line gave it; else the environment's buckets are meant
 * @throws RealmliftError FILES_UNKNOWN when neither is given; S3_ADDRESSING
 */
export function uploadPlace(directory: string | undefined, env: Environment): UploadPlace {
  if (directory !== undefined) return { kind: 'directory', directory };
  const { S3_UPLOADS_BUCKET: uploads, S3_AVATARS_BUCKET: avatars } = env;
  if (uploads === undefined || avatars === undefined) {
    throw new RealmliftError('FILES_UNKNOWN', 'usage', 'it is not said where the uploaded files are', {
      hint: "give --uploads-dir (Zulip's LOCAL_UPLOADS_DIR), or S3_UPLOADS_BUCKET and S3_AVATARS_BUCKET", exit: EXIT.usage,
    });
  }
  return { kind: 'buckets', connection: s3Settings(env), uploads, avatars };
}

/**
 * Refuses to keep backups among the files that they save: each would hold all before it.
 *
 * @param to a directory or s3:// URL
 * @throws RealmliftError TARGET_IN_UPLOADS
 */
export function refuseTargetWithin(place: UploadPlace, to: string): void {
  const bucket = /^s3:\/\/([^/]+)/.exec(to)?.[1];
  const within = place.kind === 'buckets' ? bucket === place.uploads || bucket === place.avatars
    : bucket === undefined && !/^\.\.(\/|$)/.test(relative(place.directory, to));
  if (!within) return;
  throw new RealmliftError('TARGET_IN_UPLOADS', 'usage', `${to} lies among the uploaded files, and would be saved with them`, { hint: 'keep backups in another directory or bucket', exit: EXIT.usage });
}

/** Runs `work` with all files of the place. */
export async function withUploadSource<T>(place: UploadPlace, work: (source: UploadSource) => Promise<T>): Promise<T> {
  if (place.kind === 'directory') return work(await DirectoryUploads.open(place.directory));
  const [{ S3Access }, { BucketUploads }] = await Promise.all([import('../files/s3-client.js'), import('./bucket-uploads.js')]);
  const access = new S3Access(place.connection);
  try {
    return await work(new BucketUploads(access, place, new AbortController().signal));
  } finally {
    access.close();
  }
}

export async function uploadTarget(place: UploadPlace): Promise<UploadTarget> {
  return place.kind === 'directory' ? new DirectoryTarget(place.directory) : new (await import('./bucket-target.js')).BucketTarget(place);
}
