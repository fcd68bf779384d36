/**
 * Files on the server's own disk, below LOCAL_UPLOADS_DIR: `files/` and `avatars/`.
 *
 * Other programs write there while it is read, so a file that changed under the reader is read again. Which links are followed
 * is said in uploads-tree.ts.
 */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { closeSync, constants, createWriteStream, futimesSync, writeFileSync } from 'node:fs';
import { chmod, copyFile, link, rm, stat, utimes, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { isDeepStrictEqual } from 'node:util';
import { RealmliftError } from '../errors.js';
import { digestOf, openAnew } from '../package/part-file.js';
import type { Candidate, Fetched, FetchedOnce, FileStore, ObjectInfo, StoredFile, Taken } from './file-store.js';
import { Lost } from './file-store.js';
import { localCandidates } from './local-candidates.js';
import type { FileRecord } from './records.js';
import { outputDisk } from './short-calls.js';
import { sortedWalk } from './sorted-walk.js';
import { UploadsTree, contentOf, unreadable, type SmallFile } from './uploads-tree.js';
import type { Area } from '../package/export-files.js';
import type { WantedFiles } from './wanted-files.js';

/** Bytes up to which a file is read and written at once, which costs a tenth of a stream; 8 MiB for 32 jobs. */
const SMALL = 256 * 1024;

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
  const tree = await UploadsTree.open(uploadsDir);
  const areas = [await tree.hasArea('files'), await tree.hasArea('avatars')];
  if (!areas.includes(true)) {
    throw new RealmliftError('UPLOADS_DIR_MISSING', 'files', `${uploadsDir} has neither files/ nor avatars/`, { hint: "it is not Zulip's LOCAL_UPLOADS_DIR" });
  }
  return new LocalStore(settings, tree);
}

class LocalStore implements FileStore {
  readonly kind = 'local';
  readonly description: string;
  readonly name: string;
  readonly #copyMode: CopyMode;
  readonly #tree: UploadsTree;

  constructor(settings: LocalStoreSettings, tree: UploadsTree) {
    this.name = 'an uploads directory';
    this.description = `uploads directory ${settings.uploadsDir}`;
    this.#copyMode = settings.copyMode ?? 'copy';
    this.#tree = tree;
  }

  candidates(area: Area, wanted: WantedFiles): AsyncIterable<Candidate> {
    return localCandidates(area, wanted, this.#tree);
  }

  async fetch(candidate: Candidate, partial: string, signal: AbortSignal): Promise<Fetched> {
    const small = this.#copyMode === 'copy' ? await this.#tree.readSmall(placeOf(candidate), SMALL) : undefined;
    if (small !== undefined && small.content.length === Number(small.before.size) && sameVersion(small.before, small.after)) return saveSmall(candidate, partial, small);
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      const handle = await this.#tree.openFile(placeOf(candidate));
      try {
        const before = await handle.stat({ bigint: true });
        const info = infoOf(before);
        const verdict = candidate.judge(info);
        if (!verdict.take) return { taken: false };
        await rm(partial, { force: true });
        const copied = await this.#copy(handle, candidate, partial, signal);
        const after = await handle.stat({ bigint: true });
        if (copied.size === info.size && sameVersion(before, after)) return { taken: true, verdict, ...copied, identity: identityOf(after) };
      } finally {
        await handle.close();
      }
      if (attempt === ATTEMPTS) throw new Lost('changed', 'the file kept changing while it was copied');
    }
  }

  async unchanged(candidate: Candidate, record: FileRecord): Promise<boolean> {
    const found = await this.#tree.openFile(placeOf(candidate)).catch(() => undefined);
    if (found === undefined) return false;
    try {
      const verdict = candidate.judge(infoOf(await found.stat({ bigint: true })));
      return verdict.take && isDeepStrictEqual(verdict.record, record);
    } finally {
      await found.close();
    }
  }

