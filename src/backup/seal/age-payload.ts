/**
 * The payload of an age file, written and read with Node's own ChaCha20-Poly1305.
 *
 * After the header come a 16 byte nonce and the chunks: 64 KiB of plaintext each (the last one less), every one sealed under
 * the payload key (HKDF-SHA-256 of the file key, salted with the nonce) with an 11 byte big-endian counter and a last-chunk
 * flag as its nonce. The header itself is made in age-keys.ts. The library's own payload cipher is plain
 * JavaScript: 56 MB/s on the machine where this one does 640 MB/s.
 * https://github.com/C2SP/C2SP/blob/main/age.md#payload
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import { BufferPool } from './buffer-pool.js';

const CHUNK = 64 * 1024;
const TAG = 16;
const SEALED_CHUNK = CHUNK + TAG;
const NONCE = 16;
/** Four chunks leave together: what follows digests and writes them in one piece. */
const sealedPool = new BufferPool(4 * SEALED_CHUNK);
const plainPool = new BufferPool(CHUNK);
const CIPHER = 'chacha20-poly1305';
/** A header with a stanza for each of some hundred recipients; anything longer is no age file. */
export const LONGEST_HEADER = 64 * 1024;
const LAST_HEADER_LINE = Buffer.from('\n--- ');

/** What a part is sealed with: a file key of its own, and that key wrapped for every recipient. */
export interface AgeHeader {
  readonly header: Buffer;
  readonly fileKey: Uint8Array;
}

/** Gives the file key of a header, or throws when none of the identities opens it. */
export type OpenHeader = (header: Uint8Array) => Promise<Uint8Array>;

/** The input is no age file, was cut, or does not authenticate. */
export class AgeFormatError extends Error {}

/** Turns plaintext into an age file. Each piece holds its bytes until the next one is asked for. */
export async function* ageEncrypt({ header, fileKey }: AgeHeader, plain: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const salt = randomBytes(NONCE);
  const key = payloadKey(fileKey, salt);
  const nonce = new ChunkNonce();
  const pending = plainPool.take();
  let used = 0;
  const sealed = sealedPool.take();
  let length = 0;
  const seal = (last: boolean): void => {
    const cipher = createCipheriv(CIPHER, key, nonce.next(last), { authTagLength: TAG });
    length += cipher.update(pending.subarray(0, used)).copy(sealed, length);
    cipher.final();
    length += cipher.getAuthTag().copy(sealed, length);
    used = 0;
  };
  length += header.copy(sealed, length);
  length += salt.copy(sealed, length);
  for await (const data of plain) {
    for (let at = 0; at < data.length;) {
      // A full chunk waits for the next byte: only then is it known not to be the last.
      if (used === CHUNK) {
        seal(false);
        if (length + SEALED_CHUNK > sealed.length) {
          yield sealed.subarray(0, length);
          length = 0;
        }
      }
      const taken = data.copy(pending, used, at, at + CHUNK - used);
      used += taken;
      at += taken;
    }
  }
  seal(true);
  yield sealed.subarray(0, length);
  plainPool.give(pending);
  sealedPool.give(sealed);
}

/**
 * Turns an age file into its plaintext. Nothing leaves it that is not authenticated; that the file ended where its writer ended it
 * is known at the end of the stream.
 */
export class AgeDecrypt extends Transform {
  readonly #open: OpenHeader;
  readonly #nonce = new ChunkNonce();
  #key: Buffer | undefined;
  #pending: Buffer = Buffer.alloc(0);
  #chunks = 0;

  constructor(open: OpenHeader) {
    super();
    this.#open = open;
  }

  override _transform(data: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#take(data).then(() => done(), (error: unknown) => done(error as Error));
  }

  override _flush(done: TransformCallback): void {
    try {
      if (this.#key === undefined) throw new AgeFormatError('the file ends inside its header');
      const plain = this.#unseal(this.#pending, true);
      if (plain.length === 0 && this.#chunks > 1) throw new AgeFormatError('the last chunk is empty');
      this.push(plain);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  async #take(data: Buffer): Promise<void> {
    this.#pending = this.#pending.length === 0 ? data : Buffer.concat([this.#pending, data]);
    if (this.#key === undefined) {
      const start = headerLength(this.#pending);
      if (start === undefined || this.#pending.length < start + NONCE) return;
      const fileKey = await this.#open(this.#pending.subarray(0, start));
      this.#key = payloadKey(fileKey, this.#pending.subarray(start, start + NONCE));
      this.#pending = this.#pending.subarray(start + NONCE);
    }
    let at = 0;
    for (; this.#pending.length - at > SEALED_CHUNK; at += SEALED_CHUNK) this.push(this.#unseal(this.#pending.subarray(at, at + SEALED_CHUNK), false));
    this.#pending = this.#pending.subarray(at);
  }

  #unseal(sealed: Buffer, last: boolean): Buffer {
    if (sealed.length < TAG) throw new AgeFormatError('the file ends inside a chunk');
    const decipher = createDecipheriv(CIPHER, this.#key as Buffer, this.#nonce.next(last), { authTagLength: TAG });
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
    const plain = decipher.update(sealed.subarray(0, sealed.length - TAG));
    try {
      decipher.final();
    } catch (cause) {
      throw new AgeFormatError(`chunk ${this.#chunks} does not authenticate`, { cause });
    }
    this.#chunks++;
    return plain;
  }
}

/** Bytes of the header at the beginning of `data`; undefined while its end has not arrived. */
function headerLength(data: Buffer): number | undefined {
  const last = data.indexOf(LAST_HEADER_LINE);
  const end = last === -1 ? -1 : data.indexOf('\n', last + LAST_HEADER_LINE.length);
  if (end === -1 ? data.length > LONGEST_HEADER : end > LONGEST_HEADER) throw new AgeFormatError('no age header');
  return end === -1 ? undefined : end + 1;
}

function payloadKey(fileKey: Uint8Array, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, salt, 'payload', 32));
}

class ChunkNonce {
  readonly #bytes = Buffer.alloc(12);
  #counter = 0;

  next(last: boolean): Buffer {
    // 48 of the counter's 88 bits: 2^48 chunks are 16 EiB.
    this.#bytes.writeUIntBE(this.#counter++, 5, 6);
    this.#bytes[11] = last ? 1 : 0;
    return this.#bytes;
  }
}
