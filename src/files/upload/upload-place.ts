/** Where uploaded files are, or go: Zulip's LOCAL_UPLOADS_DIR, or its two buckets. */
import { EXIT, RealmliftError } from '../../errors.js';
import type { Etags } from '../s3/object-checksum.js';
import type { S3Connection } from '../s3/s3-client.js';
import { s3Settings } from '../s3/s3-settings.js';

export type UploadPlace =
  | { readonly kind: 'directory'; readonly directory: string }
  | { readonly kind: 'buckets'; readonly connection: S3Connection; readonly uploads: string; readonly avatars: string; readonly etags?: Etags };

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param directory as the command line gave it; else the environment's buckets are meant
 * @throws RealmliftError FILES_UNKNOWN when neither is given; S3_ADDRESSING
 */
export function uploadPlace(directory: string | undefined, env: Environment, etags: Etags = 'md5'): UploadPlace {
  if (directory !== undefined) return { kind: 'directory', directory };
  const { S3_UPLOADS_BUCKET: uploads, S3_AVATARS_BUCKET: avatars } = env;
  if (uploads === undefined || avatars === undefined) {
    throw new RealmliftError('FILES_UNKNOWN', 'usage', 'it is not said where the uploaded files are', {
      hint: "give --uploads-dir (Zulip's LOCAL_UPLOADS_DIR), or S3_UPLOADS_BUCKET and S3_AVATARS_BUCKET", exit: EXIT.usage,
    });
  }
  return { kind: 'buckets', connection: s3Settings(env), uploads, avatars, etags };
}

/** What all machines call it that see the same files; see FileStore.name. */
export function placeName(place: UploadPlace): string {
  return place.kind === 'directory' ? 'an uploads directory' : `the buckets ${place.uploads} and ${place.avatars}`;
}
