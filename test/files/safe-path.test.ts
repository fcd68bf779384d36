import { join, relative, sep } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { unsafe } from '../../src/files/safe-path.js';

t.test('what is not refused stays below its directory, each key at a place of its own', (t) => {
  const part = fc.oneof(fc.constantFrom('..', '.', '', 'a', '\\', 'a\0', '\ud800', 'é', '日本', 'n'.repeat(256), ' ', '-', '..a'), fc.string({ unit: 'binary', maxLength: 6 }));
  fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/')), (key) => {
    if (unsafe(key) !== undefined) return true;
    const path = join('/export', key);
    return path === `/export/${key}` && relative('/export', path) === key && path.split(sep).every((name) => Buffer.byteLength(name) <= 255) && Buffer.from(key).toString() === key;
  }), { numRuns: 2000 });
  t.end();
});

t.test("Zulip's own keys are not refused", (t) => {
  for (const key of ['2/a6/7O1fZhhf-zjlkVMrnXA31YMS/a-b-1.png', '3/5zTKB77R-IGMrs4WPcos6JOF/naïve-résumé.txt', '2/日本.dat', `2/x/${'n'.repeat(255)}`, '2/x/...']) t.equal(unsafe(key), undefined, key);
  for (const key of ['', '/', 'a//b', '/a', 'a/', 'a/../b', '..', 'a\\b', 'a\nb', 'x/'.repeat(1600)]) t.type(unsafe(key), 'string', key);
  t.end();
});
