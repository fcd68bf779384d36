/** Reading gzipped tar archives of the test data. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';

/** Calls `visit` for each file of the archive, in order; it must read the content to its end. Paths have no leading `./`. */
export async function readArchive(archive: string, visit: (path: string, content: Readable, modified: Date | undefined) => Promise<void>): Promise<void> {
  const entries = extract();
  const visiting = async (): Promise<void> => {
    for await (const entry of entries) {
      if (entry.header.type === 'file') await visit(entry.header.name.replace(/^\.\//, ''), Readable.from(entry), entry.header.mtime);
      else entry.resume();
    }
  };
  await Promise.all([pipeline(createReadStream(archive), createGunzip(), entries), visiting()]);
}

/** Unpacks the archive's files below `directory`, with the times that it gives them. */
export async function unpackArchive(archive: string, directory: string): Promise<void> {
  await readArchive(archive, async (path, content, modified) => {
    const target = join(directory, path);
    await mkdir(dirname(target), { recursive: true });
    await pipeline(content, createWriteStream(target));
    if (modified !== undefined) await utimes(target, modified, modified);
  });
}
