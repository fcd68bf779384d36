/** Uploads on the server's own disk: every file below LOCAL_UPLOADS_DIR. */
import { constants } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { RealmliftError } from '../errors.js';
import type { UploadContent, UploadSource, UploadedFile } from './upload-source.js';

export class DirectoryUploads implements UploadSource {
  readonly kind = 'directory';
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async *files(): AsyncGenerator<UploadedFile> {
    const found = await stat(this.#directory).catch(() => undefined);
    if (found?.isDirectory() !== true) {
      throw new RealmliftError('UPLOADS_DIR_MISSING', 'files', `there is no uploads directory ${this.#directory}`, { hint: "give Zulip's LOCAL_UPLOADS_DIR (usually /home/zulip/uploads) with --uploads-dir" });
    }
    yield* this.#below('', []);
  }

  /** Symbolic links are followed, as Zulip follows them; to a directory that is being walked already they would lead round for ever. */
  async *#below(directory: string, above: readonly string[]): AsyncGenerator<UploadedFile> {
    const path = join(this.#directory, directory);
    const real = await realpath(path);
    if (above.some((each) => each === real || each.startsWith(real + sep))) return;
    const entries = await readdir(path, { withFileTypes: true }).catch((cause: unknown) => { throw unreadable(path, cause); });
    for (const { name: base } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = directory === '' ? base : `${directory}/${base}`;
      if (base.includes('\ufffd')) throw new RealmliftError('UPLOADS_NAME', 'files', `a file in ${path} has a name that is not UTF-8`, { hint: 'rename it, and the row that names it' });
      const file = join(this.#directory, name);
      const stats = await stat(file).catch(() => undefined);
      if (stats?.isDirectory() === true) yield* this.#below(name, [...above, real]);
      else if (stats?.isFile() === true) yield { name, size: stats.size, read: () => read(file) };
    }
  }
}

async function read(file: string): Promise<UploadContent | undefined> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw unreadable(file, cause);
  });
  if (handle === undefined) return undefined;
  const { size, mtimeMs, mode } = await handle.stat();
  const chunks = async function* (): AsyncGenerator<Buffer> {
    try {
      let bytes = 0;
      // A file that grows meanwhile is taken as it was.
      if (size > 0) {
        for await (const chunk of handle.createReadStream({ autoClose: false, start: 0, end: size - 1 }) as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          yield chunk;
        }
      }
      if (bytes < size) throw new RealmliftError('UPLOAD_CHANGED', 'files', `${file} became shorter while it was read`, { hint: 'run again' });
    } finally {
      await handle.close();
    }
  };
  return { size, modified: mtimeMs / 1000, mode: mode & 0o777, chunks: chunks() };
}

function unreadable(path: string, cause: unknown): RealmliftError {
  return new RealmliftError('UPLOADS_DIR_UNREADABLE', 'files', `cannot read ${path} (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, { hint: 'run as the user zulip, or as one who may read the uploads', cause });
}
