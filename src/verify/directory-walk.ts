/** The files of an export directory, in the order of the manifest, so that the two can be compared side by side. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { comparePaths, type ManifestFile } from '../package/manifest.js';

export interface FoundFile {
  /** Relative to the directory, with `/`. */
  path: string;
  /** Neither a link nor a device. */
  isFile: boolean;
}

/** Holds the names of one folder per level, never the whole list. */
export async function* walk(directory: string, below = ''): AsyncGenerator<FoundFile> {
  const entries = (await readdir(join(directory, below), { withFileTypes: true }))
    // With the slash, folders come where their files come: `a.txt` before `a/b`, as `.` is before `/`.
    .map((entry) => ({ entry, sortedAs: entry.isDirectory() ? `${entry.name}/` : entry.name }))
    .sort((a, b) => comparePaths(a.sortedAs, b.sortedAs));
  for (const { entry, sortedAs } of entries) {
    if (entry.isDirectory()) yield* walk(directory, below + sortedAs);
    else yield { path: below + entry.name, isFile: entry.isFile() };
  }
}

/** A file that is there, or that the manifest lists, or both. */
export interface ComparedFile {
  path: string;
  found: FoundFile | undefined;
  listed: ManifestFile | undefined;
}

/** Both must come in the order of {@link comparePaths}. */
export async function* compareWithManifest(
  found: AsyncIterator<FoundFile>, listed: AsyncIterator<ManifestFile>,
): AsyncGenerator<ComparedFile> {
  try {
    let file = await found.next();
    let entry = await listed.next();
    while (file.done !== true || entry.done !== true) {
      const order = file.done === true ? 1 : entry.done === true ? -1 : comparePaths(file.value.path, entry.value.path);
      const here = order <= 0 && file.done !== true ? file.value : undefined;
      const there = order >= 0 && entry.done !== true ? entry.value : undefined;
      yield { path: (here ?? there)!.path, found: here, listed: there };
      if (here !== undefined) file = await found.next();
      if (there !== undefined) entry = await listed.next();
    }
  } finally {
    await found.return?.();
    await listed.return?.();
  }
}
