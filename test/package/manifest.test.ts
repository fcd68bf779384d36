import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { comparePaths, readManifest, writeManifest, type ManifestFile, type ManifestHeader } from '../../src/package/manifest.js';

const header: ManifestHeader = {
  format: 1, realmlift: '0.1.0', realm: 'acme', realm_id: 2, mode: 'full', zulip_version: '11.0-dev+git',
  snapshot: { taken_at: '2026-01-01T00:00:00.000Z', id: '00000003-0000001B-1', server: '15.4' }, options: { files: [] },
};

async function read(path: string): Promise<ManifestHeader & { files: ManifestFile[] }> {
  const { header: found, files } = await readManifest(path);
  const list: ManifestFile[] = [];
  for await (const file of files) list.push(file);
  return { ...found, files: list };
}

const path = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.', ' ', '"', '\u2028', 'é', '\ue000', '\uffff', '🚀'), minLength: 1, maxLength: 6 });
const files = fc.uniqueArray(fc.record({
  path, size: fc.maxSafeInteger().map(Math.abs), sha256: fc.string().map((text) => createHash('sha256').update(text).digest('hex')),
  rows: fc.option(fc.dictionary(fc.constantFrom('zerver_message', 'zerver_usermessage'), fc.nat()), { nil: undefined }),
}, { requiredKeys: ['path', 'size', 'sha256'] }), { selector: (file) => file.path })
  .map((list) => (list as ManifestFile[]).sort((a, b) => comparePaths(a.path, b.path)));

t.test('what is written is read again, and by any JSON reader', async (t) => {
  const target = join(t.testdir({}), 'manifest.json');
  await fc.assert(fc.asyncProperty(files, async (list) => {
    await writeManifest(target, header, list);
    const expected = JSON.parse(JSON.stringify({ ...header, files: list })) as ManifestHeader;
    t.same(JSON.parse(readFileSync(target, 'utf8')), expected);
    t.same(await read(target), expected);
  }), { numRuns: 50 });
});

t.test('paths are ordered as their bytes are', (t) => {
  fc.assert(fc.property(path, path, (a, b) => Math.sign(comparePaths(a, b)) === Buffer.compare(Buffer.from(a), Buffer.from(b))), { numRuns: 1000 });
  t.end();
});

const entry = (name: string): ManifestFile => ({ path: name, size: 1, sha256: '0'.repeat(64) });

t.test('entries out of order are refused', async (t) => {
  const target = join(t.testdir({}), 'manifest.json');
  await t.rejects(writeManifest(target, header, [entry('b'), entry('a')]), { code: 'MANIFEST_ORDER' });
  await t.rejects(writeManifest(target, header, [entry('a'), entry('a')]), { code: 'MANIFEST_ORDER' });
});

t.test('many entries take many blocks', async (t) => {
  const target = join(t.testdir({}), 'manifest.json');
  const list = Array.from({ length: 5000 }, (_, i) => entry(`uploads/${String(i).padStart(6, '0')}`));
  await writeManifest(target, header, list);
  t.same((await read(target)).files, list);
});

t.test('a damaged manifest is refused', async (t) => {
  const target = join(t.testdir({}), 'manifest.json');
  const damage: Record<string, (text: string) => string> = {
    'another format': (text) => text.replace('"format": 1', '"format": 2'),
    'no realm': (text) => text.replace('"realm":', '"other":'),
    'no version of Zulip': (text) => text.replace('"zulip_version":', '"other":'),
    'no moment': (text) => text.replace('"taken_at":', '"other":'),
    'no options': (text) => text.replace('"options":', '"other":'),
    'no list': (text) => text.replace(/^ {2}"files"/m, '  "others"'),
    'no JSON': (text) => text.slice(1),
    'an entry without a checksum': (text) => text.replace('"sha256"', '"sha1"'),
    'an entry that is no JSON': (text) => text.replace('{"path":"b"', '{path:"b"'),
    'entries out of order': (text) => text.replace('"path":"a"', '"path":"c"'),
    'no end': (text) => text.replace('\n  ]\n', '\n'),
  };
  for (const [name, change] of Object.entries(damage)) {
    await writeManifest(target, header, [entry('a'), entry('b')]);
    writeFileSync(target, change(readFileSync(target, 'utf8')));
    await t.rejects(read(target), { code: 'MANIFEST_DAMAGED' }, name);
  }
  await writeManifest(target, header, [entry('a'), entry('b')]);
  truncateSync(target, readFileSync(target).length - 30);
  await t.rejects(read(target), { code: 'MANIFEST_DAMAGED' }, 'cut short');
});
