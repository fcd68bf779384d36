import t from 'tap';
import { rowCounter } from '../../../src/backup/rows/row-counter.js';
import type { CopyFormat, RowCount } from '../../../src/backup/rows/row-counter.js';
import { EMPTY_DIGEST, RowHash, addDigests } from '../../../src/backup/rows/row-hash.js';

const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const END = Buffer.from([0xff, 0xff]);

type Field = Buffer | null;

function row(fields: readonly Field[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(fields.length);
  return Buffer.concat([count, ...fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(field === null ? -1 : field.length);
    return field === null ? [length] : [length, field];
  })]);
}

function count(format: CopyFormat, bytes: Buffer, pieces = bytes.length): RowCount {
  const counter = rowCounter(format);
  for (let at = 0; at < bytes.length; at += pieces) counter.write(bytes.subarray(at, at + pieces));
  return counter.finish();
}

function hash(bytes: string): string {
  const hash = new RowHash();
  const data = Buffer.from(bytes, 'latin1');
  hash.update(new DataView(data.buffer, data.byteOffset, data.length), 0, data.length);
  hash.endRow();
  return hash.sum;
}

/** Pseudo-random bytes, the same at every run. */
function noise(length: number, seed: number): Buffer {
  let state = seed;
  return Buffer.from(Array.from({ length }, () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 24));
}

const ROWS: readonly (readonly Field[])[] = [
  [Buffer.from('a'), null, Buffer.alloc(0)], [], [noise(300, 1)], [null], [noise(16, 2), noise(17, 3)], [noise(70_000, 4)], [Buffer.from('a'), null, Buffer.alloc(0)],
];
const STREAM = Buffer.concat([HEADER, ...ROWS.map(row), END]);

t.test('MurmurHash3_x86_128 as published', (t) => {
  // As the Python package mmh3 5 gives them (x64arch=False, seed 0), read as four little-endian words.
  const vectors: Record<string, string> = {
    '': EMPTY_DIGEST,
    'hello': '2b2444a0db91def79adb31b69adb31b6',
    'hello, world': '8b21605cb9b98a1e93273a83eb5957c7',
    'The quick brown fox jumps over the lazy dog': '2f1583c3ecee2c675d7bf66ce5e91d2c',
    [String.fromCharCode(...Array(33).keys())]: '50de15ba76f9913620e7b670220dc781',
  };
  for (const [text, expected] of Object.entries(vectors)) t.equal(hash(text), expected, JSON.stringify(text));
  t.end();
});

t.test('the digest of a binary stream does not depend on its cuts nor on the order of its rows', (t) => {
  const whole = count('binary', STREAM);
  t.equal(whole.rows, ROWS.length);
  for (const pieces of [1, 2, 3, 7, 19, 21, 64, 1000, 65_536]) t.same(count('binary', STREAM, pieces), whole, `pieces of ${pieces}`);
  t.same(count('binary', Buffer.concat([HEADER, ...[...ROWS].reverse().map(row), END])), whole);
  t.same(count('binary', Buffer.concat([HEADER, END])), { rows: 0, digest: EMPTY_DIGEST });
  t.end();
});

t.test('any other row changes the digest', (t) => {
  const { digest } = count('binary', STREAM);
  const seen = new Set([digest]);
  const without = (n: number): Buffer => Buffer.concat([HEADER, ...ROWS.filter((_, at) => at !== n).map(row), END]);
  for (let n = 1; n < ROWS.length; n++) seen.add(count('binary', without(n)).digest);
  for (const other of [[[Buffer.from('b')]], [[null]], [[Buffer.alloc(0)]], [[Buffer.from('a')], [Buffer.from('a')]], [[Buffer.from('aa')]], [[Buffer.alloc(3)]], [[Buffer.alloc(4)]]]) {
    seen.add(count('binary', Buffer.concat([HEADER, ...other.map(row), END])).digest);
  }
  t.equal(seen.size, 1 + (ROWS.length - 1) + 7);
  t.end();
});

t.test('digests of parts add up to that of the table', (t) => {
  const part = (from: number, to: number): RowCount => count('binary', Buffer.concat([HEADER, ...ROWS.slice(from, to).map(row), END]));
  t.equal([part(0, 2), part(2, 5), part(5, 7)].map(({ digest }) => digest).reduce(addDigests, EMPTY_DIGEST), count('binary', STREAM).digest);
  t.end();
});

t.test('a stream that is cut, goes on or is something else is refused', (t) => {
  for (const length of [0, 5, HEADER.length, HEADER.length + 1, HEADER.length + 9, STREAM.length - 2, STREAM.length - 1]) {
    t.throws(() => count('binary', STREAM.subarray(0, length), 13), `cut to ${length}`);
  }
  t.throws(() => count('binary', Buffer.concat([STREAM, Buffer.from('x')])));
  t.throws(() => count('binary', Buffer.from('1\tone\n2\ttwo and more of it\n')));
  t.end();
});

t.test('text: a line is a row', (t) => {
  const text = Buffer.from('1\tone\n2\ttwo\\nlines\n\n3\t\\N\n');
  const whole = count('text', text);
  t.equal(whole.rows, 4);
  for (const pieces of [1, 2, 5]) t.same(count('text', text, pieces), whole);
  t.same(count('text', Buffer.from('3\t\\N\n\n1\tone\n2\ttwo\\nlines\n')), whole);
  t.not(count('text', Buffer.from('1\tone\n2\ttwo\\nlines\n\n3\t\n')).digest, whole.digest);
  t.throws(() => count('text', Buffer.from('1\tone\n2')));
  t.same(count('text', Buffer.alloc(0)), { rows: 0, digest: EMPTY_DIGEST });
  t.end();
});
