import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { RealmliftError } from '../../src/errors.js';
import { CopyToJson } from '../../src/transform/copy-to-json.js';
import type { ColumnKind, OutputColumn } from '../../src/transform/output-column.js';
import type { DealtSink, RowSink, SegmentedSink } from '../../src/transform/row-sinks.js';
import { bigint, copied, copyOf, field, rowOf, rowsByReference, TRAILER } from './rows-by-reference.js';

/** A sink that keeps copies, as the contract asks. */
class Memory implements RowSink {
  readonly parts: Buffer[] = [];
  write(bytes: Uint8Array): void {
    this.parts.push(Buffer.from(bytes));
  }
  get text(): string {
    return Buffer.concat(this.parts).toString('utf8');
  }
}

function transform(columns: readonly OutputColumn[], chunks: readonly Buffer[], stripped: ReadonlySet<string> = new Set()): string {
  const memory = new Memory();
  const rows = new CopyToJson(columns, memory, 'zerver_test', stripped);
  // A copy of the exact size, overwritten afterwards: nothing may be read outside it or later.
  for (const chunk of chunks) {
    const copy = Uint8Array.from(chunk);
    rows.push(copy);
    copy.fill(0x58);
  }
  rows.end();
  return memory.text;
}

function cut(bytes: Buffer, ...positions: number[]): Buffer[] {
  const bounds = [0, ...positions.sort((a, b) => a - b), bytes.length];
  return bounds.slice(1).map((to, index) => bytes.subarray(bounds[index], to));
}

const one = (kind: ColumnKind): OutputColumn[] => [{ key: 'x', kind }];

/** Values as the server prints them, of each kind. */
const written: Record<ColumnKind, fc.Arbitrary<string>> = {
  'integer': fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  'number': fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)), fc.constantFrom('0', '-0', '1e+20', '1.5e-07', '-12.50', '123456789012345678901234567890.5')),
  'boolean': fc.constantFrom('t', 'f'),
  'timestamp': fc.tuple(fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }), fc.stringMatching(/^(\.[0-9]{0,5}[1-9])?$/))
    .map(([date, fraction]) => `${date.toISOString().slice(0, 19).replace('T', ' ')}${fraction}+00`),
  'text': fc.oneof(
    fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
    fc.array(fc.constantFrom('"', '""', ',', '\n', '\r\n', '\r', '\\', '\\.', '\t', '\b', '\f', '\u000b', '\u0001', '\u007f', '\u2028', 'é', '🎉', ' ', 'null', 'abcdefgh')).map((parts) => parts.join('')),
  ),
  'tsvector': fc.array(fc.tuple(
    fc.oneof(fc.string({ unit: 'binary', minLength: 1 }).map((text) => text.replaceAll('\0', '.')), fc.constantFrom("it's", 'C:\\temp', '"quoted"', '\n', '\u0001', 'é🎉', "''", '\\\\', ' ', ':1')),
    fc.array(fc.tuple(fc.integer({ min: 1, max: 16_383 }), fc.constantFrom('', 'A', 'B', 'C')), { maxLength: 4 }),
  ), { maxLength: 5 }).map((lexemes) => lexemes.map(([lexeme, positions]) => `'${lexeme.replaceAll('\\', '\\\\').replaceAll("'", "''")}'${positions.length > 0 ? `:${positions.map((each) => each.join('')).join()}` : ''}`).join(' ')),
  'json': fc.oneof(fc.json(), fc.constantFrom('12345678901234567890123', '{"a": "\\u0001\\n\\""}', '[[[[[]]]]]', '""')),
  'integer-array': fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 4 }).map((values) => `{${values.join(',')}}`),
};

const kinds = Object.keys(written) as ColumnKind[];
const tables = fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 6 }).chain((chosen) => fc.record({
  columns: fc.constant(chosen.map((kind, index): OutputColumn => ({ key: `key"${index}`, kind }))),
  rows: fc.array(fc.tuple(...chosen.map((kind) => fc.option(written[kind], { nil: null }))), { maxLength: 5 }),
}));

t.test('any rows in any chunks are what a plain parser and JSON.stringify make of them', (t) => {
  fc.assert(fc.property(tables, fc.array(fc.nat()), ({ columns, rows }, cuts) => {
    const copy = copied(columns, rows);
    assert.equal(transform(columns, cut(copy, ...cuts.map((each) => each % (copy.length + 1)))), rowsByReference(columns, rows));
  }), { numRuns: 2000 });
  t.end();
});

