/** Where files of an export get their names: see ExportDirectory, which is the usual one. */
import type { EarlierFile } from './file-events.js';

export interface FilesTarget {
  /** Where the file that becomes `path` is written meanwhile: the same for the same path in each run. */
  partial(path: string): string;
  /**
   * Gives the whole partial file its final name.
   * @returns the ETag of what is stored elsewhere
   * @throws NameTaken when another file of the export is or would be in its way
   */
  publish(partial: string, path: string): Promise<string | undefined>;
  /** Whether `path` is there as an earlier run finished it. */
  holds(path: string, earlier: Pick<EarlierFile, 'size' | 'sha256' | 'etag'>): Promise<boolean>;
  /** Removes what is left of unfinished files. */
  close(): Promise<void>;
}
