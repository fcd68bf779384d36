/** An uploads directory that files are restored into. */
import { chmod, lutimes, mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RealmliftError } from '../../errors.js';
import { isDiskFull } from '../../io-reason.js';
import { unsafe } from '../../files/safe-path.js';
import { createAnew, makeOwnDirectories, partialBeside, refuseLink } from '../../package/own-path.js';
import type { ArchivedFile } from './upload-archive.js';
import type { UploadTarget } from './upload-target.js';

const NOTE = '.realmlift-restore.json';
/** Permissions that are restored: nobody but the owner gets any, whatever the file had. */
const OWNER = 0o700;

export class DirectoryTarget implements UploadTarget {
  readonly kind = 'directory';
  readonly description: string;

  constructor(directory: string) {
    this.description = directory;
  }

  async isEmpty(): Promise<boolean> {
    return (await readdir(this.description).catch(absent([]))).length === 0;
  }

  async put({ name, modified, mode }: ArchivedFile, content: Readable): Promise<void> {
    const reason = unsafe(name);
    if (reason !== undefined) throw new RealmliftError('UPLOADS_NAME', 'restore', `the backup holds a file that no directory can: ${reason}`);
    const path = join(this.description, name);
    const partial = partialBeside(path);
    try {
      await makeOwnDirectories(this.description, dirname(name), 0o700);
      await refuseLink(path);
      const file = await createAnew(partial);
      // Onto the disk before the note says that it is there.
      await pipeline(content, file.createWriteStream({ flush: true }));
      await chmod(partial, mode & OWNER);
      await lutimes(partial, modified, modified);
      await rename(partial, path);
    } catch (cause) {
      throw targetError(cause, path);
    }
  }

  async readNote(): Promise<string | undefined> {
    return readFile(join(this.description, NOTE), 'utf8').catch(absent(undefined));
  }

  async writeNote(note: string | undefined): Promise<void> {
    const path = join(this.description, NOTE);
    const partial = partialBeside(path);
    try {
      if (note === undefined) return await rm(path);
      await mkdir(this.description, { recursive: true, mode: 0o700 });
      const file = await createAnew(partial);
      try {
        await file.writeFile(note);
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(partial, path);
    } catch (cause) {
      throw targetError(cause, path);
    }
  }
}

function absent<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return value;
    throw error;
  };
}

function targetError(error: unknown, path: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  // Here nothing is read but the content, which comes from elsewhere.
  if (error instanceof RealmliftError || code === undefined || syscall === undefined || syscall === 'read') return error;
  const full = isDiskFull(error);
  return new RealmliftError(full ? 'DISK_FULL' : 'TARGET_UNUSABLE', 'restore', `cannot write ${path} (${code})`, { hint: full ? 'make room' : 'check the path and its permissions', again: true, cause: error });
}