t.test('rows of integers alone, of any size and length', (t) => {
  const integer = fc.constantFrom(2, 4, 8).chain((length) => fc.tuple(fc.constant(length), fc.oneof(
    fc.bigInt({ min: -(2n ** BigInt(length * 8 - 1)), max: 2n ** BigInt(length * 8 - 1) - 1n }),
    // Where the number of digits, or how a number is written, changes.
    fc.constantFrom(0n, 9n, 10n, 99n, 100n, 9_999n, 10_000n, ...(length === 2 ? [] : [999_999_999n, 1_000_000_000n, 2n ** 30n - 1n, 2n ** 30n, 2n ** 31n - 1n, -1n]), ...(length === 8 ? [2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n] : [])),
  )));
  const rowsOf = (width: number): fc.Arbitrary<(readonly [2 | 4 | 8, bigint] | null)[][]> => fc.array(fc.array(fc.option(integer, { nil: null, freq: 20 }), { minLength: width, maxLength: width }), { maxLength: 40 });
  fc.assert(fc.property(fc.integer({ min: 1, max: 5 }).chain(rowsOf), fc.array(fc.nat(), { maxLength: 4 }), (rows, cuts) => {
    const columns = (rows[0] ?? [null]).map((_, index): OutputColumn => ({ key: `key_${index}`, kind: 'integer' }));
    const copy = copyOf(...rows.map((row) => rowOf(row.map((value) => value && bigint(value[1], value[0])))));
    const expected = rowsByReference(columns, rows.map((row) => row.map((value) => value && String(value[1]))));
    assert.equal(transform(columns, cut(copy, ...cuts.map((each) => each % (copy.length + 1)))), expected);
  }), { numRuns: 1000 });
  t.end();
});

t.test('every single cut position, and one byte at a time', (t) => {
  const columns = kinds.map((kind): OutputColumn => ({ key: kind, kind }));
  const rows = [
    ['1', '-1.5e+20', 't', '2026-11-22 17:09:00.123456+00', 'a "b"\r\n\\.,é🎉\u2028\u0007', "'a':1,2B 'it''s' 'é\\\\':16383A", '{"n": 12345678901234567890, "s": "\\""}', '{1,-2,0}'],
    [null, null, null, null, null, null, null, null],
    ['-9223372036854775808', '0', 'f', '1969-12-31 23:59:59.25+00', '', '', 'null', '{}'],
    ['0', '0.10', 't', '0001-01-01 00:00:00+00', '"', "'b':3C,4", '[]', '{7}'],
  ];
  const copy = copied(columns, rows);
  const expected = rowsByReference(columns, rows);
  t.match(expected, /12345678901234567890/);
  for (let at = 0; at <= copy.length; at++) t.equal(transform(columns, cut(copy, at)), expected, `cut at ${at}`);
  t.equal(transform(columns, [...copy].map((byte) => Buffer.from([byte]))), expected);
  t.equal(transform(columns, cut(copy, 9, 9, 9)), expected, 'empty chunks');
  t.end();
});

t.test('timestamps are exact decimals, always floats', (t) => {
  const cases = {
    '2026-11-22 17:09:00.123456+00': '1795367340.123456',
    '2026-11-22 17:09:00+00': '1795367340.0',
    '2026-11-22 17:09:00.5+00': '1795367340.5',
    '2026-11-22 17:09:00.00001+00': '1795367340.00001',
    '1970-01-01 00:00:00+00': '0.0',
    '1969-12-31 23:59:59+00': '-1.0',
    '1969-12-31 23:59:59.25+00': '-0.75',
    '1969-12-31 23:59:58.999999+00': '-1.000001',
    '2000-02-29 12:00:00+00': '951825600.0',
    '1900-03-01 00:00:00+00': '-2203891200.0',
    '2001-09-09 01:46:40+00': '1000000000.0',
    '1970-01-12 13:46:40+00': '1000000.0',
    '0001-01-01 00:00:00+00': '-62135596800.0',
    '9999-12-31 23:59:59.999999+00': '253402300799.999999',
  };
  for (const [written, expected] of Object.entries(cases)) t.equal(transform(one('timestamp'), [copied(one('timestamp'), [[written]])]), `{"x":${expected}}`, written);
  t.end();
});

