/** Every file of a finished export directory with its size and SHA-256, for the manifest. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { walk } from './directory-walk.js';
import type { JournalPart } from './journal.js';
import type { ManifestFile } from './manifest.js';

/** What `known` has is taken from there, the rest (records.json and the like) is read. */
export async function* treeEntries(directory: string, known: (path: string) => JournalPart | undefined): AsyncGenerator<ManifestFile> {
  for (const { path } of walk(directory)) {
    if (path === 'manifest.json') continue;
    const part = known(path);
    yield part === undefined ? { path, ...(await digest(join(directory, path))) }
      : { path, size: part.size, sha256: part.sha256, ...(part.rows === undefined ? {} : { rows: { ...part.rows } }) };
  }
}

async function digest(path: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { size, sha256: hash.digest('hex') };
}
