import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { SourceDigest, SplitDigest } from '../../src/export/source-digest.js';
import { CsvToJson, type SegmentedSink } from '../../src/transform/csv-to-json.js';

/** Digest of each part of the CSV, whose rows `boundaries` deal out by id, when the CSV comes in these chunks. */
function digests(csv: Buffer, cuts: readonly number[], boundaries: readonly number[]): string[] {
  const parts: SourceDigest[] = [];
  const split = new SplitDigest(() => parts.at(-1) as SourceDigest);
  const sink: SegmentedSink = {
    boundary: -Infinity,
    watched: -1,
    see: () => undefined,
    write: () => undefined,
    startRow(id, at) {
      if (parts.length === 0 || id > (boundaries[parts.length - 1] as number)) {
        parts.push(new SourceDigest());
        split.cut(at);
      }
      (this as { boundary: number }).boundary = id;
    },
  };
  const encoder = new CsvToJson([{ key: 'id', kind: 'integer' }, { key: 'text', kind: 'text' }], sink, 'test');
  let from = 0;
  for (const cut of [...cuts, csv.length]) {
    // The connection fills its buffer anew.
    const chunk = Buffer.from(csv.subarray(from, cut));
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
    const lines = texts.map((text, index) => `${(index + 1) * 1000},"${text.replaceAll('"', '""')}"\n`);
    const csv = Buffer.from(lines.join(''));
    const boundaries = texts.map((_, index) => (index + 1) * perPart * 1000);
    const expected = [];
    for (let at = 0; at < lines.length; at += perPart) expected.push(createHash('sha256').update(lines.slice(at, at + perPart).join('')).digest('hex'));
    const cuts = Array.from({ length: 12 }, () => Math.floor((random.next().value as number) * csv.length)).sort((a, b) => a - b);
    t.same(digests(csv, cuts, boundaries), expected);
    t.same(digests(csv, Array.from({ length: csv.length - 1 }, (_, at) => at + 1), boundaries), expected, 'byte by byte');
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