t.test('long fields stream through in constant memory, cut anywhere', (t) => {
  for (const [kind, body] of [['text', 'long text, "quoted"\n\ttab é🎉 '.repeat(20_000)], ['json', `[${Array.from({ length: 60_000 }, (_, k) => k).join(',')}]`]] as const) {
    const values = [[body], ['1'], [body]];
    const copy = copied(one(kind), values);
    const expected = rowsByReference(one(kind), values);
    for (const size of [1, 4095, 65536, copy.length]) {
      const memory = new Memory();
      const rows = new CopyToJson(one(kind), memory, 'zerver_test');
      for (let at = 0; at < copy.length; at += size) rows.push(copy.subarray(at, at + size));
      rows.end();
      t.ok(memory.text === expected, `${kind} in chunks of ${size}`);
      t.ok(Math.max(...memory.parts.map((part) => part.length)) <= 128 * 1024, 'no part is larger than the buffer');
      t.equal(rows.rows, 3);
    }
  }
  t.end();
});

/** Opens a file for every thousand ids; watches the last of three columns. */
class Segments extends Memory implements SegmentedSink {
  readonly files = new Map<number, string>();
  readonly seen: [file: number | undefined, id: number, value: number][] = [];
  readonly watched = 2;
  boundary = 0;
  #open: number | undefined;
  startFile(id: number): void {
    this.close();
    this.#open = Math.ceil(id / 1000);
    this.boundary = this.#open * 1000;
  }
  see(id: number, value: number): void {
    this.seen.push([this.#open, id, value]);
  }
  close(): void {
    if (this.#open !== undefined) this.files.set(this.#open, this.text);
    else if (this.parts.length > 0) throw new Error('bytes before the first row was announced');
    this.parts.length = 0;
  }
}

t.test('a segmented sink is told of a row beyond its boundary before it gets any byte of it, and shown the watched column', (t) => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 6000 }), { maxLength: 40 }).map((all) => all.sort((a, b) => a - b));
  const columns: OutputColumn[] = [{ key: 'id', kind: 'integer' }, { key: 'text', kind: 'text' }, { key: 'client', kind: 'integer' }];
  const client = (id: number): number | undefined => (id % 7 === 0 ? undefined : id % 3 - 1);
  fc.assert(fc.property(ids, fc.array(fc.nat()), fc.boolean(), (chosen, cuts, hidden) => {
    const copy = copied(columns, chosen.map((id) => [String(id), `t${id}`, client(id)?.toString() ?? null]));
    const sink = new Segments();
    const rows = new CopyToJson(columns, sink, 'zerver_test', new Set(hidden ? ['id'] : []));
    for (const chunk of cut(copy, ...cuts.map((each) => each % (copy.length + 1)))) rows.push(chunk);
    rows.end();
    sink.close();
    const expected = new Map<number, string[]>();
    for (const id of chosen) {
      const file = Math.ceil(id / 1000);
      expected.set(file, [...(expected.get(file) ?? []), `{${hidden ? '' : `"id":${id},`}"text":"t${id}","client":${client(id) ?? null}}`]);
    }
    assert.deepEqual([...sink.files], [...expected].map(([file, texts]) => [file, texts.join(',')]));
    assert.deepEqual(sink.seen, chosen.map((id) => [Math.ceil(id / 1000), id, client(id) ?? NaN]));
  }), { numRuns: 500 });
  t.end();
});

/** Keeps each row by the realm that its first column names. */
class Dealt extends Memory implements DealtSink {
  readonly shown = [0, 1, -1, 3];
  readonly values = new Float64Array(4).fill(NaN);
  readonly rows: [values: number[], row: string][] = [];
  endRow(): void {
    this.rows.push([[...this.values], this.text]);
    this.parts.length = 0;
  }
}

