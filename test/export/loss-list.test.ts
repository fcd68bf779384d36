// The report's list of files that stay or are odd: the bytes that JSON.stringify would make of it, in memory that does not grow with it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { LossList } from '../../src/export/loss-list.js';
import type { FileEvent } from '../../src/files/file-events.js';
import { indented } from '../../src/package/assemble.js';
import { PartFile } from '../../src/package/part-file.js';

/** As many as wanted, in an order of their own. */
function event(nth: number): FileEvent {
  const key = `2/${(nth * 7919) % 65_537}/${nth % 5 === 0 ? 'ü\u2028"' : 'report'}.pdf`;
  const attachmentId = String((nth * 7919) % 1_000_003);
  switch (nth % 6) {
    case 0: return { kind: 'other-size', area: 'uploads', key, row: 1, file: nth, attachmentId };
    case 1: return { kind: 'metadata', area: 'emoji', key, problem: 'absent', ownerFrom: 'nobody' };
    case 2: return { kind: 'skipped', area: 'avatars', key: `user ${nth}` };
    case 3: return { kind: 'orphans-unknown', area: 'uploads', detail: 'two\nlines' };
    case 4: return { kind: 'skipped', area: 'uploads', key, attachmentId };
    default: return { kind: 'lost', area: 'uploads', key, reason: 'absent', attachmentId, detail: undefined };
  }
}

async function written(directory: string, count: number): Promise<{ text: string; attachments: number[]; has: boolean }> {
  const list = new LossList(directory);
  for (let nth = 0; nth < count; nth++) list.add(event(nth));
  const file = new PartFile(join(directory, 'part'));
  list.write(file);
  await file.finish(false);
  const attachments: number[] = [];
  const ids = list.attachments();
  for (let next = ids.next(); next.done !== true; next = ids.next()) attachments.push(next.value);
  return { text: readFileSync(join(directory, 'part'), 'utf8'), attachments, has: list.hasAttachments };
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

t.test('few and many are written alike', async (t) => {
  for (const count of [0, 1, 4, 500, 20_000]) {
    const events = Array.from({ length: count }, (_, nth) => event(nth));
    const { text, attachments, has } = await written(t.testdir({}), count);
    const expected = indented([...events].sort((a, b) => order(a.area, b.area) || order('key' in a ? a.key : '', 'key' in b ? b.key : '') || order(a.kind, b.kind)));
    t.ok(text === expected, `${count}: the same bytes`);
    t.strictSame(attachments, events.flatMap((each) => (each.kind === 'lost' || each.kind === 'skipped' ? [Number(each.attachmentId)] : [])).filter((id) => !Number.isNaN(id)).sort((a, b) => a - b), `${count}: attachments without a file, rising`);
    t.equal(has, attachments.length > 0);
  }
});

t.test('memory does not grow with it', async (t) => {
  const directory = t.testdir({});
  const source = `
    const { workerData: { list, directory } } = require('node:worker_threads');
    void import(list).then(({ LossList }) => {
      const losses = new LossList(directory);
      for (let nth = 0; nth < 150_000; nth++) losses.add({ kind: 'lost', area: 'uploads', key: '2/' + nth + '/' + 'x'.repeat(300), reason: 'absent', attachmentId: String(nth), detail: 'there is no such file' });
      losses.write({ writeText: () => undefined });
    });`;
  const worker = new Worker(source, { eval: true, workerData: { list: new URL('../../src/export/loss-list.js', import.meta.url).href, directory }, resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 8 } });
  await t.resolves(new Promise<void>((resolve, reject) => worker.on('error', reject).on('exit', () => resolve())));
});
