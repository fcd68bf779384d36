/**
 * zstd as a sequence of frames of a few MB, each compressed as a whole: any thread can do one, memory stays the same, and `zstd -d` takes
 * them all. https://www.rfc-editor.org/rfc/rfc8878
 */
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { Transform, type TransformCallback } from 'node:stream';
import { RealmliftError } from '../../errors.js';
import { PartDamage } from './part-damage.js';

/** Bytes of a frame's content. */
const CONTENT = 4 * 1024 * 1024;
/** Bytes that one block of a frame holds at most. */
const BLOCK = 128 * 1024;

export const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

interface Zstd {
  readonly compress: (content: Buffer, level: number) => Promise<Buffer>;
  readonly decompress: (frame: Buffer) => Promise<Buffer>;
}

type Call = (bytes: Buffer, options: object) => Promise<Buffer>;

/** Node's own where it has it (22.15), else a native package. */
async function load(): Promise<Zstd> {
  const own = zlib as unknown as { readonly zstdCompress?: unknown; readonly zstdDecompress?: unknown; readonly constants: Readonly<Record<string, number>> };
  if (typeof own.zstdCompress !== 'function') return import('@mongodb-js/zstd').catch((cause: unknown) => { throw missing(cause); });
  const [compress, decompress] = [own.zstdCompress, own.zstdDecompress].map((each) => promisify(each as () => void) as unknown as Call) as [Call, Call];
  return {
    compress: (content, level) => compress(content, { params: { [own.constants.ZSTD_c_compressionLevel as number]: level } }),
    decompress: (frame) => decompress(frame, { maxOutputLength: CONTENT }),
  };
}

function missing(cause: unknown): RealmliftError {
  return new RealmliftError('ZSTD_MISSING', 'backup', `Node ${process.version} has no zstd, and of its native package there is none for this machine`, { hint: 'take Node 22.15 or later, or --compress gzip', cause });
}

let loaded: Promise<Zstd> | undefined;
const zstd = (): Promise<Zstd> => (loaded ??= load());

/** Takes content, which is not kept, and gives frames. One is compressed while the next is gathered. */
export class ZstdCompress extends Transform {
  readonly #level: number;
  #content = Buffer.allocUnsafeSlow(CONTENT);
  #spare = Buffer.allocUnsafeSlow(CONTENT);
  #length = 0;
  #frames = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(level: number, highWaterMark: number) {
    super({ highWaterMark });
    this.#level = level;
  }

  override _transform(chunk: Buffer, _encoding: string, callback: TransformCallback): void {
    this.#take(chunk).then(() => callback(), callback);
  }

  override _flush(callback: TransformCallback): void {
    // Also what is empty is a frame.
    if (this.#length > 0 || this.#frames === 0) this.#begin();
    this.#running.then(() => callback(), callback);
  }

  async #take(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const length = Math.min(chunk.length - at, CONTENT - this.#length);
      chunk.copy(this.#content, this.#length, at, at + length);
      at += length;
      this.#length += length;
      if (this.#length < CONTENT) continue;
      await this.#running;
      this.#begin();
    }
  }

  /** To be called when no frame is under way but the last. */
  #begin(): void {
    const content = this.#content.subarray(0, this.#length);
    [this.#content, this.#spare] = [this.#spare, this.#content];
    this.#length = 0;
    this.#frames += 1;
    this.#running = this.#running.then(async () => void this.push(await (await zstd()).compress(content, this.#level)));
    // Told by who waits for it next.
    this.#running.catch(() => undefined);
  }
}

/** The content of frames that ZstdCompress made. @throws PartDamage */
export async function* zstdContent(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const held = new Held();
  for await (const chunk of chunks) {
    held.add(chunk);
    for (let length = frameLength(held.bytes); length !== undefined; length = frameLength(held.bytes)) {
      yield await (await zstd()).decompress(held.bytes.subarray(0, length)).catch((error: unknown) => { throw new PartDamage(`zstd: ${(error as Error).message.split('\n')[0]}`); });
      held.drop(length);
    }
  }
  if (held.bytes.length > 0) throw new PartDamage('its last zstd frame is cut off');
}

/** Bytes that wait for those that belong to them: copied once, and not anew for each that comes. */
class Held {
  #buffer = Buffer.allocUnsafe(CONTENT / 4);
  #from = 0;
  #to = 0;

  get bytes(): Buffer {
    return this.#buffer.subarray(this.#from, this.#to);
  }

  add(chunk: Buffer): void {
    const length = this.#to - this.#from;
    if (this.#to + chunk.length > this.#buffer.length) {
      const room = length + chunk.length > this.#buffer.length / 2 ? Buffer.allocUnsafe(2 * (length + chunk.length)) : this.#buffer;
      this.#buffer.copy(room, 0, this.#from, this.#to);
      this.#buffer = room;
      this.#from = 0;
      this.#to = length;
    }
    this.#to += chunk.copy(this.#buffer, this.#to);
  }

  drop(length: number): void {
    this.#from += length;
  }
}

/** Bytes of the frame that begins here; undefined when it is not there as a whole. @throws PartDamage for what we do not write */
function frameLength(bytes: Buffer): number | undefined {
  if (bytes.length < ZSTD_MAGIC.length + 1) return undefined;
  if (!ZSTD_MAGIC.equals(bytes.subarray(0, ZSTD_MAGIC.length))) throw new PartDamage('it goes on with what is no zstd frame');
  const descriptor = bytes[ZSTD_MAGIC.length] as number;
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] as number;
  const size = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  let at = ZSTD_MAGIC.length + 1 + (single ? 0 : 1) + dictionary + size;
  for (let blocks = 1; ; blocks++) {
    if (blocks > CONTENT / BLOCK + 1) throw new PartDamage('a zstd frame holds more than we put into one');
    if (at + 3 > bytes.length) return undefined;
    const header = bytes.readUIntLE(at, 3);
    at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
    if ((header & 1) === 1) break;
  }
  at += (descriptor & 4) === 0 ? 0 : 4;
  return at > bytes.length ? undefined : at;
}