t.test('a dealt sink gets row after row, and sees whose each is', (t) => {
  const columns: OutputColumn[] = [{ key: 'tenant', kind: 'integer' }, { key: 'id', kind: 'integer' }, { key: 'text', kind: 'text' }, { key: 'further', kind: 'integer' }];
  const copy = copied(columns, [['7', '1', 'a,"b"', '9007199254740993'], ['-3', '2', null, null]]);
  for (let at = 0; at <= copy.length; at++) {
    const sink = new Dealt();
    const rows = new CopyToJson(columns, sink, 'zerver_test', new Set(['tenant']));
    for (const chunk of cut(copy, at)) rows.push(chunk);
    rows.end();
    t.same(sink.rows, [[[7, 1, NaN, 9007199254740992], '{"id":1,"text":"a,\\"b\\"","further":9007199254740993}'], [[-3, 2, NaN, NaN], '{"id":2,"text":null,"further":null}']]);
  }
  // Whose row it is that fails: not the last one's.
  const moments: OutputColumn[] = [{ key: 'tenant', kind: 'integer' }, { key: 'id', kind: 'integer' }, { key: 'date', kind: 'timestamp' }, { key: 'further', kind: 'integer' }];
  const faulty = new Dealt();
  t.throws(() => new CopyToJson(moments, faulty, 'zerver_test', new Set(['tenant'])).push(copyOf(rowOf([bigint(7n), bigint(1n), bigint(0n), null]), rowOf([bigint(8n), bigint(2n), bigint(2n ** 63n - 1n), null]))), { code: 'TIMESTAMP_NOT_JSON' });
  t.equal(faulty.values[0], 8);
  t.throws(() => new CopyToJson(columns, new Dealt(), 'zerver_test'), { code: 'SEGMENT_COLUMN' }, 'whose it is would be written');
  t.throws(() => new CopyToJson(columns, new Dealt(), 'zerver_test', new Set(['tenant', 'id'])), { code: 'SEGMENT_COLUMN' });
  t.end();
});

t.test('a stripped column is read and never written', (t) => {
  const columns: OutputColumn[] = [
    { key: 'password', kind: 'text' }, { key: 'id', kind: 'integer' }, { key: 'api_key', kind: 'text' }, { key: 'email', kind: 'text' }, { key: 'zoom_token', kind: 'json' },
  ];
  const copy = copied(columns, [['argon2$"pass",\n"word', '1', 'aBcDeF0123', 'a@b.example', '{"access_token": "x,y"}'], [null, '2', '', null, null]]);
  const stripped = new Set(['password', 'api_key', 'zoom_token']);
  for (let at = 0; at <= copy.length; at++) t.equal(transform(columns, cut(copy, at), stripped), '{"id":1,"email":"a@b.example"},{"id":2,"email":null}');
  t.throws(() => new CopyToJson(columns.slice(0, 1), new Memory(), 'zerver_test', stripped), { code: 'TABLE_EMPTY', table: 'zerver_test' });
  t.throws(() => new CopyToJson(columns, new Segments(), 'zerver_test'), { code: 'SEGMENT_COLUMN' });
  t.throws(() => new CopyToJson(columns.slice(1), new Segments(), 'zerver_test', stripped), { code: 'SEGMENT_COLUMN' }, 'a watched column that does not travel');
  t.end();
});

t.test('what the server does not send is refused by name, without the content', (t) => {
  const text = (written: string): Buffer => Buffer.from(written);
  const year = 31_556_952_000_000n;
  const refused: [code: string, kind: ColumnKind, bytes: Buffer][] = [
    ['TIMESTAMP_NOT_JSON', 'timestamp', bigint(2n ** 63n - 1n)], ['TIMESTAMP_NOT_JSON', 'timestamp', bigint(-(2n ** 63n))],
    ['TIMESTAMP_NOT_JSON', 'timestamp', bigint(-2001n * year)], ['TIMESTAMP_NOT_JSON', 'timestamp', bigint(8001n * year)],
    ['COPY_MALFORMED', 'timestamp', bigint(1n, 4)], ['COPY_MALFORMED', 'timestamp', text('')],
    ['COLUMN_NOT_JSON', 'number', text('NaN')], ['COLUMN_NOT_JSON', 'number', text('Infinity')], ['COLUMN_NOT_JSON', 'number', text('-Infinity')],
    ...['1.', '.5', '01', '1e', '1e5.0', '-', '1x', ''].map((bad): [string, ColumnKind, Buffer] => ['COPY_MALFORMED', 'number', text(bad)]),
    ...['12345', 'abc', '', 'x', '123456789'].map((bad): [string, ColumnKind, Buffer] => ['COPY_MALFORMED', 'integer', text(bad)]),
    ['COPY_MALFORMED', 'boolean', text('t')], ['COPY_MALFORMED', 'boolean', bigint(1n, 2)],
    ...['{1,NULL}', '{1,}', '{{1},{2}}', '{1}}', '{01}', '{-}', '{-0}', '', '{1'].map((bad): [string, ColumnKind, Buffer] => ['COPY_MALFORMED', 'integer-array', text(bad)]),
    ['COPY_MALFORMED', 'json', text('')],
  ];
  for (const [code, kind, bytes] of refused) {
    const copy = copyOf(rowOf([bigint(1n, 4), bytes]));
    for (const cuts of [[], [...copy.keys()]]) {
      try {
        transform([{ key: 'id', kind: 'integer' }, { key: 'x', kind }], cut(copy, ...cuts));
        t.fail(`${kind} ${bytes.toString()} passes`);
      } catch (error) {
        if (!(error instanceof RealmliftError)) throw error;
        t.match(error, { code, stage: 'transform', table: 'zerver_test', message: /column "x", row 1/ }, `${kind} ${bytes.toString()}`);
        t.notMatch(error.line, /12345|NULL|abc/, 'the content stays out of the message');
      }
    }
  }
  t.end();
});

