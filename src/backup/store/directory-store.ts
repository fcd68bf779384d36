/**
 * Backups in a directory. Files are 0600 in 0700 directories; each is written under another name, flushed to the disk and renamed, so
 * that a file under its own name is whole, whatever happened to this process or the machine.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import type { Dirent } from 'node:fs';
import { link, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { createAnew } from '../../package/own-path.js';
import type { BackupStore } from './backup-store.js';
import { makeDirectory, removeDirectory, storeError, syncDirectory } from './directory-files.js';
import { DirectoryStaging } from './directory-staging.js';
import type { Staging } from './staging.js';

const PARTIAL = '.partial';
/** Bytes per read: a quarter of the reads of Node's default, 64 KiB. */
const READ_SIZE = 256 * 1024;

export class DirectoryStore implements BackupStore {
  readonly description: string;

  constructor(directory: string) {
    this.description = directory;
  }

  async list(): Promise<Map<string, number>> {
    const out = new Map<string, number>();
    const walk = async (below: string): Promise<void> => {
      for (const entry of await this.#entries(below)) {
        const name = below === '' ? entry.name : `${below}/${entry.name}`;
        if (entry.isDirectory()) await walk(name);
        else out.set(name, (await stat(this.#path(name))).size);
      }
    };
    await walk('');
    return out;
  }

  async directories(): Promise<string[]> {
    return (await this.#entries('')).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  }

  async read<T>(name: string, consume: (content: Readable) => Promise<T>): Promise<T> {
    const path = this.#path(name);
    const content = createReadStream(path, { highWaterMark: READ_SIZE });
    try {
      await once(content, 'open');
      return await consume(content);
    } catch (error) {
      throw storeError(error, `cannot read ${path}`);
    } finally {
      content.destroy();
    }
  }

  async write(name: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.#path(name);
    try {
      await makeDirectory(dirname(path));
      const file = await createAnew(path + PARTIAL);
      try {
        for await (const chunk of content) await file.appendFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(path + PARTIAL, path);
      await syncDirectory(dirname(path));
    } catch (error) {
      await rm(path + PARTIAL, { force: true }).catch(() => undefined);
      throw storeError(error, `cannot write ${path}`);
    }
  }

  async create(name: string, content: Uint8Array): Promise<boolean> {
    const path = this.#path(name);
    // Written aside, so that it appears with its content; rename would replace one that is there, link refuses to.
    const aside = `${path}.${randomUUID()}${PARTIAL}`;
    try {
      await makeDirectory(dirname(path));
      await writeFile(aside, content, { flag: 'wx', mode: 0o600 });
      await link(aside, path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw storeError(error, `cannot write ${path}`);
    } finally {
      await rm(aside, { force: true }).catch(() => undefined);
    }
  }

  async remove(name: string): Promise<void> {
    try {
      await rm(this.#path(name), { force: true });
    } catch (error) {
      throw storeError(error, `cannot remove ${this.#path(name)}`);
    }
  }

  clear(): Promise<void> {
    return removeDirectory(this.description);
  }

  within(directory: string): BackupStore {
    return new DirectoryStore(this.#path(directory));
  }

  staging(): Staging {
    return new DirectoryStaging(this.description);
  }

  #path(name: string): string {
    return join(this.description, name);
  }

  async #entries(below: string): Promise<Dirent[]> {
    try {
      return await readdir(this.#path(below), { withFileTypes: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw storeError(error, `cannot list ${this.#path(below)}`);
    }
  }
}
