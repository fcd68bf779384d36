import { fstatSync, readdirSync, writeSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { IdSpool, findMissing, findRepeated, mergeRuns, type IdRun } from '../../src/ids/id-spool.js';
import { withTemporaryFiles } from '../../src/ids/temporary-files.js';

const id = fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeInteger().map(Math.abs));

/** Spools each list in a file of its own, in runs of `cut` ids, and hands the runs to `use`. */
function spooled<T>(lists: readonly (readonly number[])[], cut: number, use: (runs: IdRun[], scratch: IdSpool) => T): T {
  return withTemporaryFiles((open) => {
    const fds = open(lists.length + 1);
    const runs = lists.flatMap((ids, i) => {
      const spool = new IdSpool(fds[i]!);
      const parts: IdRun[] = [];
      ids.forEach((each, n) => {
        spool.add(each);
        if (n % cut === cut - 1) parts.push(...spool.finish());
      });
      return [...parts, ...spool.finish()];
    });
    return use(runs, new IdSpool(fds.at(-1)!));
  });
}

function drain(runs: readonly IdRun[], scratch: IdSpool): number[] {
  const merged = mergeRuns(runs, scratch);
  const ids: number[] = [];
  for (let each = merged.next(); each !== Infinity; each = merged.next()) ids.push(each);
  return ids;
}

const sorted = (ids: readonly number[]): number[] => [...ids].sort((a, b) => a - b);

t.test('what goes in comes out sorted, whatever the order and the files', (t) => {
  fc.assert(fc.property(fc.array(fc.array(id, { maxLength: 50 }), { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 60 }), (lists, cut) => {
    t.same(spooled(lists, cut, drain), sorted(lists.flat()));
  }), { numRuns: 200 });
  t.end();
});

t.test('more ids than a batch, more runs than are merged at once', (t) => {
  const ids = Array.from({ length: 40_000 }, (_, i) => (i * 7919) % 65_537);
  t.same(spooled([ids], 50_000, drain), sorted(ids), 'batches');
  t.same(spooled([ids], 60, drain), sorted(ids), 'runs of runs');
  t.end();
});

t.test('rising ids make one run of little more than a byte each', (t) => {
  spooled([Array.from({ length: 40_000 }, (_, i) => 5_000_000_000 + i * 3)], 50_000, (runs) => {
    t.match(runs, [{ count: 40_000, min: 5_000_000_000, max: 5_000_119_997 }]);
    t.equal(runs.length, 1);
    t.ok(runs[0]!.bytes < 40_100);
  });
  t.end();
});

t.test('repeated and missing ids are found', (t) => {
  fc.assert(fc.property(fc.array(fc.nat(60), { maxLength: 60 }), fc.array(fc.nat(60), { maxLength: 60 }), (ids, references) => {
    const twice: number[] = [];
    spooled([ids], 10, (runs, scratch) => { findRepeated(mergeRuns(runs, scratch), (each) => twice.push(each)); });
    const seen = new Set<number>();
    t.same(twice, sorted(ids).filter((each) => seen.has(each) || !seen.add(each)));

    const missing: number[] = [];
    spooled([ids], 10, (runs, scratch) => {
      spooled([references], 10, (theirs) => { findMissing(mergeRuns(runs, scratch), mergeRuns(theirs, scratch), (each) => missing.push(each)); });
    });
    t.same(missing, sorted(references.filter((each) => !ids.includes(each))));
  }), { numRuns: 200 });
  t.end();
});

t.test('temporary files have no name, even while they are open', (t) => {
  const before = process.env.TMPDIR;
  process.env.TMPDIR = t.testdir({});
  t.teardown(() => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  });
  withTemporaryFiles((open) => {
    const [fd] = open(2) as [number, number];
    writeSync(fd, 'x');
    t.same(readdirSync(process.env.TMPDIR!), []);
    t.equal(fstatSync(fd).size, 1);
  });
  t.end();
});
