/**
 * Takes the place of a part's file where only its digest is asked for: when the rows of another snapshot would make the same bytes of it, the
 * part still holds. So the digest that every file has is the only one that is taken; one of what COPY sends would cost half as much again.
 */
import { createHash } from 'node:crypto';

export class PartDigest {
  readonly #hash = createHash('sha256');

  write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  writeText(text: string): void {
    this.#hash.update(text);
  }

  /** SHA-256 of the file that there would be. */
  hex(): string {
    return this.#hash.digest('hex');
  }
}
