import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { FlushBeside } from '../../src/package/flush-together.js';

t.test('files are flushed beside other work, and whoever waits for all hears of one that could not be', async (t) => {
  const directory = t.testdir();
  const file = (name: string): string => {
    writeFileSync(join(directory, name), name);
    return join(directory, name);
  };
  const flushing = new FlushBeside();
  await flushing.all();
  for (const name of ['a', 'b', 'c', 'd']) flushing.add(file(name));
  await flushing.all();
  mkdirSync(join(directory, 'gone'));
  flushing.add(join(directory, 'gone', 'e'));
  for (const name of ['f', 'g', 'h']) flushing.add(file(name));
  // What goes wrong before anybody waits ends nothing by itself.
  await new Promise((resolve) => setTimeout(resolve, 20));
  await t.rejects(flushing.all(), { code: 'DISK_FAILED', message: /gone/ });
});
