import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { CopyDataSeparator } from '../../src/copy/copy-data-separator.js';

function message(type: string, body: Buffer): Buffer {
  const header = Buffer.from(`${type}    `);
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

function separate(chunks: readonly Buffer[]): { payload: Buffer; other: Buffer; order: string } {
  const payload: Buffer[] = [];
  const other: Buffer[] = [];
  let order = '';
  const separator = new CopyDataSeparator({
    payload: (bytes) => {
      payload.push(bytes);
      if (bytes.length > 0 && !order.endsWith('p')) order += 'p';
    },
    other: (bytes) => {
      other.push(bytes);
      if (bytes.length > 0 && !order.endsWith('o')) order += 'o';
    },
  });
  for (const chunk of chunks) separator.push(Buffer.from(chunk));
  // Looked at only now: what has been handed on must not be touched by what follows.
  return { payload: Buffer.concat(payload), other: Buffer.concat(other), order };
}

const messages = fc.array(fc.tuple(fc.constantFrom('d', 'd', 'd', 'N', 'S', 'c'), fc.oneof(fc.uint8Array({ maxLength: 5 }), fc.uint8Array({ minLength: 60, maxLength: 200 }))), { maxLength: 12 });

t.test('payload and protocol are told apart, however the stream is cut', (t) => {
  fc.assert(fc.property(messages, fc.array(fc.nat()), (sent, cuts) => {
    const parts = sent.map(([type, body]) => ({ type, body: Buffer.from(body) }));
    const stream = Buffer.concat(parts.map(({ type, body }) => message(type, body)));
    const bounds = [0, ...cuts.map((each) => each % (stream.length + 1)).sort((a, b) => a - b), stream.length];
    const chunks = bounds.slice(1).map((to, index) => stream.subarray(bounds[index], to));
    assert.deepEqual(separate(chunks), {
      payload: Buffer.concat(parts.filter(({ type }) => type === 'd').map(({ body }) => body)),
      other: Buffer.concat(parts.filter(({ type }) => type !== 'd').map(({ type, body }) => message(type, body))),
      order: parts.filter(({ type, body }) => type !== 'd' || body.length > 0).map(({ type }) => (type === 'd' ? 'p' : 'o')).join('').replaceAll(/(.)\1+/g, '$1'),
    });
  }), { numRuns: 1000 });
  t.end();
});

t.test('one byte at a time, and every cut in two', (t) => {
  const stream = Buffer.concat([message('H', Buffer.from([0, 0, 0])), message('d', Buffer.from('1,a\n')), message('d', Buffer.from('')), message('N', Buffer.from('notice')), message('d', Buffer.from('2,b\n')), message('c', Buffer.from(''))]);
  const expected = { payload: Buffer.from('1,a\n2,b\n'), other: Buffer.concat([stream.subarray(0, 8), message('N', Buffer.from('notice')), message('c', Buffer.from(''))]), order: 'opopo' };
  t.same(separate([...stream].map((byte) => Buffer.from([byte]))), expected);
  for (let at = 0; at <= stream.length; at++) t.same(separate([stream.subarray(0, at), stream.subarray(at)]), expected, `cut at ${at}`);
  t.end();
});
