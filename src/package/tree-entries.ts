/** Every file of a finished export directory with its size and SHA-256, for the manifest. */
import { join } from 'node:path';
import { walk } from './directory-walk.js';
import type { JournalPart } from './journal.js';
import { MANIFEST, type ManifestFile } from './manifest.js';
import { digestOf } from './part-file.js';
import { SIDE_FILES } from './side-files.js';

/**
 * @param known what was written with a digest, by path
 * @param placed files that were copied with theirs, in the order of the manifest; what is in neither (records.json and the like) is read
 */
export async function* treeEntries(
  directory: string, known: (path: string) => JournalPart | undefined, placed?: AsyncIterator<ManifestFile>,
): AsyncGenerator<ManifestFile> {
  let next = await placed?.next();
  for (const { path } of walk(directory)) {
    if (path === MANIFEST || SIDE_FILES.has(path)) continue;
    const part = known(path);
    if (next?.done === false && next.value.path === path) {
      yield next.value;
      next = await placed?.next();
    } else if (part !== undefined) yield { path, size: part.size, sha256: part.sha256, ...(part.rows === undefined ? {} : { rows: { ...part.rows } }) };
    else yield { path, ...(await digestOf(join(directory, path))) };
  }
}
