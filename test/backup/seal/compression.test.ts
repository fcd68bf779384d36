import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { compressor, decompressed } from '../../../src/backup/seal/compression.js';

const MB = 1024 * 1024;

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
}

/** Compressed in chunks of `size`, each filled anew once it was taken. */
async function compressed(content: Buffer, size: number): Promise<Buffer> {
  const compress = compressor({ method: 'zstd', level: 3 });
  const made = collect(compress);
  for (let at = 0; at < content.length; at += size) {
    const chunk = Buffer.from(content.subarray(at, at + size));
    await new Promise((resolve) => compress.write(chunk, resolve));
    chunk.fill(0x58);
  }
  compress.end();
  return made;
}

function chunksOf(bytes: Buffer, size: number): AsyncIterable<Buffer> {
  return Readable.from(Array.from({ length: Math.ceil(bytes.length / size) }, (_, k) => bytes.subarray(k * size, (k + 1) * size)), { objectMode: true }) as AsyncIterable<Buffer>;
}

const text = Buffer.from(Array.from({ length: 400_000 }, (_, k) => `row ${k} of ${k % 97}\n`).join(''));
const contents = {
  'nothing': Buffer.alloc(0), 'a byte': Buffer.from('x'), 'text of two frames': text.subarray(0, 5 * MB + 3), 'exactly a frame': text.subarray(0, 4 * MB),
  'what cannot be compressed': randomBytes(4 * MB + 3), 'one byte over and over': Buffer.alloc(13 * MB, 0x61),
};

t.test('zstd gives back what it took, in whatever chunks', async (t) => {
  for (const [what, content] of Object.entries(contents)) {
    const made = await compressed(content, 512 * 1024);
    for (const size of [1000, 65536, Math.max(1, made.length)]) t.ok((await collect(decompressed(chunksOf(made, size)))).equals(content), `${what}, in chunks of ${size}`);
  }
  const small = await compressed(Buffer.from('a few bytes'), 3);
  t.equal((await collect(decompressed(chunksOf(small, 1)))).toString(), 'a few bytes');
});

t.test('the program zstd reads it, and gzip is told apart', async (t) => {
  const made = await compressed(contents['text of two frames'], 100_000);
  t.ok(made.length < contents['text of two frames'].length / 3);
  if (hasZstd()) t.ok(execFileSync('zstd', ['-d', '-c'], { input: made, maxBuffer: 64 * MB }).equals(contents['text of two frames']));
  const little = text.subarray(0, MB);
  t.ok((await collect(decompressed(chunksOf(gzipSync(little), 1)))).equals(little));
});

t.test('what is damaged, cut or foreign is refused', async (t) => {
  const made = await compressed(contents['text of two frames'], 100_000);
  for (const length of [4, 5, 100, made.length - 1]) await t.rejects(collect(decompressed(chunksOf(made.subarray(0, length), 999))), /cut off/, `its first ${length} bytes`);
  await t.rejects(collect(decompressed(chunksOf(Buffer.concat([made, Buffer.from('more than a frame')]), 999))), /no zstd frame/);
  await t.rejects(collect(decompressed(chunksOf(Buffer.from('neither of the two'), 999))), { code: 'Z_DATA_ERROR' });
  await t.rejects(collect(decompressed(chunksOf(Buffer.alloc(0), 1))), { code: 'Z_BUF_ERROR' });
  // A block of 128 KiB that is one byte over and over has four bytes: frames of many would unpack without end.
  const block = Buffer.from([(128 * 1024 << 3 | 2) & 0xff, (128 * 1024 << 3 | 2) >> 8 & 0xff, (128 * 1024 << 3 | 2) >> 16 & 0xff, 0x61]);
  const bomb = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]), ...Array.from({ length: 10_000 }, () => block)]);
  await t.rejects(collect(decompressed(chunksOf(bomb, 999))), /more than we put into one/);
});

function hasZstd(): boolean {
  try {
    execFileSync('zstd', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
