/**
 * Where files become part of the export: each is written under a partial name in a scratch directory of the same file
 * system and linked to its final name when it is whole. Linking fails where a name is taken, also by a name that only
 * this file system holds to be the same (case, normalisation), so no file ever replaces another.
 */
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, unlinkSync } from 'node:fs';
import { link, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { RealmliftError } from '../errors.js';
import { RUN_DIRECTORY } from '../package/output-directory.js';
import { diskError, digestOf } from '../package/part-file.js';
import type { FilesTarget } from './files-target.js';
import { outputDisk } from './short-calls.js';

/** Holds files that are not whole, among the run's own files. */
const SCRATCH = join(RUN_DIRECTORY, 'files');

/** What link(2) answers where the file system has no hard links. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** What opening, writing or linking answers when the export's own disk is at fault, whatever file is written. */
const DISK_FAULTS = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG', 'EMFILE', 'ENFILE']);

/** What the path of a file that would be overwritten, or that leads through another file, ends in. */
export class NameTaken extends Error {}

export class ExportDirectory implements FilesTarget {
  readonly #directory: string;
  readonly #scratch: string;
  readonly #resume: boolean;
  #made = false;

  /** @param resume whether files of an earlier run may lie here, and be replaced where they were not journalled */
  private constructor(directory: string, resume: boolean) {
    this.#directory = directory;
    this.#scratch = join(directory, SCRATCH);
    this.#resume = resume;
  }

  static async open(directory: string, resume: boolean): Promise<ExportDirectory> {
    const opened = new ExportDirectory(directory, resume);
    if (!resume) await opened.#clear();
    return opened;
  }

  /**
   * Where the file that becomes `path` is written meanwhile. The same for the same path in each run, so that a run can
   * go on with what an earlier one left.
   */
  partial(path: string): string {
    // Most of a thousand realms have no files.
    if (!this.#made) mkdirSync(this.#scratch, { recursive: true, mode: 0o700 });
    this.#made = true;
    return join(this.#scratch, createHash('sha256').update(path).digest('hex').slice(0, 32));
  }

  /**
   * Gives the whole partial file its final name.
   *
   * @param path relative to the export's directory; must have passed `unsafe`
   * @throws NameTaken when another file of the export is or would be in its way
   */
  async publish(partial: string, path: string): Promise<undefined> {
    const final = join(this.#directory, path);
    try {
      await linkNew(partial, final);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOTDIR' || code === 'EISDIR') throw new NameTaken('a part of the path is another file');
      if (code !== 'EEXIST') throw error;
      if (!this.#resume || !(await isFileOfExactName(final))) throw new NameTaken('another file has this name');
      await rename(partial, final);
    }
  }

  /** Whether `path` is there with this size and content. */
  async holds(path: string, { size, sha256 }: { readonly size: number; readonly sha256: string }): Promise<boolean> {
    const final = join(this.#directory, path);
    const found = await stat(final).catch(() => undefined);
    if (found?.isFile() !== true || found.size !== size) return false;
    return (await digestOf(final)).sha256 === sha256;
  }

  /** Removes what is left of unfinished files. */
  async close(): Promise<void> {
    await this.#clear();
  }

  async #clear(): Promise<void> {
    if (existsSync(this.#scratch)) await rm(this.#scratch, { recursive: true, force: true });
  }
}

/** The error of a full or broken disk, which no other attempt or file would escape; undefined for any other error. @param what was written */
export function diskFault(error: unknown, what = 'a file of the export'): RealmliftError | undefined {
  return DISK_FAULTS.has((error as NodeJS.ErrnoException).code ?? '') ? diskError(error, what) : undefined;
}

async function linkNew(partial: string, final: string): Promise<void> {
  try {
    await outputDisk.run(() => {
      mkdirSync(dirname(final), { recursive: true, mode: 0o700 });
      linkSync(partial, final);
    }, async () => {
      await mkdir(dirname(final), { recursive: true, mode: 0o700 });
      await link(partial, final);
    });
  } catch (error) {
    if (!NO_LINKS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    // Reserves the name (O_EXCL), then replaces the reservation.
    await (await open(final, 'wx', 0o600)).close();
    await rename(partial, final);
    return;
  }
  await outputDisk.run(() => unlinkSync(partial), async () => unlink(partial));
}

/** On a file system that folds names, `stat` finds a file of another spelling: the directory's listing tells. */
async function isFileOfExactName(file: string): Promise<boolean> {
  const entries = await readdir(dirname(file), { withFileTypes: true }).catch(() => []);
  return entries.some((entry) => entry.name === basename(file) && entry.isFile());
}
