import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { RealmliftError } from '../../src/errors.js';
import { CsvToJson, type RowSink, type SegmentedSink } from '../../src/transform/csv-to-json.js';
import type { ColumnKind, OutputColumn } from '../../src/transform/output-column.js';
import { rowsByReference } from './rows-by-reference.js';

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
  const rows = new CsvToJson(columns, memory, 'zerver_test', stripped);
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

const csvText = (text: string): string => (text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const one = (kind: ColumnKind): OutputColumn[] => [{ key: 'x', kind }];

/** Values as the server writes them in CSV, of each kind. */
const written: Record<ColumnKind, fc.Arbitrary<string>> = {
  'integer': fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  'number': fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)), fc.constantFrom('0', '-0', '1e+20', '1.5e-07', '-12.50', '123456789012345678901234567890.5')),
  'boolean': fc.constantFrom('t', 'f'),
  'timestamp': fc.tuple(fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }), fc.stringMatching(/^(\.[0-9]{0,5}[1-9])?$/))
    .map(([date, fraction]) => `${date.toISOString().slice(0, 19).replace('T', ' ')}${fraction}+00`),
  'text': fc.oneof(
    fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
    fc.array(fc.constantFrom('"', '""', ',', '\n', '\r\n', '\r', '\\', '\\.', '\t', '\b', '\f', '\u000b', '\u0001', '\u007f', '\u2028', 'é', '🎉', ' ', 'null', 'abcdefgh')).map((parts) => parts.join('')),
  ).map(csvText),
  'json': fc.oneof(fc.json(), fc.constantFrom('12345678901234567890123', '{"a": "\\u0001\\n\\""}', '[[[[[]]]]]', '""')).map(csvText),
  'integer-array': fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 4 }).map((values) => csvText(`{${values.join(',')}}`)),
};

const kinds = Object.keys(written) as ColumnKind[];
const tables = fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 6 }).chain((chosen) => fc.record({
  columns: fc.constant(chosen.map((kind, index): OutputColumn => ({ key: `key"${index}`, kind }))),
  rows: fc.array(fc.tuple(...chosen.map((kind) => fc.option(written[kind], { nil: '' }))), { maxLength: 5 }),
}));
const csvOf = (rows: readonly (readonly string[])[]): Buffer => Buffer.from(rows.map((row) => `${row.join(',')}\n`).join(''));

t.test('any rows in any chunks are what a plain parser and JSON.stringify make of them', (t) => {
  fc.assert(fc.property(tables, fc.array(fc.nat()), ({ columns, rows }, cuts) => {
    const csv = csvOf(rows);
    const expected = rowsByReference(columns, csv.toString('utf8'));
    assert.equal(transform(columns, cut(csv, ...cuts.map((each) => each % (csv.length + 1)))), expected);
  }), { numRuns: 2000 });
  t.end();
});

t.test('every single cut position, and one byte at a time', (t) => {
  const columns = kinds.map((kind): OutputColumn => ({ key: kind, kind }));
  const csv = csvOf([
    ['1', '-1.5e+20', 't', '2026-11-22 17:09:00.123456+00', csvText('a "b"\r\n\\.,é🎉\u2028\u0007'), csvText('{"n": 12345678901234567890, "s": "\\""}'), csvText('{1,-2,0}')],
    ['', '', '', '', '', '', ''],
    ['-9223372036854775808', '0', 'f', '1969-12-31 23:59:59.25+00', '""', 'null', '{}'],
    ['0', '0.10', 't', '0001-01-01 00:00:00+00', csvText('"'), '[]', '{7}'],
  ]);
  const expected = rowsByReference(columns, csv.toString('utf8'));
  t.match(expected, /12345678901234567890/);
  for (let at = 0; at <= csv.length; at++) t.equal(transform(columns, cut(csv, at)), expected, `cut at ${at}`);
  t.equal(transform(columns, [...csv].map((byte) => Buffer.from([byte]))), expected);
  t.equal(transform(columns, cut(csv, 9, 9, 9)), expected, 'empty chunks');
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
  for (const [written, expected] of Object.entries(cases)) t.equal(transform(one('timestamp'), [Buffer.from(`${written}\n`)]), `{"x":${expected}}`, written);
  t.end();
});

