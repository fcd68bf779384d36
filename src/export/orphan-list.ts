/** The files that no row claims, as a part of the report: there may be more of them than memory should hold. */
import { join } from 'node:path';
import type { Orphan } from '../files/file-events.js';
import { PartFile } from '../package/part-file.js';
import { PARTS_DIRECTORY } from './part-paths.js';

/** Relative to the run's directory. */
export const ORPHANS_PATH = `${PARTS_DIRECTORY}/orphans.json`;

/** Runs `work` with a list that is in the run's directory when it ends well. @param flushed see PartFile.finish */
export async function withOrphanList<T>(directory: string, flushed: boolean, work: (add: (orphan: Orphan) => void) => Promise<T>): Promise<T> {
  const file = new PartFile(join(directory, ORPHANS_PATH));
  let count = 0;
  try {
    file.writeText('[');
    const result = await work(({ area, key, size, copy, notCopied }) => {
      file.writeText(`${count === 0 ? '' : ','}${JSON.stringify({ area, key, size, copy: copy?.path, not_copied: notCopied })}`);
      count += 1;
    });
    file.writeText(']');
    await file.finish(flushed);
    return result;
  } catch (error) {
    file.abandon();
    throw error;
  }
}
