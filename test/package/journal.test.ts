import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Journal, journalPath, rowsByTable, type JournalPart } from '../../src/package/journal.js';

const HEAD = { run: { realm: 'acme' }, seed: 'secret' };
const FIRST = { id: '00000003-00000001-1', key: 'a', takenAt: '2026-01-01T00:00:00Z' };
const SECOND = { ...FIRST, key: 'b' };
const part = (path: string, size = 1): JournalPart => ({ path, size, sha256: 'f'.repeat(64) });

/** A directory with the journal of a run that finished three parts out of the first snapshot. */
async function written(t: Test): Promise<string> {
  const directory = join(t.testdir({}), 'run');
  mkdirSync(directory);
  await Journal.with(directory, (journal) => {
    t.equal(journal.head, undefined);
    t.notOk(existsSync(journalPath(directory)), 'nothing is written before the run has begun');
    t.equal(journal.begin(HEAD, FIRST), false);
    for (const path of ['a', 'b', 'c']) journal.append('part', part(path));
    t.same(journal.get('b'), { kind: 'part', ...part('b') }, 'found at once');
    return Promise.resolve();
  });
  return directory;
}

t.test('in the same snapshot, what was finished holds', async (t) => {
  const directory = await written(t);
  t.equal(statSync(journalPath(directory)).mode & 0o777, 0o600);
  await Journal.with(directory, (journal) => {
    t.same(journal.head, HEAD);
    t.equal(journal.begin(HEAD, FIRST), true);
    t.ok(journal.get('a'));
    t.equal(journal.get('d'), undefined);
    return Promise.resolve();
  });
});

t.test('in another snapshot it is earlier, until it is told again', async (t) => {
  const directory = await written(t);
  await Journal.with(directory, (journal) => {
    t.equal(journal.begin(HEAD, SECOND), false, 'the same id is not the same snapshot');
    t.equal(journal.get('a'), undefined);
    t.match(journal.earlier('a'), { present: false, part: { path: 'a', size: 1 } });
    journal.append('part', part('a', 2));
    t.match(journal.earlier('a'), { present: true, part: { size: 2 } });
    return Promise.resolve();
  });
  await Journal.with(directory, (journal) => {
    t.equal(journal.begin(HEAD, SECOND), true);
    t.match(journal.get('a'), { size: 2 });
    t.equal(journal.get('b'), undefined);
    return Promise.resolve();
  });
});

t.test('cut at any byte, the lines before the cut are there and new ones can be read', async (t) => {
  const directory = await written(t);
  const whole = readFileSync(journalPath(directory));
  const ends = [...whole.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1);
  for (let length = 0; length <= whole.length; length += 7) {
    writeFileSync(journalPath(directory), whole);
    truncateSync(journalPath(directory), length);
    const lines = ends.filter((end) => end <= length).length;
    await Journal.with(directory, (journal) => {
      const found = ['a', 'b', 'c'].filter((path) => journal.earlier(path) !== undefined).length;
      t.equal(found, Math.max(0, lines - 2), `${length} bytes`);
      t.equal(journal.head === undefined, lines === 0);
      journal.begin(HEAD, FIRST);
      journal.append('part', part('d'));
      return Promise.resolve();
    });
    await Journal.with(directory, (journal) => {
      t.ok(journal.earlier('d'));
      return Promise.resolve();
    });
  }
});

t.test('a line with a changed bit is not believed, and what follows is not taken for the snapshot before', async (t) => {
  const directory = await written(t);
  await Journal.with(directory, (journal) => {
    journal.begin(HEAD, SECOND);
    journal.append('part', part('e'));
    return Promise.resolve();
  });
  const bytes = readFileSync(journalPath(directory));
  const at = bytes.lastIndexOf('"kind":"snapshot"');
  bytes[at + 40] = (bytes[at + 40] ?? 0) ^ 1;
  writeFileSync(journalPath(directory), bytes);
  appendFileSync(journalPath(directory), 'no line at all\n');
  await Journal.with(directory, (journal) => {
    t.equal(journal.begin(HEAD, FIRST), false);
    t.match(journal.earlier('e'), { present: false });
    t.match(journal.earlier('a'), { present: false });
    return Promise.resolve();
  });
});

t.test('rows are counted by table, and a text among the tables is none', (t) => {
  t.same([...rowsByTable([{ ...part('a'), rows: { zerver_realm: 1, import_source: 5 } }, part('b'), { ...part('c'), rows: { zerver_realm: 2 } }])], [['zerver_realm', 3]]);
  t.end();
});