t.test('long fields stream through in constant memory, cut anywhere', (t) => {
  for (const [kind, body] of [['text', 'long text, "quoted"\n\ttab é🎉 '.repeat(20_000)], ['json', `[${Array.from({ length: 60_000 }, (_, k) => k).join(',')}]`]] as const) {
    const csv = csvOf([[csvText(body)], ['1'], [csvText(body)]]);
    const expected = rowsByReference(one(kind), csv.toString('utf8'));
    for (const size of [1, 4095, 65536, csv.length]) {
      const memory = new Memory();
      const rows = new CsvToJson(one(kind), memory, 'zerver_test');
      for (let at = 0; at < csv.length; at += size) rows.push(csv.subarray(at, at + size));
      rows.end();
      t.ok(memory.text === expected, `${kind} in chunks of ${size}`);
      t.ok(Math.max(...memory.parts.map((part) => part.length)) <= 128 * 1024, 'no part is larger than the buffer');
      t.same([rows.rows, rows.bytesIn, rows.bytesOut], [3, csv.length, Buffer.byteLength(expected)]);
    }
  }
  t.end();
});

/** Opens a file for every thousand ids; watches the last of three columns. */
class Segments extends Memory implements SegmentedSink {
  readonly files = new Map<number, string>();
  readonly seen: [file: number | undefined, value: number][] = [];
  readonly watched = 2;
  boundary = 0;
  #open: number | undefined;
  startRow(id: number): void {
    this.close();
    this.#open = Math.ceil(id / 1000);
    this.boundary = this.#open * 1000;
  }
  see(value: number): void {
    this.seen.push([this.#open, value]);
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
    const csv = csvOf(chosen.map((id) => [String(id), `t${id}`, String(client(id) ?? '')]));
    const sink = new Segments();
    const rows = new CsvToJson(columns, sink, 'zerver_test', new Set(hidden ? ['id'] : []));
    for (const chunk of cut(csv, ...cuts.map((each) => each % (csv.length + 1)))) rows.push(chunk);
    rows.end();
    sink.close();
    const expected = new Map<number, string[]>();
    for (const id of chosen) {
      const file = Math.ceil(id / 1000);
      expected.set(file, [...(expected.get(file) ?? []), `{${hidden ? '' : `"id":${id},`}"text":"t${id}","client":${client(id) ?? null}}`]);
    }
    assert.deepEqual([...sink.files], [...expected].map(([file, texts]) => [file, texts.join(',')]));
    assert.deepEqual(sink.seen, chosen.flatMap((id) => { const value = client(id); return value === undefined ? [] : [[Math.ceil(id / 1000), value]]; }));
  }), { numRuns: 500 });
  t.end();
});

t.test('a stripped column is read and never written', (t) => {
  const columns: OutputColumn[] = [
    { key: 'password', kind: 'text' }, { key: 'id', kind: 'integer' }, { key: 'api_key', kind: 'text' }, { key: 'email', kind: 'text' }, { key: 'zoom_token', kind: 'json' },
  ];
  const secrets = ['argon2$"pass",\n"word', 'aBcDeF0123', '{"access_token": "x,y"}'];
  const csv = csvOf([[csvText(secrets[0] as string), '1', csvText(secrets[1] as string), 'a@b.example', csvText(secrets[2] as string)], ['', '2', '""', '', '']]);
  const stripped = new Set(['password', 'api_key', 'zoom_token']);
  for (let at = 0; at <= csv.length; at++) t.equal(transform(columns, cut(csv, at), stripped), '{"id":1,"email":"a@b.example"},{"id":2,"email":null}');
  t.throws(() => new CsvToJson(columns.slice(0, 1), new Memory(), 'zerver_test', stripped), { code: 'TABLE_EMPTY', table: 'zerver_test' });
  t.throws(() => new CsvToJson(columns, new Segments(), 'zerver_test'), { code: 'SEGMENT_COLUMN' });
  t.throws(() => new CsvToJson(columns.slice(1), new Segments(), 'zerver_test', stripped), { code: 'SEGMENT_COLUMN' }, 'a watched column that does not travel');
  t.end();
});

