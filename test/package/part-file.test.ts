/** What is written to a part, and read, past the page cache and through it, on file systems that have such a thing and on one that may not. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { pageAligned, readDirectly } from '../../src/direct-io.js';
import { PartFile } from '../../src/package/part-file.js';

const MEMORY = '/dev/shm';

function directories(t: Test): string[] {
  const made = [tmpdir(), ...(existsSync(MEMORY) ? [MEMORY] : [])].map((parent) => mkdtempSync(join(parent, 'realmlift-part-file-')));
  t.teardown(() => { for (const directory of made) rmSync(directory, { recursive: true }); });
  return made;
}

/** Bytes that no two places have alike. */
function bytes(length: number): Buffer {
  const made = Buffer.alloc(length);
  for (let at = 0, value = length; at < length; at++) made[at] = (value = (value * 1103515245 + 12345) >>> 0) >>> 16;
  return made;
}

const MIB = 1 << 20;
const PIECES = [[], [0], [1], [4095, 1], [4096], [4097], [MIB], [MIB - 1, 1, 1], [MIB + 1], [5, 3 * MIB, 5], [MIB, MIB, 4096, 17], [3 * MIB - 1, 0, 4097], Array.from({ length: 3000 }, (_, number) => number)];

t.test('a part holds what was written to it, whatever the pieces', async (t) => {
  for (const directory of directories(t)) {
    for (const direct of [false, true]) {
      for (const [number, lengths] of PIECES.entries()) {
        const pieces = lengths.map(bytes);
        const path = join(directory, `${number}-${direct}`);
        const file = new PartFile(path, direct);
        for (const piece of pieces) file.write(piece);
        const finished = await file.finish();
        const whole = Buffer.concat(pieces);
        t.ok(readFileSync(path).equals(whole), `${directory}, ${lengths.slice(0, 4).join()}`);
        t.same(finished, { size: whole.length, sha256: createHash('sha256').update(whole).digest('hex') });
      }
    }
  }
});

t.test('a part takes the place of what has its name', async (t) => {
  for (const directory of directories(t)) {
    const path = join(directory, 'part');
    writeFileSync(path, 'x'.repeat(3 * MIB));
    const file = new PartFile(path, true);
    file.write(bytes(2 * MIB + 1));
    await file.finish();
    t.ok(readFileSync(path).equals(bytes(2 * MIB + 1)));
  }
});

t.test('a file is read whole, or not at all where there is no room for it', async (t) => {
  t.equal(pageAligned(5000).length % 4096, 0, 'no disk fills a part of a page');
  const room = pageAligned(2 * MIB);
  for (const directory of directories(t)) {
    const path = join(directory, 'file');
    for (const length of [0, 1, 4096, 4097, MIB, 2 * MIB - 1]) {
      writeFileSync(path, bytes(length));
      t.ok((await readDirectly(path, room))?.equals(bytes(length)), `${directory}, ${length}`);
    }
    writeFileSync(path, bytes(2 * MIB));
    t.equal(await readDirectly(path, room), undefined);
    writeFileSync(path, bytes(5000));
    t.ok((await readDirectly(path, Buffer.allocUnsafeSlow(MIB + 7)))?.equals(bytes(5000)), 'into a buffer that begins anywhere');
    await t.rejects(readDirectly(join(directory, 'no file'), room), { code: 'ENOENT' });
  }
});
