/**
 * Zulip's uploads directory on a disk, looked at by exports and backups by one rule.
 *
 * - The directory itself, an area in it (`files`, `avatars`) and a realm's directory there (`files/2`) may be symbolic links to
 *   another disk: only an administrator can have made them, and Zulip serves what they lead to.
 * - What lies deeper was named by others: a link there is followed as long as it stays in its realm's directory.
 * - What cannot be looked at, for whatever reason, is never taken for what is not there.
 */
import type { BigIntStats, Stats } from 'node:fs';
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { access, lstat, open, realpath, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { RealmliftError } from '../errors.js';
import { ioReason } from '../io-reason.js';
import { diskFault } from './export-directory.js';
import { Lost } from './file-store.js';
import { ShortCalls } from './short-calls.js';

/** Directories below the root that may be links: an area and a realm. */
const LINKED_LEVELS = 2;

const HINT = "give Zulip's LOCAL_UPLOADS_DIR (usually /home/zulip/uploads) with --uploads-dir, or S3_UPLOADS_BUCKET and S3_AVATARS_BUCKET";

/** The disk of the uploads. */
const uploadsDisk = new ShortCalls();

/** Neither through a link nor waiting for a writer where it is a FIFO. */
const AS_IT_IS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A file whose bytes are in memory. */
export interface SmallFile {
  readonly before: BigIntStats;
  readonly content: Buffer;
  /** When they had been read. */
  readonly after: BigIntStats;
}

/** What a path of the tree leads to. */
export interface Found {
  /** Without any links. */
  readonly real: string;
  readonly stats: Stats;
}

export class UploadsTree {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** @throws RealmliftError UPLOADS_DIR_MISSING, UPLOADS_DIR_UNREADABLE */
  static async open(directory: string): Promise<UploadsTree> {
    try {
      const found = await stat(directory);
      if (!found.isDirectory()) throw missing(directory);
      await access(directory, constants.R_OK | constants.X_OK);
    } catch (error) {
      if (error instanceof RealmliftError) throw error;
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || (await exists(directory))) throw unreadableUploads(directory, error);
      throw missing(directory);
    }
    return new UploadsTree(directory);
  }

  /** Whether an area is there, and can be read. @throws RealmliftError UPLOADS_DIR_UNREADABLE */
  async hasArea(name: string): Promise<boolean> {
    const path = join(this.directory, name);
    try {
      await access(path, constants.R_OK | constants.X_OK);
      return true;
    } catch (error) {
      // A server that never stored a file of this kind has no such directory; a link whose disk is not mounted is another thing.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !(await exists(path))) return false;
      throw unreadableUploads(path, error);
    }
  }

  /**
   * @param path relative to the tree, with `/`
   * @throws Lost `absent` only where nothing has this name
   */
  async find(path: string): Promise<Found> {
    const parts = path.split('/');
    if (parts.includes('..')) throw new Lost('outside', 'the path leads out of the uploads directory');
    try {
      const real = await realpath(join(this.directory, path));
      const stats = await stat(real);
      if (parts.length > LINKED_LEVELS || !stats.isDirectory()) {
        const home = await realpath(join(this.directory, ...parts.slice(0, Math.min(LINKED_LEVELS, parts.length - 1))));
        if (real !== home && !real.startsWith(home + sep)) throw new Lost('outside', 'a symbolic link leads out of its directory among the uploads');
      }
      return { real, stats };
    } catch (error) {
      throw await this.#lost(path, error);
    }
  }

  /** Opens a regular file, without waiting for a writer where it is a FIFO. @throws Lost, RealmliftError when no file can be opened */
  async openFile(path: string): Promise<FileHandle> {
    const { real } = await this.find(path);
    let handle: FileHandle | undefined;
    try {
      handle = await open(real, AS_IT_IS);
      if (!(await handle.stat()).isFile()) throw notRegular();
      return handle;
    } catch (error) {
      await handle?.close();
      throw await this.#lost(path, error);
    }
  }

  /**
   * A regular file of at most `most` bytes, by a few calls at once, and what was known of it before and after it was read. Undefined where the disk is slow
   * or anything is out of the ordinary (a larger file, a link below the realm's directory, an error), which openFile tells.
   */
  async readSmall(path: string, most: number): Promise<SmallFile | undefined> {
    let small: SmallFile | undefined;
    await uploadsDisk.run(() => { small = this.#readNow(path, most); }, () => Promise.resolve());
    return small;
  }

  #readNow(path: string, most: number): SmallFile | undefined {
    const parts = path.split('/');
    if (parts.length <= LINKED_LEVELS || parts.includes('..')) return undefined;
    let file: number | undefined;
    try {
      const home = realpathSync.native(join(this.directory, ...parts.slice(0, LINKED_LEVELS)));
      const plain = join(home, ...parts.slice(LINKED_LEVELS));
      if (realpathSync.native(plain) !== plain) return undefined;
      file = openSync(plain, AS_IT_IS);
      const before = fstatSync(file, { bigint: true });
      if (!before.isFile() || before.size > most) return undefined;
      // A byte more than it has: it may grow.
      const content = Buffer.allocUnsafe(Number(before.size) + 1);
      let length = 0;
      for (let read = -1; read !== 0 && length < content.length; length += read) read = readSync(file, content, length, content.length - length, length);
      return { before, content: content.subarray(0, length), after: fstatSync(file, { bigint: true }) };
    } catch {
      return undefined;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }

  /** The real path of a directory; undefined when it is not there. @throws Lost */
  async findDirectory(path: string): Promise<string | undefined> {
    if (await this.#hasNothingOf(path)) return undefined;
    try {
      const { real, stats } = await this.find(path);
      if (!stats.isDirectory()) throw new Lost('unreadable', 'it is not a directory');
      return real;
    } catch (error) {
      if (!(error instanceof Lost) || error.reason !== 'absent') throw error;
      if ((error.cause as NodeJS.ErrnoException).code === 'ENOTDIR') throw new Lost('unreadable', 'a part of its path is not a directory', error);
      return undefined;
    }
  }

  /** Whether the area is there and nothing in it has the realm's name: that is so of most realms, and quickly told. */
  async #hasNothingOf(path: string): Promise<boolean> {
    const [area, realm = ''] = path.split('/');
    const place = join(this.directory, area as string);
    if (realm === '' || realm === '..') return false;
    let nothing = false;
    const look = (there: Stats | undefined, named: Stats | undefined): void => { nothing = there?.isDirectory() === true && named === undefined; };
    await uploadsDisk.run(
      () => look(statSync(place, { throwIfNoEntry: false }), lstatSync(join(place, realm), { throwIfNoEntry: false })),
      async () => look(await stat(place).catch(() => undefined), await lstat(join(place, realm)).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : {} as Stats))),
    ).catch(() => undefined);
    return nothing;
  }

  async #lost(path: string, error: unknown): Promise<unknown> {
    const lost = unreadable(error);
    if (!(lost instanceof Lost) || lost.reason !== 'absent') return lost;
    return (await this.#danglingLink(path)) ? new Lost('unreadable', 'a symbolic link leads nowhere', error) : lost;
  }

  async #danglingLink(path: string): Promise<boolean> {
    const parts = path.split('/');
    for (let length = 1; length <= parts.length; length++) {
      const part = join(this.directory, ...parts.slice(0, length));
      if ((await lstat(part).catch(() => undefined))?.isSymbolicLink() === true && (await stat(part).then(() => false, () => true))) return true;
    }
    return false;
  }
}