t.test('what the server does not write is refused by name, without the content', (t) => {
  const refused: [code: string, kind: ColumnKind, field: string][] = [
    ['TIMESTAMP_NOT_JSON', 'timestamp', 'infinity'], ['TIMESTAMP_NOT_JSON', 'timestamp', '-infinity'], ['TIMESTAMP_NOT_JSON', 'timestamp', '0044-03-15 00:00:00+00 BC'],
    ['TIMESTAMP_NOT_JSON', 'timestamp', '0044-03-15 00:00:00.123456+00 BC'], ['TIMESTAMP_NOT_JSON', 'timestamp', '10000-01-01 00:00:00+00'], ['TIMESTAMP_NOT_JSON', 'timestamp', '294276-12-31 23:59:59.999999+00'],
    ['TIMESTAMP_NOT_JSON', 'timestamp', '2026-11-22 17:09:00+02'], ['TIMESTAMP_NOT_JSON', 'timestamp', '2026-11-22 17:09:00+05:30'], ['TIMESTAMP_NOT_JSON', 'timestamp', 'Sun Nov 22 17:09:00 2026 UTC'],
    ['CSV_MALFORMED', 'timestamp', '2026-11-22 17:09:0x+00'], ['CSV_MALFORMED', 'timestamp', '2026-13-22 17:09:00+00'], ['CSV_MALFORMED', 'timestamp', '2026-11-22 17:09:00.+00'],
    ['CSV_MALFORMED', 'timestamp', '2026-11-22 17:09:00.1x+00'], ['CSV_MALFORMED', 'timestamp', '2026-11-22 1x:09:00+00'], ['CSV_MALFORMED', 'timestamp', '0000-11-22 17:09:00+00'],
    ['COLUMN_NOT_JSON', 'number', 'NaN'], ['COLUMN_NOT_JSON', 'number', 'Infinity'], ['COLUMN_NOT_JSON', 'number', '-Infinity'],
    ['CSV_MALFORMED', 'number', '1.'], ['CSV_MALFORMED', 'number', '.5'], ['CSV_MALFORMED', 'number', '01'], ['CSV_MALFORMED', 'number', '1e'], ['CSV_MALFORMED', 'number', '1e5.0'], ['CSV_MALFORMED', 'number', '-'], ['CSV_MALFORMED', 'number', '1x'],
    ['CSV_MALFORMED', 'integer', '12345678901234567890123'], ['CSV_MALFORMED', 'integer', '1.5'], ['CSV_MALFORMED', 'integer', '-'], ['CSV_MALFORMED', 'integer', '--1'], ['CSV_MALFORMED', 'integer', '01'], ['CSV_MALFORMED', 'integer', '-01'],
    ['CSV_MALFORMED', 'integer', '"1"'], ['CSV_MALFORMED', 'integer', '1-'], ['CSV_MALFORMED', 'integer', 'NaN'], ['CSV_MALFORMED', 'boolean', 'true'], ['CSV_MALFORMED', 'boolean', 'x'],
    ['CSV_MALFORMED', 'integer-array', '{1,2}'], ['CSV_MALFORMED', 'integer-array', '"{1,NULL}"'], ['CSV_MALFORMED', 'integer-array', '"{1,}"'], ['CSV_MALFORMED', 'integer-array', '"{{1},{2}}"'], ['CSV_MALFORMED', 'integer-array', '{1}}'],
    ['CSV_MALFORMED', 'integer-array', '"{1}'], ['CSV_MALFORMED', 'integer-array', '{01}'], ['CSV_MALFORMED', 'integer-array', '{-}'], ['CSV_MALFORMED', 'integer-array', '{-0}'], ['CSV_MALFORMED', 'integer-array', '""'],
    ['CSV_MALFORMED', 'text', 'secretive"'], ['CSV_MALFORMED', 'text', '"secretive"x'], ['CSV_MALFORMED', 'text', 'secretive\r'], ['CSV_MALFORMED', 'text', '"secretive'], ['CSV_MALFORMED', 'json', '""'], ['CSV_MALFORMED', 'json', '{"secretive"}'],
  ];
  for (const [code, kind, field] of refused) {
    const csv = Buffer.from(`1,${field}\n`);
    for (const cuts of [[], [...csv.keys()]]) {
      try {
        transform([{ key: 'id', kind: 'integer' }, { key: 'x', kind }], cut(csv, ...cuts));
        t.fail(`${kind} ${field} passes`);
      } catch (error) {
        if (!(error instanceof RealmliftError)) throw error;
        t.match(error, { code, stage: 'transform', table: 'zerver_test' }, `${kind} ${field}`);
        t.notMatch(error.line, /secretive|2026|0044|294276|12345|NULL/, 'the content stays out of the message');
        if (!error.message.includes('ends inside')) t.match(error.message, /column "x", row 1/);
      }
    }
  }
  t.end();
});

t.test('a row of another shape, or half a row, is refused', (t) => {
  const columns: OutputColumn[] = [{ key: 'a', kind: 'integer' }, { key: 'b', kind: 'text' }];
  for (const csv of ['1\n', '1,x,y\n', '\n', ',,\n', '1,x\n2', '1,x\n2,', '1,x\n2,y', '1,"x']) {
    t.throws(() => transform(columns, [Buffer.from(csv)]), { code: 'CSV_MALFORMED', stage: 'transform', table: 'zerver_test' }, JSON.stringify(csv));
  }
  t.equal(transform(columns, []), '');
  t.throws(() => {
    const rows = new CsvToJson([...columns, { key: 'c', kind: 'integer' }], new Segments(), 'zerver_test');
    rows.push(Buffer.from(',x,1\n'));
  }, { code: 'CSV_MALFORMED', message: 'the first column is null' });
  t.end();
});
