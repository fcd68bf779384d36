/** The files that no row claims, as a part of the report: there may be more of them than memory should hold. */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Orphan } from '../files/file-events.js';
import { PARTS_DIRECTORY } from '../package/part-paths.js';
import { RowArray } from '../package/row-array.js';

/** Relative to the run's directory; where there are none, there is no such file. */
export const ORPHANS_PATH = `${PARTS_DIRECTORY}/orphans.json`;

/** Runs `work` with a list that is in the run's directory when it ends well. */
export async function withOrphanList<T>(directory: string, work: (add: (orphan: Orphan) => void) => Promise<T>): Promise<T> {
  const path = join(directory, ORPHANS_PATH);
  let list: RowArray | undefined;
  try {
    // An earlier run's.
    rmSync(path, { force: true });
    const result = await work(({ area, key, size, copy, notCopied }) => {
      if (list === undefined) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      list ??= new RowArray(path);
      list.write(Buffer.from(JSON.stringify({ area, key, size, copy: copy?.path, not_copied: notCopied })));
    });
    await list?.finish(false);
    return result;
  } catch (error) {
    list?.abandon();
    throw error;
  }
}
