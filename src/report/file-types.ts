/** Uploaded files as their owners think of them: pictures, documents and so on, and which are the largest. */
import { extname } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  pictures: 'png jpg jpeg gif webp heic heif avif bmp tif tiff svg ico', videos: 'mp4 mov webm mkv avi m4v', sound: 'mp3 wav ogg m4a flac aac opus',
  documents: 'pdf doc docx odt rtf txt md tex pages', tables: 'xls xlsx ods csv tsv', slides: 'ppt pptx odp key', archives: 'zip gz tgz bz2 xz zst 7z rar tar',
  code: 'js ts py rb go rs c h cpp java kt sh sql json yaml yml toml xml html css patch diff log ipynb',
};
const BY_EXTENSION = new Map<string, string>(Object.entries(TYPES).flatMap(([type, extensions]) => extensions.split(' ').map((extension) => [`.${extension}`, type] as const)));

export function fileType(path: string): string {
  return BY_EXTENSION.get(extname(path).toLowerCase()) ?? 'others';
}

export interface LargeFile {
  readonly path: string;
  readonly size: number;
}

const SHOWN = 5;

/** The largest of any number of files. */
export class LargestFiles {
  #list: LargeFile[] = [];

  add(file: LargeFile): void {
    if (this.#list.length === SHOWN && file.size <= (this.#list.at(-1) as LargeFile).size) return;
    this.#list = [...this.#list, file].sort((a, b) => b.size - a.size).slice(0, SHOWN);
  }

  get list(): readonly LargeFile[] {
    return this.#list;
  }
}
