/**
 * Files on the server's own disk, below LOCAL_UPLOADS_DIR: `files/` and `avatars/`.
 *
 * Other programs write there while it is read, and users choose names, so every file is opened without following a
 * symbolic link out of the directory, and read again when it changed under the reader.
 */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import { access, copyFile, link, open, realpath, rm, stat, utimes } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isDeepStrictEqual } from 'node:util';
import { RealmliftError } from '../errors.js';
import { digestOf } from '../package/part-file.js';
import { diskFault } from './export-directory.js';
import type { Candidate, Fetched, FileStore, ObjectInfo, StoredFile } from './file-store.js';
import { Lost } from './file-store.js';
import { localCandidates } from './local-candidates.js';
import type { FileRecord } from './records.js';
import { sortedWalk } from './sorted-walk.js';
import type { Area, WantedFiles } from './wanted-files.js';

/** How often a file that changes while it is read is read again. */
const ATTEMPTS = 3;

/** `copy` reads and writes; `clone` shares blocks where the file system can; `link` makes hard links. */
export type CopyMode = 'copy' | 'clone' | 'link';

export interface LocalStoreSettings {
  /** Zulip's LOCAL_UPLOADS_DIR. */
  readonly uploadsDir: string;
  /** Default `copy`. */
  readonly copyMode?: CopyMode | undefined;
}

/**
 * Opens the directory and checks that it is one.
 *
 * @throws RealmliftError UPLOADS_DIR_MISSING, UPLOADS_DIR_UNREADABLE
 */
export async function openLocalStore(settings: LocalStoreSettings): Promise<FileStore> {
  const { uploadsDir } = settings;
  const found = await stat(uploadsDir).catch(() => undefined);
  if (found?.isDirectory() !== true) {
    throw new RealmliftError('UPLOADS_DIR_MISSING', 'files', `there is no uploads directory ${uploadsDir}`, {
      hint: "give Zulip's LOCAL_UPLOADS_DIR (usually /home/zulip/uploads) with --uploads-dir, or S3_UPLOADS_BUCKET and S3_AVATARS_BUCKET",
    });
  }
  const roots = { files: await readableRoot(uploadsDir, 'files'), avatars: await readableRoot(uploadsDir, 'avatars') };
  if (roots.files === undefined && roots.avatars === undefined) {
    throw new RealmliftError('UPLOADS_DIR_MISSING', 'files', `${uploadsDir} has neither files/ nor avatars/`, { hint: "it is not Zulip's LOCAL_UPLOADS_DIR" });
  }
  return new LocalStore(settings, roots);
}

/** The real path of a root, which may itself be a symbolic link to another disk; undefined when it is not there. */
async function readableRoot(uploadsDir: string, name: string): Promise<string | undefined> {
  try {
    const root = await realpath(join(uploadsDir, name));
    await access(root, constants.R_OK | constants.X_OK);
    return root;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    // A server that never stored a file of this kind has no such directory.
    if (code === 'ENOENT') return undefined;
    throw new RealmliftError('UPLOADS_DIR_UNREADABLE', 'files', `cannot read ${join(uploadsDir, name)} (${code ?? 'unknown'})`, {
      hint: 'run as the user zulip, or as one who may read the uploads', cause,
    });
  }
}

class LocalStore implements FileStore {
  readonly kind = 'local';
  readonly description: string;
  readonly #copyMode: CopyMode;
  readonly #roots: { readonly files: string | undefined; readonly avatars: string | undefined };

  constructor(settings: LocalStoreSettings, roots: { files: string | undefined; avatars: string | undefined }) {
    this.description = `uploads directory ${settings.uploadsDir}`;
    this.#copyMode = settings.copyMode ?? 'copy';
    this.#roots = roots;
  }

  candidates(area: Area, wanted: WantedFiles): AsyncIterable<Candidate> {
    return localCandidates(area, wanted, this.#roots.avatars);
  }

  async fetch(candidate: Candidate, partial: string, signal: AbortSignal): Promise<Fetched> {
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      const handle = await this.#open(candidate);
      try {
        const before = await handle.stat({ bigint: true });
        const info = infoOf(before);
        const verdict = candidate.judge(info);
        if (!verdict.take) return { taken: false };
        await rm(partial, { force: true });
        const copied = await this.#copy(handle, candidate, partial, signal);
        const after = await handle.stat({ bigint: true });
        if (copied.size === info.size && sameVersion(before, after)) return { taken: true, verdict, ...copied };
      } catch (error) {
        throw this.#fault(error);
      } finally {
        await handle.close();
      }
      if (attempt === ATTEMPTS) throw new Lost('changed', 'the file kept changing while it was copied');
    }
  }

