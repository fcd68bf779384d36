/** Where the files are, from options and environment: the local uploads directory, or two S3 buckets. */
import type { Command } from 'commander';
import { EXIT, RealmliftError } from '../errors.js';
import type { FileStore } from '../files/file-store.js';
import { openLocalStore } from '../files/local-store.js';
import { wholeNumber } from './whole-number.js';

export interface FilesOptions {
  readonly uploadsDir?: string;
  readonly fileJobs?: number;
  readonly fileTimeout?: number;
  readonly caFile?: string;
}

export function addFilesOptions(command: Command): Command {
  return command
    .option('--uploads-dir <dir>', "Zulip's LOCAL_UPLOADS_DIR (with files/ and avatars/); else S3 is used")
    .option('--file-jobs <n>', 'files pulled at once (default: 32)', wholeNumber(1))
    .option('--file-timeout <seconds>', 'cut an S3 connection that sends nothing for so long (default: 60)', wholeNumber(1))
    .option('--ca-file <file>', 'certificate authority of the S3 server, PEM');
}

/**
 * How to open the place of the files. An uploads directory named on the command line wins over the environment's buckets.
 * @throws RealmliftError FILES_UNKNOWN when neither is configured
 */
export function filesStore(options: FilesOptions, env: NodeJS.ProcessEnv): () => Promise<FileStore> {
  if (options.uploadsDir !== undefined) return () => openLocalStore({ uploadsDir: options.uploadsDir as string });
  const [uploadsBucket, avatarsBucket] = [env.S3_UPLOADS_BUCKET, env.S3_AVATARS_BUCKET];
  if (uploadsBucket === undefined || avatarsBucket === undefined) {
    throw new RealmliftError('FILES_UNKNOWN', 'usage', 'it is not said where the uploaded files are', {
      hint: "give --uploads-dir (Zulip's LOCAL_UPLOADS_DIR), or S3_UPLOADS_BUCKET and S3_AVATARS_BUCKET", exit: EXIT.usage,
    });
  }
  return async () => {
    // The SDK takes 0.2 s to load: only who needs it waits.
    const { openS3Store } = await import('../files/s3-store.js');
    return openS3Store({
      endpoint: env.S3_ENDPOINT, region: env.S3_REGION, uploadsBucket, avatarsBucket,
      jobs: options.fileJobs, timeout: options.fileTimeout, caFile: options.caFile,
    });
  };
}
