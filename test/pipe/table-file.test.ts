import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { oneLine } from '../../src/pipe/one-line.js';
import { BARE } from '../../src/json/each-table.js';
import { TableFile } from '../../src/pipe/table-file.js';
import { JsonScanner } from '../../src/json/json-scanner.js';

function open(directory: string, content: string): TableFile {
  const file = join(directory, 'x.json');
  writeFileSync(file, content);
  return TableFile.open(file, { path: 'x.json', size: Buffer.byteLength(content), sha256: createHash('sha256').update(content).digest('hex') });
}

t.test('a value comes as its bytes, wherever the buffer cuts it', (t) => {
  const value = '{"a": "x\\"\\\\", "ü": [1.50, {"n":12345678901234567890}], "e":{}}';
  for (let size = 1; size <= 80; size++) {
    const bytes = Buffer.from(`[${value},${value}]`);
    let at = 0;
    const scanner = new JsonScanner(size);
    scanner.open((target, offset) => {
      const got = Math.min(size, target.length - offset, bytes.length - at);
      bytes.copy(target, offset, at, at + got);
      at += got;
      return got;
    });
    scanner.expect(0x5b);
    const first = scanner.takeValue(scanner.next()).toString();
    scanner.expect(0x2c);
    const offset = scanner.offset;
    const second = scanner.takeValue(scanner.next()).toString();
    t.same([first, second, offset], [value, value, 1 + Buffer.byteLength(value) + 1], `buffer of ${size}`);
  }
  t.end();
});

t.test('tables, rows and constants of a file', (t) => {
  const file = open(t.testdir(), '{"b": [{"id":1} , {"id":\n2}], "import_source": "zulip", "a":[]}');
  t.same(file.tables, ['b', 'a']);
  t.same([...file.rows('b')].map(String), ['{"id":1}', '{"id":\n2}']);
  t.same([...file.rows('b')].length, 2, 'a table can be read again');
  t.same([...file.rows('a'), ...file.rows('c')], []);
  t.same([...file.constants], [['import_source', '"zulip"']]);
  t.equal(file.count('b'), 2);
  file.close();
  const bare = open(t.testdir(), '[\n{"path":"x"}\n]\n');
  t.same([...bare.rows(BARE)].map(String), ['{"path":"x"}']);
  bare.close();
  t.end();
});

t.test('what is no tables of rows', (t) => {
  const directory = t.testdir();
  t.throws(() => open(directory, '{"a":[{]}'), { code: 'JSON_DAMAGED', message: /x\.json.*byte/ });
  t.throws(() => open(directory, '{"a":[],"a":[]}'), { code: 'JSON_DAMAGED', message: /twice/ });
  const file = open(directory, '{"a":[1]}');
  t.throws(() => [...file.rows('a')], { code: 'JSON_DAMAGED', table: 'a' });
  file.close();
  t.throws(() => TableFile.open(join(directory, 'x.json'), { path: 'x.json', size: 9, sha256: '0' }), { code: 'EXPORT_CHANGED' });
  t.throws(() => TableFile.open(join(directory, 'y.json'), { path: 'y.json', size: 9, sha256: '0' }), { code: 'EXPORT_CHANGED', message: /ENOENT/ });
  t.end();
});

t.test('one line: the value stays, the breaks go', (t) => {
  fc.assert(fc.property(fc.jsonValue(), fc.constantFrom('\n', '\r\n ', '\t'), (value, space) =>
    oneLine(Buffer.from(JSON.stringify(value, null, space))).toString() === JSON.stringify(value)), { numRuns: 300 });
  t.pass();
  t.end();
});
