/** Removes what an earlier run left in a directory and the present one did not make: files of rows that have gone since. */
import { opendir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RUN_DIRECTORY } from './output-directory.js';

/**
 * @param directory of an export that is being written
 * @param keep is asked for each path, relative to the directory
 */
export async function sweep(directory: string, keep: (path: string) => boolean): Promise<void> {
  await sweepBelow(directory, '', keep);
}

/** @returns whether the directory is empty now */
async function sweepBelow(root: string, prefix: string, keep: (path: string) => boolean): Promise<boolean> {
  let empty = true;
  for await (const entry of await opendir(join(root, prefix))) {
    if (prefix === '' && entry.name === RUN_DIRECTORY) continue;
    const path = `${prefix}${entry.name}`;
    if (entry.isDirectory()) {
      if (await sweepBelow(root, `${path}/`, keep)) await rmdir(join(root, path));
      else empty = false;
    } else if (keep(path)) empty = false;
    else await rm(join(root, path));
  }
  return empty;
}
