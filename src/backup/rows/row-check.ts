/** Compares rows that pass with what was counted when they were saved. */
import { PartDamage } from '../seal/part-damage.js';
import { rowCounter } from './row-counter.js';
import type { CopyFormat, RowCount, RowCounter } from './row-counter.js';

export class RowCheck {
  readonly #counter: RowCounter;
  readonly #expected: RowCount;

  constructor(format: CopyFormat, expected: RowCount) {
    this.#counter = rowCounter(format);
    this.#expected = expected;
  }

  /** @throws PartDamage after the last chunk, when the rows were not the expected ones */
  async *pass(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      this.#counter.write(chunk);
      yield chunk;
    }
    const { rows, digest } = this.#finished();
    if (rows !== this.#expected.rows) throw new PartDamage(`it holds ${rows} rows instead of ${this.#expected.rows}`);
    if (digest !== this.#expected.digest) throw new PartDamage('its rows are not those that were saved');
  }

  #finished(): RowCount {
    try {
      return this.#counter.finish();
    } catch (error) {
      throw new PartDamage((error as Error).message);
    }
  }
}
