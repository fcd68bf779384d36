/**
 * Digest of the rows that a part was made of: of what COPY sent, with names and types of its columns. When the
 * same query yields it again in another snapshot, the part still holds. SHA-256 here takes 0.6 s for each GB, on processors
 * with instructions for it no more than SHA-1 and half of BLAKE2b.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';

export class SourceDigest {
  readonly #hash = createHash('sha256');

  /** Of the next query's rows. */
  begin(fields: readonly pg.FieldDef[]): void {
    this.#hash.update(JSON.stringify(fields.map(({ name, dataTypeID }) => [name, dataTypeID])));
  }

  update(csv: Uint8Array): void {
    this.#hash.update(csv);
  }

  hex(): string {
    return this.#hash.digest('hex');
  }
}

/** Deals the bytes of one COPY out to several digests, cut before given rows, although chunks may cut a row anywhere. */
export class SplitDigest {
  /** Begun in the midst of a COPY for the rows of the next part. */
  readonly #next: () => SourceDigest;
  #current: SourceDigest | undefined;
  /** Bytes not yet given to a digest, and their offset in the COPY. */
  #bytes: Buffer = Buffer.alloc(0);
  #offset = 0;

  constructor(next: () => SourceDigest) {
    this.#next = next;
  }

  /** Takes a chunk; to be called before its rows are known. */
  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  /** From here on, an offset in the COPY, the rows are the next part's. */
  cut(offset: number): void {
    this.#give(offset - this.#offset);
    this.#current = this.#next();
  }

  /** Says that all rows of the chunk are known but those of its last `unannounced` bytes. */
  settle(unannounced: number): void {
    this.#give(this.#bytes.length - unannounced);
    // The chunk belongs to the connection, which may fill it anew.
    this.#bytes = Buffer.from(this.#bytes);
  }

  #give(length: number): void {
    if (length > 0) this.#current?.update(this.#bytes.subarray(0, length));
    this.#bytes = this.#bytes.subarray(length);
    this.#offset += length;
  }
}
