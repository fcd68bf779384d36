import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { EntrySpool } from '../../src/package/entry-spool.js';

interface Entry {
  readonly key: number;
  readonly nth: number;
  readonly text: string;
}

/** What breaks lines or JSON, and what is longer than a block. */
const TEXTS = ['', 'a\nb', '\u2028\u2029', '😀 ü "quoted"\\', '\ud800', 'x'.repeat(70_000)];

function entries(count: number): Entry[] {
  return Array.from({ length: count }, (_, nth) => ({ key: (nth * 7919) % 1009, nth, text: nth % 1000 === 0 ? TEXTS[(nth / 1000) % TEXTS.length] as string : `${nth}` }));
}

t.test('what goes in comes out sorted, and what is equal in the order in which it came', (t) => {
  for (const [count, what] of [[0, 'nothing'], [100, 'one batch'], [20_000, 'several runs'], [300_000, 'runs of runs']] as const) {
    const path = join(t.testdir({}), 'spool');
    const spool = new EntrySpool<Entry>(path, (a, b) => a.key - b.key);
    const all = entries(count);
    for (const entry of all) spool.add(entry);
    const sorted = all.sort((a, b) => a.key - b.key);
    t.equal(spool.count, count);
    for (const time of ['once', 'again']) {
      let at = 0;
      for (const { key, nth, text } of spool.sorted()) {
        const expected = sorted[at++];
        if (key !== expected?.key || nth !== expected.nth || text !== expected.text) return t.fail(`${what}, ${time}: entry ${at} is another`);
      }
      t.equal(at, count, `${what}, ${time}`);
    }
    t.equal(existsSync(path), count > 4096, 'a few entries make no file');
  }
  t.end();
});

t.test('what is left of an earlier run is overwritten, and the file closed by a reader that has enough', (t) => {
  const path = join(t.testdir({ spool: 'an earlier one' }), 'spool');
  const spool = new EntrySpool<number>(path, (a, b) => a - b);
  for (let id = 10_000; id > 0; id--) spool.add(id);
  for (const id of spool.sorted()) if (id === 3) break;
  t.strictSame([...spool.sorted()].slice(0, 3), [1, 2, 3]);
  t.end();
});

t.test('a directory that is gone is told', (t) => {
  const spool = new EntrySpool<number>(join(t.testdir({}), 'gone', 'spool'), (a, b) => a - b);
  t.throws(() => { for (let id = 0; id < 10_000; id++) spool.add(id); }, { code: 'DISK_FAILED' });
  t.end();
});
