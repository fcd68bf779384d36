import fc from 'fast-check';
import t from 'tap';
import { END } from '../../src/json/json-bytes.js';
import { JsonScanner, type ByteSource } from '../../src/json/json-scanner.js';

/** Hands out `text` in pieces of the given lengths, again and again. */
export function pieces(text: string | Buffer, lengths: readonly number[]): ByteSource {
  const bytes = Buffer.from(text);
  let at = 0;
  let n = 0;
  return (target, offset) => {
    const wanted = Math.min(lengths[n++ % lengths.length] ?? 1, target.length - offset);
    const got = bytes.copy(target, offset, at, Math.min(bytes.length, at + wanted));
    at += got;
    return got;
  };
}

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
/** So small that tokens are cut at every place. */
const bufferSize = fc.integer({ min: 8, max: 64 });
const space = fc.array(fc.constantFrom(' ', '\n', '\t', '\r'), { maxLength: 3 }).map((each) => each.join(''));
const number = fc.oneof(
  fc.integer().map(String), fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.constantFrom('0', '-0', '1E5', '1e-7', '0.5', '12345678901234567890', '-1.5E+300', '1795361868.969716'),
);
const string = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }).map((value) => JSON.stringify(value)),
  fc.array(fc.constantFrom('a', 'ü', '🚀', '\\"', '\\\\', '\\/', '\\n', '\\u0041', '\\uD83D\\uDE80', '\u2028', '}', ']', ',', ':'), { maxLength: 20 })
    .map((parts) => `"${parts.join('')}"`),
);

/** JSON text in any spelling. */
const { json } = fc.letrec<{ json: string; array: string; object: string }>((tie) => ({
  json: fc.oneof({ maxDepth: 5, withCrossShrink: true }, fc.constantFrom('null', 'true', 'false'), number, string, tie('array'), tie('object')),
  array: fc.tuple(space, fc.array(fc.tuple(space, tie('json'), space).map((each) => each.join('')), { maxLength: 4 }))
    .map(([inside, items]) => `[${items.length === 0 ? inside : items.join(',')}]`),
  object: fc.tuple(space, fc.array(fc.tuple(space, string, space, space, tie('json'), space).map(([a, key, b, c, value, d]) => `${a}${key}${b}:${c}${value}${d}`), { maxLength: 4 }))
    .map(([inside, items]) => `{${items.length === 0 ? inside : items.join(',')}}`),
}));

/** Whether the scanner takes `text` as one JSON value. */
function accepts(text: string, size: number, cuts: readonly number[]): boolean {
  const scanner = new JsonScanner(size);
  scanner.open(pieces(text, cuts));
  try {
    scanner.skipValue(scanner.next());
    scanner.finish();
    return true;
  } catch {
    return false;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

t.test('accepts all JSON, cut anywhere', (t) => {
  fc.assert(fc.property(space, json, space, bufferSize, lengths, (a, text, b, size, cuts) => accepts(a + text + b, size, cuts)), { numRuns: 500 });
  t.end();
});

t.test('accepts a damaged text exactly if JSON.parse does', (t) => {
  const edit = fc.record({ at: fc.nat(), drop: fc.nat(3), put: fc.constantFrom('', '"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '.', 'e', 'u', 'n', ' ', '\u0001', '\u0000') });
  fc.assert(fc.property(json, fc.array(edit, { minLength: 1, maxLength: 2 }), bufferSize, lengths, (text, edits, size, cuts) => {
    let damaged = text;
    for (const { at, drop, put } of edits) {
      const place = at % (damaged.length + 1);
      damaged = damaged.slice(0, place) + put + damaged.slice(place + drop);
    }
    // Half a surrogate pair cannot be written as UTF-8.
    return accepts(damaged, size, cuts) === parses(Buffer.from(damaged).toString());
  }), { numRuns: 2000 });
  t.end();
});

t.test('reads strings and numbers as JSON.parse does', (t) => {
  fc.assert(fc.property(fc.array(fc.oneof(string, number), { minLength: 1, maxLength: 8 }), bufferSize, lengths, (tokens, size, cuts) => {
    const scanner = new JsonScanner(size);
    scanner.open(pieces(tokens.join(' '), cuts));
    for (const token of tokens) {
      const first = scanner.next();
      const value = first === 0x22 ? scanner.string() : scanner.number();
      if (!Object.is(value, JSON.parse(token))) return false;
    }
    return scanner.next() === END;
  }), { numRuns: 500 });
  t.end();
});

t.test('skipping tells what is empty', (t) => {
  for (const [text, empty] of [['null', true], ['""', true], ['{ }', true], ['[\n]', true], ['false', true], ['"x"', false], ['[0]', false], ['{"":0}', false], ['0', false], ['[[]]', false]] as const) {
    const scanner = new JsonScanner(8);
    scanner.open(pieces(text, [1]));
    t.equal(scanner.skipValue(scanner.next()), empty, text);
  }
  t.end();
});

t.test('nesting deeper than a call stack', (t) => {
  const depth = 200_000;
  t.ok(accepts('['.repeat(depth) + ']'.repeat(depth), 64, [64]));
  t.notOk(accepts('['.repeat(depth) + ']'.repeat(depth - 1), 64, [64]));
  t.end();
});

t.test('names the byte, not the content', (t) => {
  const scanner = new JsonScanner(8);
  scanner.open(pieces('{"content": "hello", }', [3]));
  t.throws(() => { scanner.skipValue(scanner.next()); }, { code: 'JSON_DAMAGED', message: 'not valid JSON at byte 21' });
  t.end();
});
