import fc from 'fast-check';
import t from 'tap';
import { IdTable, pathId } from '../../src/ids/id-table.js';

const id = fc.oneof(fc.nat(100), fc.nat(), fc.maxSafeInteger().map(Math.abs));

t.test('holds what was added, and nothing else', (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(id, fc.nat()), { maxLength: 300 }), fc.array(id), (entries, others) => {
    const table = new IdTable(true);
    const map = new Map(entries);
    for (const [each, value] of entries) table.add(each, value);
    const copy = new IdTable(true, table.share());
    t.equal(table.size, map.size);
    t.same([...table.ids()].sort(), [...map.keys()].sort());
    for (const each of [...map.keys(), ...others]) {
      t.equal(table.has(each), map.has(each));
      t.equal(copy.get(each), map.get(each));
    }
  }), { numRuns: 100 });
  t.end();
});

t.test('what is no id is never in it', (t) => {
  const table = new IdTable(true);
  table.add(0);
  table.add(7);
  for (const each of [-1, -7, NaN, Infinity, -Infinity, 0.5]) {
    t.notOk(table.has(each), String(each));
    t.equal(table.get(each), undefined);
  }
  t.end();
});

t.test('paths that differ a little have different numbers', (t) => {
  const ids = new Set<number>();
  for (let i = 0; i < 200_000; i++) ids.add(pathId(`2/${(i % 256).toString(16)}/Ue5UNq5EDWoAd0mPfR5GAiDA${i}/a-b-1.png`));
  t.equal(ids.size, 200_000);
  t.ok([...ids].every(Number.isSafeInteger));
  t.end();
});
