/** What is written to a part, and read, past the page cache and through it, on file systems that have such a thing and on one that may not. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { pageAligned, readDirectly } from '../../src/direct-io.js';
import { PartFile, writeWhole } from '../../src/package/part-file.js';

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

t.test('a part holds what was written to it, whatever the pieces, and what is written whole', async (t) => {
  for (const directory of directories(t)) {
    for (const [number, lengths] of PIECES.entries()) {
      const pieces = lengths.map(bytes);
      const whole = Buffer.concat(pieces);
      const file = new PartFile(join(directory, `${number}-pieces`));
      for (const piece of pieces) file.write(piece);
      const room = pageAligned(whole.length + 1);
      whole.copy(room);
      // A buffer that begins anywhere goes the usual way.
      for (const [name, write] of [['pieces', () => file.finish()], ['whole', () => writeWhole(join(directory, `${number}-whole`), room.subarray(0, whole.length))], ['odd', () => writeWhole(join(directory, `${number}-odd`), Buffer.concat([Buffer.alloc(1), whole]).subarray(1))]] as const) {
        const finished = await write();
        t.ok(readFileSync(join(directory, `${number}-${name}`)).equals(whole), `${directory}, ${name}, ${lengths.slice(0, 4).join()}`);
        t.same(finished, { size: whole.length, sha256: createHash('sha256').update(whole).digest('hex') });
      }
    }
  }
});

t.test('a part takes the place of what has its name', async (t) => {
  for (const directory of directories(t)) {
    const path = join(directory, 'part');
    const larger = 'x'.repeat(3 * MIB);
    writeFileSync(path, larger);
    const file = new PartFile(path);
    file.write(bytes(2 * MIB + 1));
    await file.finish();
    t.ok(readFileSync(path).equals(bytes(2 * MIB + 1)));
    writeFileSync(path, larger);
    await writeWhole(path, bytes(5000));
    t.ok(readFileSync(path).equals(bytes(5000)));
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
  // Given a page at most at a time, and never past the page cache.
  const pieces = '/proc/kallsyms';
  if (existsSync(pieces)) t.equal((await readDirectly(pieces, pageAligned(64 * MIB)))?.length, readFileSync(pieces).length, 'a file system that gives less than was asked for');
});