t.test('whatever comes in place of a COPY is refused as one that is malformed, in any chunks', (t) => {
  const columns = kinds.map((kind): OutputColumn => ({ key: kind, kind }));
  const copy = copied(columns, [['1', '-1.5e+20', 't', '2026-11-22 17:09:00.123456+00', 'text', "'a':1", '{}', '{1}'], [null, null, null, null, null, null, null, null]]);
  const changes = fc.array(fc.tuple(fc.nat(copy.length - 1), fc.constantFrom(0x00, 0x01, 0x7f, 0x80, 0xff)), { minLength: 1, maxLength: 6 });
  fc.assert(fc.property(changes, fc.array(fc.nat(copy.length)), (changed, cuts) => {
    const bytes = Buffer.from(copy);
    for (const [at, byte] of changed) bytes[at] = byte;
    try {
      transform(columns, cut(bytes, ...cuts));
    } catch (error) {
      assert.match((error as RealmliftError).code, /^(COPY_MALFORMED|COLUMN_NOT_JSON|TIMESTAMP_NOT_JSON)$/);
    }
  }), { numRuns: 3000 });
  t.end();
});

t.test('a row of another shape, half a row, or what is no COPY is refused', (t) => {
  const columns: OutputColumn[] = [{ key: 'a', kind: 'integer' }, { key: 'b', kind: 'text' }];
  const row = rowOf([bigint(1n, 4), Buffer.from('x')]);
  const whole = copyOf(row, row);
  const bad = {
    'a field too few': copyOf(rowOf([bigint(1n, 4)])), 'a field too many': copyOf(rowOf([bigint(1n, 4), Buffer.from('x'), Buffer.from('y')])), 'no field': copyOf(rowOf([])),
    'a count below zero': copyOf(rowOf([], -2)), 'a length below zero': copyOf(Buffer.concat([bigint(2n, 2), field(bigint(1n, 4)), bigint(-2n, 4)])),
    'rows behind the end': Buffer.concat([whole, row]), 'two ends': Buffer.concat([whole, TRAILER]), 'nothing': Buffer.alloc(0), 'text': Buffer.from('1,x\n2,y\n3,this is no COPY in binary\n'),
    ...Object.fromEntries(Array.from({ length: whole.length }, (_, length) => [`its first ${length} bytes`, whole.subarray(0, length)])),
  };
  for (const [what, copy] of Object.entries(bad)) {
    for (const cuts of [[], [...copy.keys()]]) t.throws(() => transform(columns, cut(copy, ...cuts)), { code: 'COPY_MALFORMED', stage: 'transform', table: 'zerver_test' }, what);
  }
  t.equal(transform(columns, [copyOf()]), '');
  t.throws(() => {
    const rows = new CopyToJson([...columns, { key: 'c', kind: 'integer' }], new Segments(), 'zerver_test');
    rows.push(copyOf(rowOf([null, Buffer.from('x'), bigint(1n)])));
  }, { code: 'COPY_MALFORMED', message: 'the first column is null' });
  t.end();
});
