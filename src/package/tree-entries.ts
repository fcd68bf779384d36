/** Every file of a finished export directory with its size and SHA-256, for the manifest. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { comparePaths, type ManifestFile } from './manifest.js';
import type { JournalPart } from './journal.js';
import { RUN_DIRECTORY } from './output-directory.js';

/**
 * Walks the directory in the order of paths. What `known` has is taken from there, the rest (records.json and the like) is read.
 */
export async function* treeEntries(directory: string, known: (path: string) => JournalPart | undefined): AsyncGenerator<ManifestFile> {
  yield* walk(directory, '', known);
}

async function* walk(root: string, prefix: string, known: (path: string) => JournalPart | undefined): AsyncGenerator<ManifestFile> {
  const entries: { name: string; order: string; directory: boolean }[] = [];
  for await (const entry of await opendir(join(root, prefix))) {
    if (prefix === '' && (entry.name === RUN_DIRECTORY || entry.name === 'manifest.json')) continue;
    // A directory sorts as its files do: by the slash behind its name.
    entries.push({ name: entry.name, order: entry.isDirectory() ? `${entry.name}/` : entry.name, directory: entry.isDirectory() });
  }
  entries.sort((a, b) => comparePaths(a.order, b.order));
  for (const { name, directory } of entries) {
    const path = `${prefix}${name}`;
    if (directory) yield* walk(root, `${path}/`, known);
    else {
      const part = known(path);
      yield part === undefined ? { path, ...(await digest(join(root, path))) }
        : { path, size: part.size, sha256: part.sha256, ...(part.rows === undefined ? {} : { rows: { ...part.rows } }) };
    }
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
