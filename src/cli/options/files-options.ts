/** Where the files are and how they are fetched, from options and environment: the local uploads directory, or two S3 buckets. */
import { Option, type Command } from 'commander';
import { EXIT, RealmliftError } from '../../errors.js';
import type { FileStore } from '../../files/file-store.js';
import { openLocalStore, type CopyMode } from '../../files/local-store.js';
import type { Etags } from '../../files/s3/object-checksum.js';
import { s3Settings } from '../../files/s3/s3-settings.js';
import { byteSize } from './byte-size.js';
import { wholeNumber } from './whole-number.js';

export interface FilesOptions {
  readonly uploadsDir?: string;
  readonly copyMode?: CopyMode;
  readonly fileJobs?: number;
  readonly partSize?: number;
  readonly fileTimeout?: number;
  readonly caFile?: string;
  readonly opaqueEtags?: true;
}

/** Files under way at once, unless it is said otherwise. */
export const FILE_JOBS = 32;

export function addFilesOptions(command: Command): Command {
  return command
    .optionsGroup('Files:')
    .option('--uploads-dir <dir>', "Zulip's LOCAL_UPLOADS_DIR (with files/ and avatars/); else S3 is used")
    .addOption(new Option('--copy-mode <how>', 'of local files: read and write, share blocks where the file system can, or hard links (default: copy)').choices(['copy', 'clone', 'link']))
    .option('--file-jobs <n>', `files pulled at once (default: ${FILE_JOBS})`, wholeNumber(1))
    .option('--part-size <size>', 'larger S3 objects come in parallel ranges of this size (default: 16MiB)', byteSize(1 << 20))
    .option('--file-timeout <seconds>', 'cut an S3 connection on which nothing has come for this long (default: 60)', wholeNumber(1))
    .option('--ca-file <file>', 'certificate authority of the S3 server, PEM')
    .addOption(opaqueEtags());
}

export function opaqueEtags(): Option {
  return new Option('--opaque-etags', "the S3 server's ETags look like an MD5 and are none: do not check files against them");
}

export function etagsOf(options: Pick<FilesOptions, 'opaqueEtags'>): Etags {
  return options.opaqueEtags === true ? 'opaque' : 'md5';
}

/**
 * How to open the place of the files. An uploads directory named on the command line wins over the environment's buckets.
 * @throws RealmliftError FILES_UNKNOWN when neither is configured, S3_ADDRESSING
 */
export function filesStore(options: FilesOptions, env: NodeJS.ProcessEnv): () => Promise<FileStore> {
  const { uploadsDir, copyMode } = options;
  if (uploadsDir !== undefined) return () => openLocalStore({ uploadsDir, copyMode });
  const [uploadsBucket, avatarsBucket] = [env.S3_UPLOADS_BUCKET, env.S3_AVATARS_BUCKET];
  if (uploadsBucket === undefined || avatarsBucket === undefined) {
    throw new RealmliftError('FILES_UNKNOWN', 'usage', 'it is not said where the uploaded files are', {
      hint: "give --uploads-dir (Zulip's LOCAL_UPLOADS_DIR), or S3_UPLOADS_BUCKET and S3_AVATARS_BUCKET", exit: EXIT.usage,
    });
  }
  const connection = s3Settings(env);
  return async () => {
    // The SDK takes 0.2 s to load: only who needs it waits.
    const { openS3Store } = await import('../../files/s3/s3-store.js');
    return openS3Store({
      ...connection, uploadsBucket, avatarsBucket, etags: etagsOf(options),
      jobs: options.fileJobs, partSize: options.partSize, timeout: options.fileTimeout, caFile: options.caFile,
    });
  };
}