/** The bytes of an open file from its beginning, at most `length` of them. @throws Lost */
export async function* contentOf(handle: FileHandle, length?: number): AsyncGenerator<Buffer> {
  if (length === 0) return;
  try {
    yield* handle.createReadStream({ autoClose: false, start: 0, ...(length === undefined ? {} : { end: length - 1 }) }) as AsyncIterable<Buffer>;
  } catch (error) {
    throw unreadable(error);
  }
}

/** What ends an attempt to look at or to read something among the uploads: Lost, or an error that no other file would escape. */
export function unreadable(error: unknown): unknown {
  const fault = diskFault(error);
  if (fault !== undefined || error instanceof Lost || error instanceof RealmliftError) return fault ?? error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT': case 'ENOTDIR': return new Lost('absent', 'there is no such file', error);
    case 'EACCES': case 'EPERM': return new Lost('unreadable', `no right to read it (${code})`, error);
    case 'ENXIO': case 'EISDIR': return notRegular(error);
    case 'ELOOP': return new Lost('unreadable', 'symbolic links lead round', error);
    // EIO, ESTALE of a network disk, ENAMETOOLONG …
    default: return syscall === undefined ? error : new Lost('unreadable', `it cannot be read (${code ?? 'unknown'})`, error);
  }
}

export function notRegular(cause?: unknown): Lost {
  return new Lost('unreadable', 'it is not a regular file', cause);
}

/** The error of a directory of uploads without which nothing can be told of any file. */
function unreadableUploads(path: string, cause: unknown): RealmliftError {
  return new RealmliftError('UPLOADS_DIR_UNREADABLE', 'files', `cannot read ${path}: ${ioReason(cause)}`, {
    hint: 'run as the user zulip, or as one who may read the uploads; if it is a link, see that its disk is mounted', cause,
  });
}

function missing(directory: string): RealmliftError {
  return new RealmliftError('UPLOADS_DIR_MISSING', 'files', `there is no uploads directory ${directory}`, { hint: HINT });
}

/** Whether anything has the name, a link that leads nowhere too. */
async function exists(path: string): Promise<boolean> {
  return lstat(path).then(() => true, (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR');
}
