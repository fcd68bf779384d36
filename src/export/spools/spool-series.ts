/** Spools of one COPY, one behind the other: the rows of a long one are cut into spools of which each can be worked on alone. */
import type { Spool } from './spool-format.js';
import { SpoolWriter } from './spool-writer.js';

export class SpoolSeries {
  readonly #path: string;
  readonly #groups: number;
  readonly #limit: number;
  readonly #finished: Spool[] = [];
  #writer: SpoolWriter;

  /** @param path of all of them @param limit rows in one */
  constructor(path: string, groups: number, limit = Infinity) {
    this.#path = path;
    this.#groups = groups;
    this.#limit = limit;
    this.#writer = new SpoolWriter(path, groups);
  }

  get writer(): SpoolWriter {
    return this.#writer;
  }

  /** After each row. */
  next(): void {
    if (this.#writer.rows < this.#limit) return;
    this.#finished.push(this.#writer.finish());
    this.#writer = new SpoolWriter(this.#path, this.#groups);
  }

  finish(): Spool[] {
    return [...this.#finished, this.#writer.finish()];
  }

  abandon(): void {
    this.#writer.abandon();
  }
}
