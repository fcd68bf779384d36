import fc from 'fast-check';
import t from 'tap';
import { RowFields } from '../../src/json/row-fields.js';

const json = fc.dictionary(fc.string({ unit: 'binary' }), fc.oneof(fc.jsonValue(), fc.integer(), fc.string({ unit: 'binary' }), fc.constantFrom('\\', '"', '\\"', 'x\\\\')));

t.test('keys and values are those of JSON.parse, however the row before looked', (t) => {
  const fields = new RowFields();
  fc.assert(fc.property(json, fc.constantFrom(undefined, 2, '\t'), (row, spaces) => {
    const parsed = JSON.parse(JSON.stringify(row)) as Record<string, unknown>;
    fields.split(Buffer.from(JSON.stringify(parsed, null, spaces)));
    const keys = Object.keys(parsed);
    return fields.count === keys.length && keys.every((key, field) =>
      fields.key(field) === key && fields.find(key) === field && JSON.stringify(JSON.parse(fields.bytes(field).toString())) === JSON.stringify(parsed[key]));
  }), { numRuns: 1000 });
  t.pass();
  t.end();
});

t.test('a row of many keys', (t) => {
  const row = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, index]));
  const fields = new RowFields().split(Buffer.from(JSON.stringify(row)));
  t.equal(fields.count, 300);
  t.equal(fields.integerOf('k299'), 299);
  t.end();
});

t.test('integers are exact or nothing', (t) => {
  const fields = new RowFields().split(Buffer.from('{"a":12,"b":-7,"c":null,"d":1.5,"e":9007199254740993,"f":9007199254740991,"g":"12","h":1e3}'));
  t.same(['a', 'b', 'f'].map((key) => fields.integerOf(key)), [12, -7, 9007199254740991]);
  for (const key of ['c', 'd', 'e', 'g', 'h', 'none']) t.ok(Number.isNaN(fields.integerOf(key)), key);
  t.equal(fields.textOf('g'), '12');
  t.equal(fields.textOf('a'), undefined);
  t.end();
});
