/** The new server's uploads directory (LOCAL_UPLOADS_DIR), with files/ and avatars/ in it. */
import { createWriteStream } from 'node:fs';
import { access, constants, lchown, lstat, lutimes, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EXIT, RealmliftError } from '../../errors.js';
import { diskFault } from '../../files/export-directory.js';
import { unsafe } from '../../files/safe-path.js';
import { makeOwnDirectories, partialBeside, refuseLink, requireOwnDirectories } from '../../package/own-path.js';
import { changed } from '../../pipe/table-file.js';
import { contentOf } from './file-content.js';
import type { FileTarget } from './file-target.js';
import type { FileAttributes, PlannedFile } from './file-plan.js';

/** Directories below the uploads. */
const AREAS: readonly PlannedFile['area'][] = ['files', 'avatars'];

export class DirectoryFiles implements FileTarget {
  readonly description: string;
  /** Who owns the uploads, when that is not who we are and we may give files away. */
  #owner: { readonly uid: number; readonly gid: number } | undefined;

  constructor(directory: string) {
    this.description = directory;
  }

  /** @throws RealmliftError UPLOADS_DIR_MISSING, UPLOADS_DIR_UNWRITABLE, OUTPUT_UNSAFE */
  async open(): Promise<void> {
    const found = await stat(this.description).catch(() => undefined);
    if (found?.isDirectory() !== true) {
      throw new RealmliftError('UPLOADS_DIR_MISSING', 'load', `there is no directory ${this.description}`, { hint: "give the new server's LOCAL_UPLOADS_DIR (usually /home/zulip/uploads) with --uploads-dir", exit: EXIT.nothingExported });
    }
    await access(this.description, constants.W_OK | constants.X_OK).catch((cause: unknown) => {
      throw new RealmliftError('UPLOADS_DIR_UNWRITABLE', 'load', `${this.description} cannot be written`, { hint: 'run as the user zulip, who owns the uploads', exit: EXIT.nothingExported, cause });
    });
    for (const area of AREAS) await requireOwnDirectories(this.description, area);
    if (process.getuid?.() === 0 && found.uid !== 0) this.#owner = { uid: found.uid, gid: found.gid };
  }

  async has(area: PlannedFile['area'], prefix: string): Promise<boolean> {
    try {
      return (await readdir(join(this.description, area, prefix)).catch(emptyIfAbsent)).length > 0;
    } catch (error) {
      throw this.#fault(error, `${area}/${prefix}`);
    }
  }

  async put(file: PlannedFile, from: string, signal: AbortSignal): Promise<void> {
    const { area, key, modified } = file;
    await this.#store(area, key, async (to) => {
      await pipeline(contentOf(file, from), createWriteStream(to, { flags: 'wx', mode: 0o644 }), { signal });
      if (modified !== undefined) await lutimes(to, modified, modified);
    });
  }

  async write(area: PlannedFile['area'], key: string, content: Buffer, _attributes: FileAttributes, signal: AbortSignal): Promise<void> {
    await this.#store(area, key, async (to) => pipeline([content], createWriteStream(to, { flags: 'wx', mode: 0o644 }), { signal }));
  }

  async remove(area: PlannedFile['area'], prefixes: readonly string[], keys: readonly string[]): Promise<number> {
    let removed = 0;
    try {
      for (const prefix of prefixes) {
        const directory = join(this.description, area, prefix);
        await requireOwnDirectories(this.description, join(area, dirname(prefix)));
        await refuseLink(directory);
        removed += (await readdir(directory, { recursive: true, withFileTypes: true }).catch(emptyIfAbsent)).filter((entry) => !entry.isDirectory()).length;
        await rm(directory, { recursive: true, force: true });
      }
      for (const key of keys) {
        await requireOwnDirectories(this.description, join(area, dirname(key)));
        const path = join(this.description, area, key);
        if (await lstat(path).then(() => true, () => false)) removed++;
        for (const each of [path, partialBeside(path)]) await rm(each, { force: true });
      }
    } catch (error) {
      throw this.#fault(error, `${area}/`);
    }
    return removed;
  }

  close(): void {
    // Nothing is kept open.
  }

  /** Under its name only when it is whole and on the disk. */
  async #store(area: string, key: string, fill: (to: string) => Promise<void>): Promise<void> {
    const problem = unsafe(key);
    if (problem !== undefined) throw changed(key, problem);
    const to = join(this.description, area, key);
    const partial = partialBeside(to);
    try {
      const own = this.#owner;
      await makeOwnDirectories(this.description, join(area, dirname(key)), 0o755, async (made) => { if (own !== undefined) await lchown(made, own.uid, own.gid); });
      await refuseLink(to);
      await rm(partial, { force: true });
      await fill(partial);
      const file = await open(partial, constants.O_RDONLY | constants.O_NOFOLLOW);
      await file.datasync().finally(() => file.close());
      if (own !== undefined) await lchown(partial, own.uid, own.gid);
      await rename(partial, to);
    } catch (error) {
      if ((error as RealmliftError).code !== 'OUTPUT_UNSAFE') await rm(partial, { force: true }).catch(() => undefined);
      throw this.#fault(error, `${area}/${key}`);
    }
  }

  #fault(error: unknown, what: string): unknown {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof RealmliftError || code === undefined || syscall === undefined) return error;
    return diskFault(error, join(this.description, what)) ?? new RealmliftError('UPLOADS_DIR_UNWRITABLE', 'load', `cannot write ${what} below ${this.description} (${code})`, { hint: 'run as the user zulip, who owns the uploads', cause: error });
  }
}

/** Of a directory that is not there; one that cannot be looked into is not taken for empty. */
function emptyIfAbsent(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
