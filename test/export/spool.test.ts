import { join } from 'node:path';
import t from 'tap';
import { mergeById, rowsOf } from '../../src/export/spools/spool-merge.js';
import { SpoolReader } from '../../src/export/spools/spool-reader.js';
import { SpoolWriter } from '../../src/export/spools/spool-writer.js';

/** More bytes than the writer's memory holds, of more groups than the reader's window of the directory, rows of all lengths. */
function rows(groups: number, count: number, from = 0): { group: number; id: number; text: string }[] {
  return Array.from({ length: count }, (_, index) => {
    const id = from + index;
    return { group: (id * 7919 + (id % 13) * 31) % groups, id, text: `{"id":${id},"text":${JSON.stringify(`}{"\\ ${'x'.repeat((id * 31) % 5000)}`)},"list":[{"a":1}]}` };
  });
}

function write(path: string, groups: number, all: ReturnType<typeof rows>): ReturnType<SpoolWriter['finish']> {
  const writer = new SpoolWriter(path, groups);
  for (const { group, id, text } of all) {
    const bytes = Buffer.from(text);
    writer.startRow(group);
    writer.write(group, bytes.subarray(0, 40));
    writer.write(group, bytes.subarray(40));
    writer.endRow(group, id);
  }
  return writer.finish();
}

const GROUPS = 700;

t.test('each group has its rows again, in their order', (t) => {
  const directory = t.testdir({});
  const all = rows(GROUPS, 20_000);
  const spool = write(join(directory, 'spool'), GROUPS + 5, all);
  t.match(spool, { rows: all.length, firstId: 0, lastId: all.length - 1 });
  const reader = new SpoolReader();
  // In order, and then in another.
  for (const step of [1, 331]) {
    for (let k = 0; k < GROUPS + 5; k++) {
      const group = (k * step) % (GROUPS + 5);
      const mine = all.filter((row) => row.group === group);
      const found = reader.find(spool, group);
      if (mine.length === 0) t.equal(found, undefined, `group ${group}`);
      else {
        const expected = mine.map(({ text }) => text).join(',');
        const bytes = reader.bytes(found as NonNullable<typeof found>).toString();
        if (bytes !== expected || found?.rows !== mine.length || found.bytes !== Buffer.byteLength(expected) || found.firstId !== mine[0]?.id || found.lastId !== mine.at(-1)?.id) t.fail(`group ${group} is not what was written`);
      }
    }
  }
  reader.close();
  t.end();
});

t.test('rows of several spools are merged by id', (t) => {
  const directory = t.testdir({});
  const all = rows(3, 3000);
  const spools = [0, 1, 2].map((part) => write(join(directory, `spool-${part}`), 3, all.filter(({ id }) => (id * id) % 7 % 3 === part)));
  const reader = new SpoolReader();
  for (let group = 0; group < 3; group++) {
    const found = spools.map((spool) => reader.find(spool, group)).filter((each) => each !== undefined);
    const merged: Buffer[] = [];
    mergeById(reader, found, (bytes) => merged.push(Buffer.from(bytes)));
    t.ok(Buffer.concat(merged).toString() === all.filter((row) => row.group === group).map(({ text }) => text).join(','), `group ${group}`);
    t.equal(found.flatMap((each) => [...rowsOf(reader, each)]).length, all.filter((row) => row.group === group).length);
  }
  reader.close();
  t.end();
});
