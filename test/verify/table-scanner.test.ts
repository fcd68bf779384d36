import fc from 'fast-check';
import t from 'tap';
import { JsonScanner } from '../../src/json/json-scanner.js';
import { ABSENT, NULL, scanTables, type Reading, type TablePlan } from '../../src/verify/table-scanner.js';

type Row = Record<string, unknown>;

const KEYS: Record<string, { reading: Reading; slot: number }> = {
  id: { reading: 'number', slot: 0 },
  sender: { reading: 'number', slot: 1 },
  secret: { reading: 'filled', slot: 2 },
  active: { reading: 'flag', slot: 3 },
  messages: { reading: 'numbers', slot: 4 },
  path: { reading: 'text', slot: 0 },
};

/** What the scanner makes of `text`, row by row, and what it counts. */
function scan(text: string, bufferSize = 64): { rows: unknown[]; counts: [string, number][] } {
  const rows: unknown[] = [];
  const scanner = new JsonScanner(bufferSize);
  let sent = false;
  scanner.open((target, offset) => {
    // In pieces that fit.
    const got = sent ? 0 : Buffer.from(text).copy(target, offset, position, position + target.length - offset);
    position += got;
    sent = got === 0;
    return got;
  });
  let position = 0;
  const counts = scanTables(scanner, (table) => {
    if (table === 'skipped') return undefined;
    let elements: number[] = [];
    const plan: TablePlan = {
      values: new Float64Array(5),
      texts: [undefined],
      read: (key) => KEYS[key] ?? { reading: 'skip', slot: 0 },
      row() {
        rows.push({ table, values: [...plan.values], text: plan.texts[0], elements });
        elements = [];
      },
      element: (_, value) => { elements.push(value); },
    };
    return plan;
  });
  return { rows, counts: [...counts] };
}

/** The same from parsed objects. */
function expected(tables: Record<string, Row[]>): unknown[] {
  const number = (value: unknown): number => (value === undefined ? ABSENT : value === null ? NULL : typeof value === 'number' ? value : NaN);
  const filled = (value: unknown): number => (value === undefined ? ABSENT : [null, '', false, true].includes(value as null) || JSON.stringify(value) === '[]' || JSON.stringify(value) === '{}' ? 0 : 1);
  return Object.entries(tables).filter(([table]) => table !== 'skipped').flatMap(([table, rows]) => rows.map((row) => {
    const list = row.messages;
    const numbers = Array.isArray(list) ? list.filter((each) => typeof each === 'number') : [];
    return {
      table,
      values: [
        number(row.id), number(row.sender), filled(row.secret), row.active === undefined ? ABSENT : row.active === true ? 1 : 0,
        list === undefined ? ABSENT : Array.isArray(list) && numbers.length === list.length ? numbers.length : NaN,
      ],
      text: typeof row.path === 'string' ? row.path : undefined,
      elements: numbers,
    };
  }));
}

const value = fc.oneof(fc.nat(), fc.constantFrom(null, true, false, '', {}, []), fc.string({ unit: 'grapheme' }), fc.array(fc.oneof(fc.nat(), fc.constant(null), fc.string())), fc.dictionary(fc.string(), fc.nat()));
const row = fc.dictionary(fc.constantFrom('id', 'sender', 'secret', 'active', 'messages', 'path', 'content', 'se"cret', '__proto'), value);
/** Rows of one table usually have the same keys in the same order: then guessing pays, and must be right. */
const uniformRows = fc.tuple(fc.uniqueArray(fc.constantFrom('id', 'sender', 'secret', 'active', 'messages', 'path', 'content')), fc.array(fc.array(value, { minLength: 7, maxLength: 7 }), { maxLength: 5 }))
  .map(([keys, rows]) => rows.map((values) => Object.fromEntries(keys.map((key, i) => [key, values[i]]))));
const tables = fc.dictionary(fc.constantFrom('zerver_message', 'zerver_usermessage', 'skipped', 'ta"ble'), fc.oneof(fc.array(row, { maxLength: 5 }), uniformRows));

t.test('rows are read as JSON.parse would, compact and indented, with any buffer', (t) => {
  fc.assert(fc.property(tables, fc.constantFrom(undefined, 2, '\t'), fc.integer({ min: 8, max: 80 }), (content, indent, bufferSize) => {
    const { rows, counts } = scan(JSON.stringify(content, null, indent), bufferSize);
    t.same(counts, Object.entries(content).map(([table, each]) => [table, each.length]));
    t.same(JSON.stringify(rows), JSON.stringify(expected(content)));
  }), { numRuns: 500 });
  t.end();
});

t.test('so are rows of numbers, and what stands among them', (t) => {
  const number = fc.oneof({ weight: 30, arbitrary: fc.maxSafeNat() }, fc.constantFrom(0, -1, 1.5, 1e20, 123_456_789_012_345, 1_234_567_890_123_456, null, '5', true));
  const rowsOfNumbers = fc.tuple(fc.uniqueArray(fc.constantFrom('id', 'sender', 'secret', 'content', 'user_profile'), { minLength: 1 }), fc.array(fc.array(number, { minLength: 5, maxLength: 5 }), { maxLength: 30 }), fc.nat(4))
    .map(([keys, rows, missing]) => rows.map((values, at) => Object.fromEntries(keys.filter((_, i) => at !== 7 || i !== missing).map((key, i) => [key, values[i]]))));
  fc.assert(fc.property(rowsOfNumbers, fc.constantFrom(undefined, 1), fc.integer({ min: 16, max: 4096 }), (rows, indent, bufferSize) => {
    t.same(JSON.stringify(scan(JSON.stringify({ zerver_usermessage: rows }, null, indent), bufferSize).rows), JSON.stringify(expected({ zerver_usermessage: rows })));
  }), { numRuns: 500 });
  for (const text of ['{"id":03,"sender":4}', '{"id":,"sender":4}', '{"id":3,"sender":4', '{"id":3,"sender":4]', '{"id":3,"sender":4,}', '{"id":3 "sender":4}', '{"id":3."sender":4}']) {
    t.throws(() => scan(`{"a":[{"id":1,"sender":2},{"id":2,"sender":2},${text},{"id":4,"sender":2}]}`, 4096), { code: 'JSON_DAMAGED' }, text);
  }
  t.end();
});

t.test('a bare array is one table without a name', (t) => {
  t.same(scan('[{"id":1},{"id":2}]').counts, [['', 2]]);
  t.end();
});

t.test('a text among the tables counts its characters, as stats.json does', (t) => {
  t.same(scan('{"import_source":"zulip","zerver_client":[],"n":{"a":1}}').counts, [['import_source', 5], ['zerver_client', 0], ['n', 0]]);
  t.end();
});

t.test('the last of two equal keys counts', (t) => {
  t.match(scan('{"a":[{"id":1,"id":2}]}').rows, [{ values: [2] }]);
  t.end();
});

t.test('what is no table of rows is refused', (t) => {
  for (const text of ['', '5', '{"a":[1]}', '{"a":[{}]', '{"a":[{}]}x', '[{"id":1},]', '{"a":[{"id":1,}]}', '{"a":[{,"id":1}]}', '{"a":[{"id" 1}]}', '{"a":[],}']) {
    t.throws(() => scan(text), { code: 'JSON_DAMAGED' }, text);
  }
  t.end();
});