  async stillThere(candidate: Candidate, { identity }: FetchedOnce): Promise<Taken | undefined> {
    const found = await this.#tree.openFile(placeOf(candidate)).catch(() => undefined);
    if (found === undefined) return undefined;
    try {
      const stats = await found.stat({ bigint: true });
      const verdict = candidate.judge(infoOf(stats));
      return identity === identityOf(stats) && verdict.take ? verdict : undefined;
    } finally {
      await found.close();
    }
  }

  async* list(area: Area, realmId: number): AsyncGenerator<StoredFile> {
    const prefix = { uploads: `${realmId}`, avatars: `${realmId}`, emoji: `${realmId}/emoji`, realm_icons: `${realmId}/realm` }[area];
    const directory = await this.#tree.findDirectory(`${DIRECTORIES[area]}/${prefix}`);
    if (directory === undefined) return;
    for await (const { key, size } of sortedWalk(directory, '')) if (area !== 'avatars' || !key.includes('/')) yield { key: `${prefix}/${key}`, size };
  }

  close(): void {
    // Nothing stays open between two files.
  }

  async #copy(handle: FileHandle, candidate: Candidate, partial: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
    if (this.#copyMode === 'copy') {
      const copied = await copyBytes(handle, partial, signal);
      const { atime, mtime } = await handle.stat();
      await utimes(partial, atime, mtime);
      return copied;
    }
    const { real } = await this.#tree.find(placeOf(candidate));
    try {
      if (this.#copyMode === 'link') await link(real, partial).catch(cannotLink);
      else {
        await copyFile(real, partial, constants.COPYFILE_FICLONE);
        // It has the rights of the original, which a hard link cannot but share: its directories keep others out.
        await chmod(partial, 0o600);
      }
      // Neither takes an open file: another may have taken its name since it was looked at.
      if (!sameVersion(await stat(real, { bigint: true }), await handle.stat({ bigint: true }))) throw new Lost('changed', 'the file was replaced while it was copied');
    } catch (error) {
      throw unreadable(error);
    }
    return digestOf(partial);
  }
}

/** Where below the uploads directory an area's files lie. */
const DIRECTORIES = { uploads: 'files', avatars: 'avatars', emoji: 'avatars', realm_icons: 'avatars' } as const satisfies Record<Area, string>;

function placeOf({ area, key }: Candidate): string {
  return `${DIRECTORIES[area]}/${key}`;
}

/** What no file would escape. `protected_hardlinks` of Linux lets only a file's owner, or who may write it, link it. */
function cannotLink(cause: unknown): never {
  const { code } = cause as NodeJS.ErrnoException;
  const why = code === 'EXDEV' ? 'the export is on another file system than the uploads' : code === 'EPERM' ? 'the system lets only the owner of a file link it' : undefined;
  throw why === undefined ? cause : new RealmliftError('CANNOT_LINK', 'files', why, { hint: 'leave out --copy-mode link', cause });
}

/** The hot path: most uploads are small. */
async function saveSmall(candidate: Candidate, partial: string, { content, after }: SmallFile): Promise<Fetched> {
  const verdict = candidate.judge(infoOf(after));
  if (!verdict.take) return { taken: false };
  const { atime, mtime } = after;
  await outputDisk.run(() => {
    const file = openAnew(partial);
    try {
      writeFileSync(file, content);
      futimesSync(file, atime, mtime);
    } finally {
      closeSync(file);
    }
  }, async () => {
    await rm(partial, { force: true });
    await writeFile(partial, content, { flag: 'wx', mode: 0o600 });
    await utimes(partial, atime, mtime);
  });
  return { taken: true, verdict, size: content.length, sha256: createHash('sha256').update(content).digest('hex'), identity: identityOf(after) };
}

async function copyBytes(handle: FileHandle, partial: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  await pipeline(
    contentOf(handle),
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

/** The time of its last change by anybody (ctime) cannot be set. Devices get other numbers when a server is started. */
function identityOf({ size, ino, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${size} ${ino} ${mtimeNs} ${ctimeNs}`;
}

function sameVersion(before: BigIntStats, after: BigIntStats): boolean {
  return before.size === after.size && before.mtimeNs === after.mtimeNs && before.ino === after.ino;
}
