// No file of an export ever takes another one's place.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ExportDirectory, NameTaken } from '../../src/files/export-directory.js';
import { filesBelow } from './pull-fixture.js';

async function publish(target: ExportDirectory, path: string, content: string): Promise<void> {
  writeFileSync(target.partial(path), content);
  await target.publish(target.partial(path), path);
}

const failure = async (work: Promise<void>): Promise<unknown> => work.then(() => undefined, (error: unknown) => error);

t.test('a name is given once', async (t) => {
  const directory = t.testdir();
  const target = await ExportDirectory.open(directory, false);
  await publish(target, 'uploads/2/a', 'first');
  for (const path of ['uploads/2/a', 'uploads/2/a/b', 'uploads/2', 'uploads']) {
    t.type(await failure(publish(target, path, 'second')), NameTaken, path);
  }
  await publish(target, 'uploads/2/A', 'other case');
  await target.close();
  t.strictSame(filesBelow(directory).sort(), ['uploads/2/A', 'uploads/2/a']);
  t.equal(readFileSync(join(directory, 'uploads/2/a'), 'utf8'), 'first');
});

t.test('a resumed run replaces what an earlier run left, and no directory', async (t) => {
  const directory = t.testdir({ uploads: { 2: { a: 'left behind', b: {} } } });
  const target = await ExportDirectory.open(directory, true);
  await publish(target, 'uploads/2/a', 'new');
  t.equal(readFileSync(join(directory, 'uploads/2/a'), 'utf8'), 'new');
  t.type(await failure(publish(target, 'uploads/2/b', 'new')), NameTaken);
});

t.test('what an earlier run left unfinished goes, unless this one resumes it', async (t) => {
  const directory = t.testdir();
  const first = await ExportDirectory.open(directory, false);
  writeFileSync(first.partial('uploads/x'), 'half');
  const resumed = await ExportDirectory.open(directory, true);
  t.equal(readFileSync(resumed.partial('uploads/x'), 'utf8'), 'half');
  await ExportDirectory.open(directory, false);
  t.strictSame(filesBelow(directory), []);
});

t.test('whether a file is the one of the journal', async (t) => {
  const directory = t.testdir({ a: 'content' });
  mkdirSync(join(directory, 'd'));
  const target = await ExportDirectory.open(directory, true);
  const sha256 = 'ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73';
  t.equal(await target.holds('a', { size: 7, sha256 }), true);
  t.equal(await target.holds('a', { size: 8, sha256 }), false);
  t.equal(await target.holds('a', { size: 7, sha256: sha256.replace('e', 'f') }), false);
  t.equal(await target.holds('none', { size: 7, sha256 }), false);
  t.equal(await target.holds('d', { size: 7, sha256 }), false);
});
