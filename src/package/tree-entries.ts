/** Every file of a finished export directory with its size and SHA-256, for the manifest. */
import { join } from 'node:path';
import { walk } from './directory-walk.js';
import type { JournalPart } from './journal.js';
import { MANIFEST, type ManifestFile } from './manifest.js';
import { digestOf } from './part-file.js';

/** What `known` has is taken from there, the rest (records.json and the like) is read. */
export async function* treeEntries(directory: string, known: (path: string) => JournalPart | undefined): AsyncGenerator<ManifestFile> {
  for (const { path } of walk(directory)) {
    if (path === MANIFEST) continue;
    const part = known(path);
    yield part === undefined ? { path, ...(await digestOf(join(directory, path))) }
      : { path, size: part.size, sha256: part.sha256, ...(part.rows === undefined ? {} : { rows: { ...part.rows } }) };
  }
}
