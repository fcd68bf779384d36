import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PathIndex } from '../../src/package/path-index.js';

t.test('every path is found at the place that it had last, however many there are', (t) => {
  const file = join(t.testdir({}), 'index');
  const index = new PathIndex(file);
  const count = 30_000;
  for (let n = 0; n < count; n++) index.set(`uploads/2/${n}/x.png`, { offset: n * 1000, length: n + 1 });
  for (let n = 0; n < count; n += 3) index.set(`uploads/2/${n}/x.png`, { offset: 2 ** 40 + n, length: 7 });
  const wrong = [];
  for (let n = 0; n < count; n++) {
    const place = index.get(`uploads/2/${n}/x.png`);
    if (place?.offset !== (n % 3 === 0 ? 2 ** 40 + n : n * 1000) || place.length !== (n % 3 === 0 ? 7 : n + 1)) wrong.push(n);
  }
  t.same(wrong, []);
  t.equal(index.get(`uploads/2/${count}/x.png`), undefined);
  t.equal(statSync(file).mode & 0o777, 0o600);
  index.close();
  t.notOk(existsSync(file), 'it is gone with the run that made it');
  t.end();
});
