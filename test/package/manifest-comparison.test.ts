import fc from 'fast-check';
import t from 'tap';
import type { ManifestFile } from '../../src/package/manifest.js';
import { compareWithManifest } from '../../src/package/manifest-comparison.js';

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) {
    await Promise.resolve();
    yield item;
  }
}

t.test('what is there, what is listed, and what is both', async (t) => {
  const names = fc.uniqueArray(fc.constantFrom(...'abcdefgh')).map((list) => list.sort());
  await fc.assert(fc.asyncProperty(names, names, async (there, listed) => {
    const seen: string[] = [];
    const entries = listed.map((path): ManifestFile => ({ path, size: 0, sha256: '' }));
    for await (const file of compareWithManifest(there.map((path) => ({ path, isFile: true })).values(), each(entries))) {
      t.equal(file.path, file.found?.path ?? file.listed?.path);
      seen.push(`${file.path}${file.found === undefined ? '' : '+'}${file.listed === undefined ? '' : '*'}`);
    }
    t.same(seen, [...new Set([...there, ...listed])].sort().map((path) => `${path}${there.includes(path) ? '+' : ''}${listed.includes(path) ? '*' : ''}`));
  }));
});
