/** Objects staged in a directory that several machines see: each under a name of its own in one directory, which is gone when the backup is whole. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RealmliftError } from '../../errors.js';
import { makeDirectory, removeDirectory, storeError, syncDirectory } from './directory-files.js';
import type { StagedObject, Staging } from './staging.js';

const STAGED = '.staged';
const FILE = /^[0-9a-f-]{36}$/;

export class DirectoryStaging implements Staging {
  readonly #directory: string;

  /** @param directory of the backup */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async begin(): Promise<void> {
    const path = join(this.#directory, STAGED);
    await makeDirectory(this.#directory).then(() => mkdir(path, { mode: 0o700 })).catch((error: unknown) => { throw storeError(error, `cannot write ${path}`); });
  }

  async stage(name: string, content: AsyncIterable<Uint8Array>): Promise<StagedObject> {
    const file = randomUUID();
    const path = this.#staged(file);
    let size = 0;
    try {
      // Without its directory there is nobody who would complete it.
      const handle = await open(path, 'wx', 0o600);
      try {
        for await (const chunk of content) {
          await handle.appendFile(chunk);
          size += chunk.length;
        }
        await handle.sync();
      } finally {
        await handle.close();
      }
      return { name, size, file };
    } catch (error) {
      await rm(path, { force: true }).catch(() => undefined);
      throw storeError(error, `cannot write ${path}`);
    }
  }

  async complete({ name, size, file = '' }: StagedObject): Promise<void> {
    const [staged, path] = [this.#staged(file), join(this.#directory, name)];
    const found = FILE.test(file) ? await stat(staged).catch(() => undefined) : undefined;
    if (found?.size !== size) {
      throw new RealmliftError('PART_NOT_THERE', 'backup', `a worker says that it wrote ${size} bytes to ${staged}, and here ${found === undefined ? 'there is no such file' : `it has ${found.size}`}`, {
        hint: 'the directory of backups must be one that all machines share, and see alike',
      });
    }
    try {
      await makeDirectory(dirname(path));
      await rename(staged, path);
      await syncDirectory(dirname(path));
    } catch (error) {
      throw storeError(error, `cannot write ${path}`);
    }
  }

  async giveUp({ file = '' }: StagedObject): Promise<void> {
    if (FILE.test(file)) await rm(this.#staged(file), { force: true }).catch(() => undefined);
  }

  async end(): Promise<void> {
    await removeDirectory(join(this.#directory, STAGED));
  }

  #staged(file: string): string {
    return join(this.#directory, STAGED, file);
  }
}
