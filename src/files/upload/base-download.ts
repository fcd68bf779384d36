/** A base that lies in a bucket: what says what it has, and its messages files. Pulled files are where they were pulled from. */
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../../errors.js';
import { MANIFEST } from '../../package/manifest.js';
import { CATCH_UP } from '../../package/side-files.js';
import type { StoredFile } from '../file-store.js';
import { Lost } from '../file-store.js';
import { inOrder } from '../ordered-pool.js';
import { checkBucket } from '../s3/s3-bucket-check.js';
import { S3Access, describeServer, type S3Connection } from '../s3/s3-client.js';
import { download } from '../s3/s3-download.js';
import { listObjects } from '../s3/s3-listing.js';
import { parseS3Url } from './upload-target.js';

/** Files fetched at once, and bytes of a part of a large one. */
const AT_ONCE = 8;
const PART_SIZE = 16 << 20;

const WANTED = new RegExp(`^(?:messages-\\d+\\.json|${MANIFEST.replace('.', '\\.')}|${CATCH_UP.replace('.', '\\.')})$`);

/**
 * Fetches an export that --upload or --output stored at `s3://BUCKET/PREFIX` into a directory that is there.
 *
 * @throws RealmliftError BASE_UNFIT, UPLOAD_URL, those of checkBucket and of a store that is gone
 */
export async function downloadBase(connection: S3Connection, url: string, directory: string, signal: AbortSignal): Promise<void> {
  const { bucket, prefix } = parseS3Url(url);
  const access = new S3Access(connection);
  try {
    await checkBucket(access, bucket, describeServer(connection), signal);
    const names: string[] = [];
    const fetch = async ({ key }: StoredFile): Promise<void> => {
      const name = key.slice(prefix.length + 1);
      names.push(name);
      await download({ access, bucket, key, partial: join(directory, name), partSize: PART_SIZE, etagsAreMd5: false, judge: () => ({ take: true, record: {} }), signal });
    };
    const wanted = async function* (): AsyncGenerator<StoredFile> {
      for await (const file of listObjects({ access, bucket, prefix: `${prefix}/`, directOnly: true, signal })) if (WANTED.test(file.key.slice(prefix.length + 1))) yield file;
    };
    for await (const done of inOrder(wanted(), AT_ONCE, AT_ONCE, fetch)) void done;
    const missing = [MANIFEST, CATCH_UP].find((name) => !names.includes(name));
    if (missing !== undefined) throw new RealmliftError('BASE_UNFIT', 'package', `${url} has no ${missing}`, { hint: `name the finished export of one realm that --upload or --output stored, such as ${url}/acme; for several realms fetch what an earlier run of them stored into a directory, and name that`, exit: EXIT.nothingExported });
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    signal.throwIfAborted();
    throw new RealmliftError('BASE_UNREADABLE', 'files', `${url} cannot be read: ${error.message}`, { hint: 'try again, or leave out --base', exit: EXIT.nothingExported, cause: error });
  } finally {
    access.close();
  }
}
