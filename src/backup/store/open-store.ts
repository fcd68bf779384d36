/** From a location to what is kept there. */
import { EXIT, RealmliftError } from '../../errors.js';
import { s3Settings } from '../../files/s3/s3-settings.js';
import type { BackupStore } from './backup-store.js';
import { DirectoryStore } from './directory-store.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** @param location a directory, or `s3://bucket/prefix`; how to get there say s3Settings and the AWS SDK's own settings */
export async function openStore(location: string, env: Environment): Promise<BackupStore> {
  if (location === '') throw new RealmliftError('LOCATION', 'usage', 'an empty location', { hint: 'give a directory or s3://bucket/prefix', exit: EXIT.usage });
  if (!location.startsWith('s3://')) return new DirectoryStore(location);
  // The AWS SDK takes a third of a second of processor time to load.
  return (await import('./bucket-store.js')).BucketStore.of(location, s3Settings(env));
}
