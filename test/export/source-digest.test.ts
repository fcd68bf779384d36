import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { SourceDigest, SplitDigest } from '../../src/export/segments/source-digest.js';
import { CopyToJson } from '../../src/transform/copy-to-json.js';
import type { OutputColumn } from '../../src/transform/output-column.js';
import type { SegmentedSink } from '../../src/transform/row-sinks.js';
import { bigint, copyOf, rowOf } from '../transform/rows-by-reference.js';

const COLUMNS: OutputColumn[] = [{ key: 'id', kind: 'integer' }, { key: 'text', kind: 'text' }];

/** Digest of each part of the COPY, whose rows `boundaries` deal out by id, when it comes in these chunks. */
function digests(copy: Buffer, cuts: readonly number[], boundaries: readonly number[]): string[] {
  const parts: SourceDigest[] = [];
  const split = new SplitDigest(() => parts.at(-1) as SourceDigest);
  const sink: SegmentedSink = {
    boundary: -Infinity,
    watched: -1,
    see: () => undefined,
    write: () => undefined,
    startFile(id, at) {
      (this as { boundary: number }).boundary = boundaries[parts.length] as number;
      if (id > this.boundary) throw new Error('a part without rows');
      parts.push(new SourceDigest());
      split.cut(at);
    },
  };
  const encoder = new CopyToJson(COLUMNS, sink, 'test');
  let from = 0;
  for (const cut of [...cuts, copy.length]) {
    // The connection fills its buffer anew.
    const chunk = Buffer.from(copy.subarray(from, cut));
    split.push(chunk);
    encoder.push(chunk);
    split.settle(encoder.unannounced);
    chunk.fill(0);
    from = cut;
  }
  encoder.end();
  return parts.map((part) => part.hex());
}

t.test('the digest of a part does not depend on where the chunks are cut', (t) => {
  const rows = fc.array(fc.string({ maxLength: 30 }), { minLength: 1, maxLength: 40 });
  fc.assert(fc.property(rows, fc.integer({ min: 1, max: 8 }), fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (texts, perPart, random) => {
    const lines = texts.map((text, index) => rowOf([bigint(BigInt((index + 1) * 1000)), Buffer.from(text)]));
    const copy = copyOf(...lines);
    const boundaries = texts.map((_, index) => (index + 1) * perPart * 1000);
    const expected = [];
    for (let at = 0; at < lines.length; at += perPart) expected.push(createHash('sha256').update(Buffer.concat(lines.slice(at, at + perPart))).digest('hex'));
    const cuts = Array.from({ length: 12 }, () => Math.floor((random.next().value as number) * copy.length)).sort((a, b) => a - b);
    t.same(digests(copy, cuts, boundaries), expected);
    t.same(digests(copy, Array.from({ length: copy.length - 1 }, (_, at) => at + 1), boundaries), expected, 'byte by byte');
  }), { numRuns: 100 });
  t.end();
});

t.test('a column that changes its type changes the digest', (t) => {
  const digest = (type: number): string => {
    const source = new SourceDigest();
    source.begin([{ name: 'id', dataTypeID: type }] as never);
    source.update(Buffer.from('1\n'));
    return source.hex();
  };
  t.not(digest(20), digest(25));
  t.equal(digest(20), digest(20));
  t.end();
});
