/** Opens the place of a new server's files. */
import type { UploadPlace } from '../../files/upload/upload-place.js';
import { DirectoryFiles } from './directory-files.js';
import type { FileTarget, SourceBuckets } from './file-target.js';

/**
 * @param jobs files at once
 * @param from buckets of the old server at the same provider
 */
export async function openFileTarget(place: UploadPlace, jobs: number, from: SourceBuckets | undefined, signal: AbortSignal): Promise<FileTarget> {
  const target = place.kind === 'directory' ? new DirectoryFiles(place.directory) : new (await import('./bucket-files.js')).BucketFiles(place, jobs, from);
  await target.open(signal);
  return target;
}
