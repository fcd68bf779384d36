/** `--base`: a directory, or a place in S3, whose files are fetched for the time of the run. */
import type { ExportOptions } from '../../commands/export.js';
import { s3Settings } from '../../files/s3/s3-settings.js';
import { withTemporaryDirectory } from '../../temporary-directory.js';

interface Connection {
  readonly caFile?: string;
  readonly fileTimeout?: number;
}

/** Runs `work` with the base that was asked for, if one was. @throws RealmliftError as downloadBase */
export async function withBase<T>(base: string | undefined, { caFile, fileTimeout }: Connection, signal: AbortSignal, work: (base: ExportOptions['base']) => Promise<T>): Promise<T> {
  if (base?.startsWith('s3://') !== true) return work(base === undefined ? undefined : { directory: base, shownAs: base, hasFiles: true });
  // The SDK takes 0.2 s to load: only who needs it waits.
  const { downloadBase } = await import('../../files/upload/base-download.js');
  const url = base.replace(/\/+$/, '');
  return withTemporaryDirectory('base', async (directory) => {
    await downloadBase({ ...s3Settings(process.env), caFile, timeout: fileTimeout }, url, directory, signal);
    return work({ directory, shownAs: url, hasFiles: false });
  });
}
