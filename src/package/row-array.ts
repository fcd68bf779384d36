/** Rows on their way into a file, as one JSON array. */
import { PartFile, type FinishedFile } from './part-file.js';

export class RowArray {
  readonly #file: PartFile;
  #rows = 0;

  /** @throws RealmliftError as {@link PartFile} */
  constructor(path: string) {
    this.#file = new PartFile(path);
    this.#file.writeText('[');
  }

  /** So far. */
  get rows(): number {
    return this.#rows;
  }

  write(row: Uint8Array): void {
    if (this.#rows++ > 0) this.#file.writeText(',');
    this.#file.write(row);
  }

  /** @param flushed see PartFile.finish */
  finish(flushed = true): Promise<FinishedFile> {
    this.#file.writeText(']');
    return this.#file.finish(flushed);
  }

  /** Closes the file as it is, unless it is finished; what it holds is worthless. */
  abandon(): void {
    this.#file.abandon();
  }
}
