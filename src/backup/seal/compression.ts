/** How parts are compressed. Each says itself by its first bytes which way it was, so that a backup is read whatever it was made with. */
import { pipeline } from 'node:stream/promises';
import type { Transform } from 'node:stream';
import { createGunzip, createGzip, type ZlibOptions } from 'node:zlib';
import { ZSTD_MAGIC, ZstdCompress, zstdContent } from './zstd-frames.js';

export interface Compression {
  readonly method: 'gzip' | 'zstd';
  readonly level: number;
}

/** The levels that each method knows, and its default: that of pg_dump. */
export const LEVELS = { gzip: { least: 0, most: 9, usual: 6 }, zstd: { least: 1, most: 22, usual: 3 } } as const satisfies Record<Compression['method'], object>;

/** What files of each method are called. */
export const SUFFIXES = { gzip: 'gz', zstd: 'zst' } as const satisfies Record<Compression['method'], string>;

/** Bytes per turn of the compressor. At zlib's default of 16 KiB each MB would take four times as many trips to its thread. */
const TURN = 128 * 1024;

export function compressor({ method, level }: Compression): Transform {
  // It goes on while what it has made waits for the disk. The most memory (256 KiB more) makes gzip 5 % faster, and its output no larger.
  return method === 'zstd' ? new ZstdCompress(level, 2 * TURN) : createGzip({ level, memLevel: 9, chunkSize: 2 * TURN, readableHighWaterMark: 2 * TURN } as ZlibOptions);
}

/** @throws PartDamage, or zlib's own errors, whose codes begin with Z_ */
export async function* decompressed(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const iterator = chunks[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  while (start.length < ZSTD_MAGIC.length) {
    const next = await iterator.next();
    if (next.done === true) break;
    start = Buffer.concat([start, next.value]);
  }
  const whole = async function* (): AsyncGenerator<Buffer> {
    yield start;
    yield* { [Symbol.asyncIterator]: () => iterator };
  };
  yield* ZSTD_MAGIC.equals(start.subarray(0, ZSTD_MAGIC.length)) ? zstdContent(whole()) : gunzipped(whole());
}

async function* gunzipped(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: TURN });
  const feeding = pipeline(chunks, gunzip);
  // It is told by what is read.
  feeding.catch(() => undefined);
  try {
    yield* gunzip as AsyncIterable<Buffer>;
    await feeding;
  } finally {
    gunzip.destroy();
  }
}
