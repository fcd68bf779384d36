import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { RealmliftError } from '../../src/errors.js';
import { hashFile, readFile } from '../../src/json/file-input.js';
import type { ByteSource } from '../../src/json/json-scanner.js';

/** Takes the bytes in pieces of the given lengths. */
function readInPieces(lengths: readonly number[]): (source: ByteSource) => void {
  return (source) => {
    for (let n = 0; source(Buffer.alloc(lengths[n % lengths.length]!), 0) > 0; n++);
  };
}

t.test('size, SHA-256 and UTF-8, however the file is cut', (t) => {
  const path = join(t.testdir({}), 'file');
  const bytes = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => Buffer.from(text)),
    fc.array(fc.constantFrom(0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x9a, 0x80, 0xff), { maxLength: 12 }).map((each) => Buffer.from(each)),
  );
  fc.assert(fc.property(bytes, fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), (content, lengths) => {
    writeFileSync(path, content);
    const { size, sha256, damage } = readFile(path, readInPieces(lengths));
    const expected = createHash('sha256').update(content).digest('hex');
    t.same([size, sha256], [content.length, expected]);
    t.same(hashFile(path, content.length), { size, sha256 });
    t.equal(damage === undefined, Buffer.from(content.toString()).equals(content), content.toString('hex'));
  }), { numRuns: 300 });
  t.end();
});

t.test('the same past the page cache, from one page to many', (t) => {
  const path = join(t.testdir({}), 'file');
  for (const length of [0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, 3 << 20]) {
    const content = Buffer.from('0123456789é'.repeat(length / 12 + 1)).subarray(0, length);
    writeFileSync(path, content);
    const pieces: Buffer[] = [];
    const read = (direct: boolean): object => readFile(path, (source) => {
      const piece = Buffer.alloc(70_000);
      for (let got = source(piece, 1); got > 0; got = source(piece, 1)) if (direct) pieces.push(Buffer.from(piece.subarray(1, 1 + got)));
    }, direct);
    t.same(read(true), read(false), `${length} bytes`);
    t.ok(Buffer.concat(pieces).equals(content));
  }
  t.end();
});

t.test('a file whose content is refused is hashed to its end', (t) => {
  const path = join(t.testdir({}), 'file');
  const content = 'x'.repeat(1_000_000);
  writeFileSync(path, content);
  const { size, sha256, damage, value } = readFile(path, (source) => {
    source(Buffer.alloc(10), 0);
    throw new RealmliftError('JSON_DAMAGED', 'verify', 'not valid JSON at byte 0');
  });
  t.equal(size, content.length);
  t.equal(sha256, createHash('sha256').update(content).digest('hex'));
  t.equal(damage, 'not valid JSON at byte 0');
  t.equal(value, undefined);
  t.end();
});
