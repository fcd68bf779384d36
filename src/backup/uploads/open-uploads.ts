/** The files of a place: opened to be read, or to be restored into. For buckets alone the AWS SDK is loaded. */
import { relative } from 'node:path';
import { EXIT, RealmliftError } from '../../errors.js';
import type { UploadPlace } from '../../files/upload/upload-place.js';
import { DirectoryTarget } from './directory-target.js';
import { DirectoryUploads } from './directory-uploads.js';
import type { UploadSource } from './upload-source.js';
import type { UploadTarget } from './upload-target.js';

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

/** Runs `work` with all files of the place. @param stop ends what is asked of a store */
export async function withUploadSource<T>(place: UploadPlace, stop: AbortSignal, work: (source: UploadSource) => Promise<T>): Promise<T> {
  if (place.kind === 'directory') return work(await DirectoryUploads.open(place.directory));
  const [{ S3Access }, { BucketUploads }] = await Promise.all([import('../../files/s3/s3-client.js'), import('./bucket-uploads.js')]);
  const access = new S3Access(place.connection);
  try {
    return await work(new BucketUploads(access, place, place.etags !== 'opaque', stop));
  } finally {
    access.close();
  }
}

export async function uploadTarget(place: UploadPlace): Promise<UploadTarget> {
  return place.kind === 'directory' ? new DirectoryTarget(place.directory) : new (await import('./bucket-target.js')).BucketTarget(place);
}
