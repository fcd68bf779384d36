/** Uploads on the server's own disk: every file below LOCAL_UPLOADS_DIR. */
import { readdir, type FileHandle } from 'node:fs/promises';
import { sep } from 'node:path';
import { Lost } from '../../files/file-store.js';
import { UploadsTree, contentOf, notRegular, unreadable } from '../../files/uploads-tree.js';
import { asListed, type ListedFile, type OnLostUpload, type UploadContent, type UploadSource, type UploadedFile } from './upload-source.js';

export class DirectoryUploads implements UploadSource {
  readonly kind = 'directory';
  readonly #tree: UploadsTree;

  private constructor(tree: UploadsTree) {
    this.#tree = tree;
  }

  /** @throws RealmliftError UPLOADS_DIR_MISSING, UPLOADS_DIR_UNREADABLE */
  static async open(directory: string): Promise<DirectoryUploads> {
    return new DirectoryUploads(await UploadsTree.open(directory));
  }

  files(onLost: OnLostUpload): AsyncGenerator<UploadedFile> {
    return this.#below('', [], onLost);
  }

  file(listed: ListedFile): UploadedFile {
    return { ...listed, read: () => this.#read(listed.name, (content) => asListed(listed, content)) };
  }

  /** @param above real paths of the directories that are being walked */
  async *#below(directory: string, above: readonly string[], onLost: OnLostUpload): AsyncGenerator<UploadedFile> {
    try {
      const { real } = await this.#tree.find(directory);
      // What leads back there is saved already; what leads above it would be walked for ever.
      if (above.includes(real)) return;
      if (above.some((each) => each.startsWith(real + sep))) throw new Lost('outside', 'a symbolic link leads to a directory above the uploads');
      const entries = await readdir(real, { withFileTypes: true });
      for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) yield* this.#entry(directory === '' ? entry.name : `${directory}/${entry.name}`, [...above, real], onLost);
    } catch (error) {
      this.#lose(directory, error, onLost);
    }
  }

  async *#entry(name: string, above: readonly string[], onLost: OnLostUpload): AsyncGenerator<UploadedFile> {
    try {
      if (name.includes('\ufffd')) throw new Lost('unsafe-name', 'the name is not UTF-8');
      const { stats } = await this.#tree.find(name);
      if (stats.isDirectory()) yield* this.#below(name, above, onLost);
      else if (stats.isFile()) yield { name, size: stats.size, modified: Math.floor(stats.mtimeMs / 1000), read: () => this.#read(name) };
      else throw notRegular();
    } catch (error) {
      this.#lose(name, error, onLost);
    }
  }

  /** @throws what no other file would escape */
  #lose(name: string, error: unknown, onLost: OnLostUpload): void {
    const lost = unreadable(error);
    if (!(lost instanceof Lost)) throw lost;
    onLost({ name, reason: lost.reason, detail: lost.message });
  }

  /** @param check throws when it is not to be read */
  async #read(name: string, check = (content: UploadContent): UploadContent => content): Promise<UploadContent> {
    const handle = await this.#tree.openFile(name);
    try {
      const { size, mtimeMs, mode } = await handle.stat();
      return check({ size, modified: mtimeMs / 1000, mode: mode & 0o777, chunks: this.#chunks(handle, size) });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async *#chunks(handle: FileHandle, size: number): AsyncGenerator<Buffer> {
    try {
      let bytes = 0;
      // A file that grows meanwhile is taken as it was.
      for await (const chunk of contentOf(handle, size)) {
        bytes += chunk.length;
        yield chunk;
      }
      if (bytes < size) throw new Lost('changed', 'it became shorter while it was read');
    } finally {
      await handle.close();
    }
  }
}
