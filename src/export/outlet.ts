/** Where finished files go at once when the export is a stream: the disk holds no more of it than what is under way. */
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { walk } from '../package/directory-walk.js';
import { MANIFEST } from '../package/manifest.js';
import type { TarArchive } from '../package/tarball.js';

export class ArchiveOutlet {
  readonly #archive: TarArchive;
  readonly #name: string;
  readonly #directory: string;

  /** @param name of the top folder in the archive @param directory of the run */
  constructor(archive: TarArchive, name: string, directory: string) {
    this.#archive = archive;
    this.#name = name;
    this.#directory = directory;
  }

  /**
   * Sends a finished file, by its path in the export, and leaves an empty one in its place: the manifest lists what it finds.
   * @throws the error of the reader, such as OUTPUT_CLOSED when it went away
   */
  async send(path: string): Promise<void> {
    await this.#add(path);
    await truncate(join(this.#directory, path));
  }

  /** Sends what was written last, such as realm.json, and the manifest behind all: a stream without it was cut. @param sent says which files have gone */
  async sendRest(sent: (path: string) => boolean): Promise<void> {
    for (const { path } of walk(this.#directory)) if (path !== MANIFEST && !sent(path)) await this.send(path);
    await this.#add(MANIFEST);
  }

  #add(path: string): Promise<void> {
    return this.#archive.add(`${this.#name}/${path}`, join(this.#directory, path));
  }
}