  async unchanged(candidate: Candidate, record: FileRecord): Promise<boolean> {
    const found = await this.#open(candidate).catch(() => undefined);
    if (found === undefined) return false;
    try {
      const verdict = candidate.judge(infoOf(await found.stat({ bigint: true })));
      return verdict.take && isDeepStrictEqual(verdict.record, record);
    } finally {
      await found.close();
    }
  }

  async* list(area: Area, realmId: number): AsyncGenerator<StoredFile> {
    const root = this.#root(area);
    if (root === undefined) return;
    const prefix = { uploads: `${realmId}`, avatars: `${realmId}`, emoji: `${realmId}/emoji`, realm_icons: `${realmId}/realm` }[area];
    for await (const file of sortedWalk(root, prefix)) {
      if (area !== 'avatars' || file.key.split('/').length === 2) yield file;
    }
  }

  close(): void {
    // Nothing stays open between two files.
  }

  /** Opens the regular file that the key names, wherever below its root symbolic links lead. */
  async #open(candidate: Candidate): Promise<FileHandle> {
    const root = this.#root(candidate.area);
    if (root === undefined) throw new Lost('absent', 'there is no such directory');
    let handle: FileHandle | undefined;
    try {
      const file = await realPath(root, candidate.key);
      // Non-blocking: opening a FIFO would otherwise wait for a writer.
      handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      if (!(await handle.stat()).isFile()) throw new Lost('unreadable', 'it is not a regular file');
      return handle;
    } catch (error) {
      await handle?.close();
      throw this.#fault(error);
    }
  }

  #root(area: Area): string | undefined {
    return area === 'uploads' ? this.#roots.files : this.#roots.avatars;
  }

  async #copy(handle: FileHandle, candidate: Candidate, partial: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
    if (this.#copyMode === 'copy') {
      const copied = await copyBytes(handle, partial, signal);
      const { atime, mtime } = await handle.stat();
      await utimes(partial, atime, mtime);
      return copied;
    }
    const source = await realPath(this.#root(candidate.area) as string, candidate.key);
    if (this.#copyMode === 'link') await link(source, partial).catch(cannotLink);
    else await copyFile(source, partial, constants.COPYFILE_FICLONE);
    // Neither takes an open file: another may have taken its name since it was looked at.
    if (!sameVersion(await stat(source, { bigint: true }), await handle.stat({ bigint: true }))) throw new Lost('changed', 'the file was replaced while it was copied');
    return digestOf(partial);
  }

  #fault(error: unknown): unknown {
    const fault = diskFault(error);
    if (fault !== undefined || !(error instanceof Error) || error instanceof Lost) return fault ?? error;
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT': case 'ENOTDIR': return new Lost('absent', 'there is no such file');
      case 'EACCES': case 'EPERM': return new Lost('unreadable', 'no right to read it');
      case 'ELOOP': case 'ENXIO': case 'EISDIR': return new Lost('unreadable', 'it is not a regular file');
      default: return error;
    }
  }
}

/** What no file would escape. `protected_hardlinks` of Linux lets only a file's owner, or who may write it, link it. */
function cannotLink(cause: unknown): never {
  const { code } = cause as NodeJS.ErrnoException;
  const why = code === 'EXDEV' ? 'the export is on another file system than the uploads' : code === 'EPERM' ? 'the system lets only the owner of a file link it' : undefined;
  throw why === undefined ? cause : new RealmliftError('CANNOT_LINK', 'files', why, { hint: 'leave out --copy-mode link', cause });
}

/** @throws Lost when the file is not below the root */
async function realPath(root: string, key: string): Promise<string> {
  const file = await realpath(join(root, key));
  if (!file.startsWith(root + sep)) throw new Lost('outside', 'a symbolic link leads out of the uploads directory');
  return file;
}

async function copyBytes(handle: FileHandle, partial: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  await pipeline(
    handle.createReadStream({ autoClose: false, start: 0 }),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    },
    createWriteStream(partial, { flags: 'wx', mode: 0o600 }),
    { signal },
  );
  return { size, sha256: hash.digest('hex') };
}

/** A record's `last_modified` is Python's st_mtime: seconds plus 1e-9 times nanoseconds, as a double. */
function infoOf(stats: BigIntStats): ObjectInfo & { lastModified: number } {
  const seconds = stats.mtimeNs / 1_000_000_000n;
  return { size: Number(stats.size), lastModified: Number(seconds) + 1e-9 * Number(stats.mtimeNs % 1_000_000_000n), contentType: null, metadata: {} };
}

function sameVersion(before: BigIntStats, after: BigIntStats): boolean {
  return before.size === after.size && before.mtimeNs === after.mtimeNs && before.ino === after.ino;
}
