// Files of an earlier export that are read before they are files of this one.
import { closeSync, mkdirSync, openSync, statSync, utimesSync, writeSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { digestOf } from '../../src/package/part-file.js';
import { inodeOf, takeOver } from '../../src/package/take-over.js';
import { DigestsAhead } from '../../src/verify/digests-ahead.js';
import { verifyExport, withVerifyHere } from '../../src/verify/verify-export.js';
import type { Tasks } from '../../src/verify/worker-tasks.js';
import { checkedBefore, filesOf, ourExport } from './our-export.js';
import { watched } from './watched-tasks.js';

const SIZE = 8 << 20;

t.test('what is read ahead is believed of the same file alone', async (t) => {
  const [earlier, now, run] = ['earlier', 'now', 'run'].map((name) => join(t.testdirName, name)) as [string, string, string];
  t.testdir({});
  for (const directory of [earlier, now, run]) mkdirSync(directory);
  const files = [];
  for (const path of ['whole', 'rotten', 'copied', 'other']) {
    await writeFile(join(earlier, path), Buffer.alloc(SIZE, path));
    files.push({ path, ...await digestOf(join(earlier, path)), inode: inodeOf(join(earlier, path)) });
  }
  const [whole, rotten, copied, other] = files as [typeof files[0], typeof files[0], typeof files[0], typeof files[0]];
  const { atime, mtime } = statSync(join(earlier, 'rotten'));
  const file = openSync(join(earlier, 'rotten'), 'r+');
  writeSync(file, 'R', SIZE / 2);
  closeSync(file);
  utimesSync(join(earlier, 'rotten'), atime, mtime);
  await DigestsAhead.with(now, async (ahead) => {
    await ahead.addLinked(earlier, [whole, rotten, copied], run);
    await takeOver(join(earlier, 'whole'), join(now, 'whole'), whole);
    const linked = inodeOf(join(now, 'whole')) === inodeOf(join(earlier, 'whole'));
    ahead.add(whole);
    t.equal(await ahead.has(whole), linked, 'by its first name, for the second');
    t.equal(await ahead.has(rotten), false, 'one byte is another');
    await writeFile(join(now, 'copied'), Buffer.alloc(SIZE, 'copied'));
    t.equal(await ahead.has(copied), false, 'a copy is another file');
    t.equal(await ahead.has(other), false, 'of which nobody told');
  });
  t.equal(inodeOf(join(run, 'link')), undefined, 'nothing is left of the attempt');
});

t.test('a thread is not begun for few bytes, and whoever asks reads the file', async (t) => {
  const directory = t.testdir({ few: 'few' });
  const few = { path: 'few', ...await digestOf(join(directory, 'few')) };
  await DigestsAhead.with(directory, async (ahead) => {
    ahead.add(few);
    t.equal(await ahead.has(few), false);
  });
});

t.test('verify takes no digest again of what was read ahead', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'acme-full');
  const { findings, totals, census } = await verifyExport(directory, { jobs: 1 });
  const before = await checkedBefore(directory);
  const asked: string[] = [];
  const tasks: string[] = [];
  const has = (path: string): boolean => path !== 'emoji/records.json' && !path.startsWith('avatars/');
  const again = await withVerifyHere(({ pool, scratch }) => verifyExport(directory, {
    workers: { scratch, pool: watched(pool, (name, given) => {
      if (name === 'hash') tasks.push(...(given as Tasks['hash']['arguments']).files.map(({ path }) => path));
      if (name === 'unchanged') tasks.push(`${(given as Tasks['unchanged']['arguments']).path} ${String((given as Tasks['unchanged']['arguments']).sha256 !== undefined)}`);
    }) },
    before,
    ahead: { has: ({ path }) => {
      asked.push(path);
      return Promise.resolve(has(path));
    } },
  }));
  t.same([again.findings, again.census, { ...again.totals, seconds: 0 }], [findings, census, { ...totals, seconds: 0 }]);
  const ofRows = new Set(['realm.json', 'analytics.json', 'attachment.json']);
  t.same(asked.sort(), filesOf(directory).filter((path) => !ofRows.has(path)).sort());
  const messages = asked.filter((path) => path.startsWith('messages-'));
  t.same(tasks.sort(), [...asked.filter((path) => !has(path)), ...messages.map((path) => `${path} true`)].sort());
});
