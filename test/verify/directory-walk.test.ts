import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { comparePaths, type ManifestFile } from '../../src/package/manifest.js';
import { compareWithManifest, walk } from '../../src/verify/directory-walk.js';

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) {
    await Promise.resolve();
    yield item;
  }
}

t.test('files come in the order of the manifest', async (t) => {
  const directory = t.testdir({});
  const paths = ['a.txt', 'a/b', 'a/c/d', 'a-b/x', 'a0', 'b/🚀', 'b/\ue000', 'realm.json', 'realm_icons/records.json'];
  for (const path of paths) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), '');
  }
  mkdirSync(join(directory, 'empty'));
  const found: string[] = [];
  for await (const { path } of walk(directory)) found.push(path);
  t.same(found, [...paths].sort(comparePaths));
});

t.test('what is there, what is listed, and what is both', async (t) => {
  const names = fc.uniqueArray(fc.constantFrom(...'abcdefgh')).map((list) => list.sort());
  await fc.assert(fc.asyncProperty(names, names, async (there, listed) => {
    const seen: string[] = [];
    const entries = listed.map((path): ManifestFile => ({ path, size: 0, sha256: '' }));
    for await (const file of compareWithManifest(each(there.map((path) => ({ path, isFile: true }))), each(entries))) {
      t.equal(file.path, file.found?.path ?? file.listed?.path);
      seen.push(`${file.path}${file.found === undefined ? '' : '+'}${file.listed === undefined ? '' : '*'}`);
    }
    t.same(seen, [...new Set([...there, ...listed])].sort().map((path) => `${path}${there.includes(path) ? '+' : ''}${listed.includes(path) ? '*' : ''}`));
  }));
});
