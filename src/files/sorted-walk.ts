/** Files below a directory in the order in which S3 would list them, so that both stores are reconciled the same way. */
import { ioReason } from '../io-reason.js';
import { lstat, opendir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { Lost } from './file-store.js';
import type { StoredFile } from './file-store.js';
import { byBytes } from './records.js';

/**
 * Regular files and symbolic links, by the bytes of their path; directories are not followed through links. Nothing when there is no
 * such directory. Files that vanish meanwhile are left out. What has a name that is no UTF-8 is listed with 0 bytes.
 *
 * @throws Lost when a directory cannot be read
 * @param prefix the directory below `root` to walk, and the beginning of each key; empty for all of `root`
 */
export async function* sortedWalk(root: string, prefix: string): AsyncGenerator<StoredFile> {
  const names: string[] = [];
  try {
    // A directory sorts as its files' paths do: `a-b` comes before `a/x`.
    for await (const entry of await opendir(join(root, prefix))) names.push(entry.isDirectory() ? `${entry.name}/` : entry.name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    throw new Lost('unreadable', `the directory ${prefix} cannot be read (${code ?? 'unknown'})`, error);
  }
  for (const name of names.sort(byBytes)) {
    const key = posix.join(prefix, name.replace(/\/$/, ''));
    // A name that is no UTF-8 cannot be asked for. What has it, a directory too, is listed as its name is spelt here, and not passed over.
    if (name.includes('\ufffd') && await lstat(join(root, key)).then(() => false, () => true)) yield { key, size: 0 };
    else if (name.endsWith('/')) yield* sortedWalk(root, key);
    else {
      const found = await lstat(join(root, key)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw new Lost('unreadable', `${key} cannot be looked at: ${ioReason(error)}`, error);
      });
      if (found !== undefined) yield { key, size: found.size };
    }
  }
}
