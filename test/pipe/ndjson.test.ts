import { createHash } from 'node:crypto';
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { loadRegistry } from '../../src/plan/views/registry.js';
import { writeNdjson } from '../../src/pipe/ndjson.js';
import { pointsForward } from '../../src/pipe/table-order.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { sampleExport } from './sample-export.js';

type Row = Record<string, unknown>;
type Line = { header: Row } | { table: string; row: Row } | { file: string; path: string; sha256: string; record: unknown } | { trailer: Row };

const output = t.testdir();
const [acme] = await withTestDatabase('zulip-11/local', (url) => sampleExport(url, { realm: 'acme', output })) as [string];

async function stream(directory: string, filesDirectory?: string): Promise<string> {
  const out = new PassThrough();
  const [content] = await Promise.all([text(out), writeNdjson(directory, out, { filesDirectory })]);
  return content;
}

function parse(content: string): Line[] {
  return content.trimEnd().split('\n').map((line) => JSON.parse(line) as Line);
}

t.test('every row once, between a header and a trailer that proves the stream whole', async (t) => {
  const content = await stream(acme);
  const lines = parse(content);
  const [header, trailer] = [lines[0] as { header: Row }, lines.at(-1) as { trailer: Row }];
  t.match(header.header, { format: 1, realm: 'acme', realm_id: 2, mode: 'full', zulip_version: '11.0-dev+git', snapshot: { taken_at: /^20/ }, files: 'named' });

  const wanted: Record<string, string[]> = {};
  for (const name of readdirSync(acme).filter((each) => /^(realm|analytics|attachment|messages-\d+)\.json$/.test(each))) {
    for (const [table, rows] of Object.entries(JSON.parse(readFileSync(join(acme, name), 'utf8')) as Record<string, Row[]>)) {
      (wanted[table] ??= []).push(...rows.map((row) => JSON.stringify(row)));
    }
  }
  const found: Record<string, string[]> = Object.fromEntries(Object.keys(wanted).map((table) => [table, []]));
  for (const line of lines) if ('table' in line) (found[line.table] as string[]).push(JSON.stringify(line.row));
  t.same(found, wanted);

  const before = content.slice(0, content.lastIndexOf('\n', content.length - 2) + 1);
  t.equal(trailer.trailer.sha256, createHash('sha256').update(before).digest('hex'));
  t.equal(trailer.trailer.lines, lines.length - 2);
  t.same(trailer.trailer.rows, Object.fromEntries(Object.entries(wanted).map(([table, rows]) => [table, rows.length])));
});

t.test('rows are the bytes of the export: numbers beyond 2^53 survive', async (t) => {
  const content = await stream(acme);
  t.match(content, '12345678901234567890');
});

t.test('a reader that inserts as the lines come finds every parent, but where a foreign key is known to point forward', async (t) => {
  const { known } = loadRegistry();
  const lines = parse(await stream(acme));
  const alias = (table: string): string => table.replace(/_(mirrordummy|crossrealm)$/, '');
  class Ids extends Map<string, Set<unknown>> {
    of(table: string): Set<unknown> {
      if (!this.has(alias(table))) this.set(alias(table), new Set());
      return this.get(alias(table)) as Set<unknown>;
    }
  }
  const [seen, all] = [new Ids(), new Ids()];
  for (const line of lines) if ('table' in line) all.of(line.table).add(line.row.id);
  let checked = 0;
  const early = new Set<string>();
  for (const line of lines) {
    if (!('table' in line)) continue;
    const { table, row } = line;
    for (const [column, referenced] of known.get(alias(table)) ?? []) {
      const value = row[column.replace(/_id$/, '')];
      if (referenced === undefined || typeof value !== 'number' || pointsForward(table, referenced)) continue;
      if (!all.of(referenced).has(value)) continue;
      checked++;
      if (!seen.of(referenced).has(value)) early.add(`${table}.${column}`);
    }
    seen.of(table).add(row.id);
  }
  t.same([...early], []);
  t.ok(checked > 20_000, `${checked} references`);
});

t.test('files are named with their records, and put beside the stream', async (t) => {
  const beside = join(t.testdir(), 'files');
  const lines = parse(await stream(acme, beside)).filter((line) => 'file' in line);
  t.ok(lines.length > 40);
  for (const { path, sha256, record, file } of lines) {
    t.equal(createHash('sha256').update(readFileSync(join(beside, path))).digest('hex'), sha256);
    t.equal(`${file}/${(record as Row).path as string}`, path);
  }
  const all = ['uploads', 'avatars', 'emoji', 'realm_icons'].flatMap((area) => readdirSync(join(acme, area), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name !== 'records.json');
  t.equal(lines.length, all.length);
});

t.test('a reader that goes away ends the run by its own code', async (t) => {
  let taken = 0;
  const out = new Writable({
    write(chunk: Buffer, _, done) {
      taken += chunk.length;
      done(taken > 200_000 ? Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }) : null);
    },
  });
  await t.rejects(writeNdjson(acme, out, { filesDirectory: undefined }), { code: 'OUTPUT_CLOSED' });
});

t.test('a reader that is slow is waited for', async (t) => {
  let largest = 0;
  const out = new Writable({
    highWaterMark: 1024,
    write(_chunk, _, done) {
      largest = Math.max(largest, out.writableLength);
      setImmediate(done);
    },
  });
  await writeNdjson(acme, out, { filesDirectory: undefined });
  t.ok(largest < 300_000, `${largest} bytes waited at once`);
});

t.test('an export that was changed since it was written', async (t) => {
  const damaged = async (change: (directory: string) => void): Promise<unknown> => {
    const directory = join(t.testdir(), 'copy');
    cpSync(acme, directory, { recursive: true });
    change(directory);
    return stream(directory).then(() => undefined, (error: unknown) => error);
  };
  const realm = readFileSync(join(acme, 'realm.json'), 'utf8');
  t.match(await damaged((directory) => writeFileSync(join(directory, 'realm.json'), realm.replace('"acme"', '"acne"'))), { code: 'EXPORT_CHANGED', message: /realm\.json/ });
  t.match(await damaged((directory) => writeFileSync(join(directory, 'realm.json'), realm.slice(0, -9))), { code: 'EXPORT_CHANGED', message: /another size/ });
  t.match(await damaged((directory) => writeFileSync(join(directory, 'notes.txt'), '')), { code: 'EXPORT_CHANGED', message: /notes\.txt.*not listed/ });
  t.match(await damaged((directory) => writeFileSync(join(directory, 'manifest.json'), '{}')), { code: 'MANIFEST_DAMAGED' });
  t.match(await damaged((directory) => rmSync(join(directory, 'messages-000001.json'))), { code: 'EXPORT_CHANGED', message: /missing/ });
  t.match(await damaged((directory) => rmSync(join(directory, 'manifest.json'))), { code: 'NOT_AN_EXPORT', exit: 2 });
});
