/** The manifest's list of an export that was made out of others. */
import { join } from 'node:path';
import { walk } from '../package/directory-walk.js';
import type { JournalPart } from '../package/journal.js';
import type { ManifestFile } from '../package/manifest.js';
import { digestOf } from '../package/part-file.js';

/**
 * @param parts files with rows, as they were written
 * @param files the files of the areas as they were placed, in the order of the manifest; what is in neither is read
 */
export async function* writtenEntries(directory: string, parts: ReadonlyMap<string, JournalPart>, files: AsyncGenerator<ManifestFile>): AsyncGenerator<ManifestFile> {
  let next = await files.next();
  for (const { path } of walk(directory)) {
    if (path === 'manifest.json') continue;
    const part = parts.get(path);
    if (next.done !== true && next.value.path === path) {
      yield next.value;
      next = await files.next();
    } else if (part !== undefined) yield { path, size: part.size, sha256: part.sha256, ...(part.rows === undefined ? {} : { rows: { ...part.rows } }) };
    else {
      const { size, sha256 } = await digestOf(join(directory, path));
      yield { path, size, sha256 };
    }
  }
}
