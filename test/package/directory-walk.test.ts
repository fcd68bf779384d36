import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { walk } from '../../src/package/directory-walk.js';
import { comparePaths } from '../../src/package/manifest.js';

t.test('files come in the order of the manifest', (t) => {
  const directory = t.testdir({});
  const paths = ['a.txt', 'a/b', 'a/c/d', 'a-b/x', 'a0', 'b/🚀', 'b/\ue000', 'realm.json', 'realm_icons/records.json'];
  for (const path of [...paths, '.realmlift/journal']) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), '');
  }
  mkdirSync(join(directory, 'empty'));
  const found: string[] = [];
  for (const { path } of walk(directory)) found.push(path);
  t.same(found, [...paths].sort(comparePaths));
  t.end();
});
