/** The files that are there beside the files that the manifest lists. */
import type { FoundFile } from './directory-walk.js';
import { comparePaths, type ManifestFile } from './manifest.js';

/** A file that is there, or that the manifest lists, or both. */
export interface ComparedFile {
  path: string;
  found: FoundFile | undefined;
  listed: ManifestFile | undefined;
}

/** Both must come in the order of {@link comparePaths}. */
export async function* compareWithManifest(
  found: Iterator<FoundFile>, listed: AsyncIterator<ManifestFile>,
): AsyncGenerator<ComparedFile> {
  try {
    let file = found.next();
    let entry = await listed.next();
    while (file.done !== true || entry.done !== true) {
      const order = file.done === true ? 1 : entry.done === true ? -1 : comparePaths(file.value.path, entry.value.path);
      const here = order <= 0 && file.done !== true ? file.value : undefined;
      const there = order >= 0 && entry.done !== true ? entry.value : undefined;
      yield { path: (here ?? there)!.path, found: here, listed: there };
      if (here !== undefined) file = found.next();
      if (there !== undefined) entry = await listed.next();
    }
  } finally {
    found.return?.();
    await listed.return?.();
  }
}
