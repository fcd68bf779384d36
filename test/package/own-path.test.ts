// A directory where others can make files: what they planted under the names of an export is refused, and never followed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import t from 'tap';
import { DirectoryTarget } from '../../src/backup/uploads/directory-target.js';
import { sealCatchUp, writeCatchUp } from '../../src/export/base/catch-up-file.js';
import type { Origin } from '../../src/export/base/origin.js';
import { DirectoryFiles } from '../../src/load/files/directory-files.js';
import { partialBeside } from '../../src/package/own-path.js';
import { takeOutputDirectory } from '../../src/package/output-directory.js';
import { writeRunManifest } from '../../src/package/run-manifest.js';
import { refuseTarball, writeTarball } from '../../src/package/tarball.js';
import { placeFile } from '../../src/pipe/place-file.js';
import { writeIndex } from '../../src/report/write-index.js';

const UNSAFE = { code: 'OUTPUT_UNSAFE', hint: /--output/ };
const ROOT = process.getuid?.() === 0;

t.test('the directory of the run', (t) => {
  const root = t.testdir({ victim: { kept: 'kept' }, out: {} });
  const out = join(root, 'out');
  const victim = (): string[] => readdirSync(join(root, 'victim'));
  for (const leftovers of ['refuse', 'resume', 'remove'] as const) {
    const planted = join(out, `link-${leftovers}.partial`);
    symlinkSync(join(root, 'victim'), planted);
    t.throws(() => takeOutputDirectory(out, `link-${leftovers}`, leftovers), UNSAFE, `a link, ${leftovers}`);
    t.ok(lstatSync(planted).isSymbolicLink());

    mkdirSync(join(out, `inside-${leftovers}.partial`));
    symlinkSync(join(root, 'victim'), join(out, `inside-${leftovers}.partial`, '.realmlift'));
    t.throws(() => takeOutputDirectory(out, `inside-${leftovers}`, leftovers), UNSAFE, `a link inside, ${leftovers}`);

    mkdirSync(join(out, `open-${leftovers}.partial`));
    chmodSync(join(out, `open-${leftovers}.partial`), 0o777);
    t.throws(() => takeOutputDirectory(out, `open-${leftovers}`, leftovers), UNSAFE, `writable by others, ${leftovers}`);

    if (ROOT) {
      mkdirSync(join(out, `theirs-${leftovers}.partial`));
      chownSync(join(out, `theirs-${leftovers}.partial`), 65534, 65534);
      t.throws(() => takeOutputDirectory(out, `theirs-${leftovers}`, leftovers), { ...UNSAFE, message: /belongs to another user \(id 65534\)/ }, `of another user, ${leftovers}`);
    }
  }
  for (const target of [join(root, 'victim'), '/nowhere']) {
    symlinkSync(target, join(out, `final-${target.length}`));
    t.throws(() => takeOutputDirectory(out, `final-${target.length}`, 'refuse'), { code: 'OUTPUT_EXISTS', message: /a symbolic link/ });
  }
  t.strictSame(victim(), ['kept']);
  t.end();
});

t.test('the tarball, its checksum, and the list of a run', async (t) => {
  for (const name of ['acme.tar.gz', 'acme.tar.gz.partial', 'acme.tar.gz.sha256', 'acme.tar.gz.sha256.partial', 'manifest.json', 'manifest.json.partial']) {
    for (const to of ['victim', 'nowhere']) {
      const root = t.testdir({ victim: 'kept', out: { acme: { 'realm.json': '{}', 'manifest.json': '{}' } } });
      const out = join(root, 'out');
      symlinkSync(join(root, to), join(out, name));
      if (name.startsWith('acme')) {
        t.throws(() => refuseTarball(join(out, 'acme'), true), UNSAFE, name);
        await t.rejects(writeTarball(join(out, 'acme')), UNSAFE, name);
      } else {
        t.throws(() => writeRunManifest(out, { id: '1', takenAt: '2026' }, '1', [{ target: 'acme', directory: 'acme', rows: 0, error: null }]), UNSAFE, name);
      }
      t.strictSame([readFileSync(join(root, 'victim'), 'utf8'), existsSync(join(root, 'nowhere'))], ['kept', false], `${name}: what the link leads to is as it was`);
    }
  }
});

t.test('what an earlier run left is replaced, and everything is for its owner alone', async (t) => {
  const root = t.testdir({ out: { acme: { 'realm.json': '{}', 'manifest.json': '{}' }, 'acme.tar.gz.partial': 'cut', 'manifest.json.partial': 'cut' } });
  const out = join(root, 'out');
  const before = process.umask(0);
  try {
    const { path } = await writeTarball(join(out, 'acme'));
    writeRunManifest(out, { id: '1', takenAt: '2026' }, '1', [{ target: 'acme', directory: 'acme', rows: 0, error: null }]);
    const taken = takeOutputDirectory(join(root, 'new', 'deep'), 'globex', 'refuse');
    writeFileSync(join(taken.partial, 'x'), '', { mode: 0o600 });
    for (const each of [path, `${path}.sha256`, join(out, 'manifest.json'), join(root, 'new'), join(root, 'new', 'deep'), taken.partial, taken.run]) t.equal(statSync(each).mode & 0o077, 0, each);
    taken.discard();
  } finally {
    process.umask(before);
  }
  t.notOk(existsSync(join(out, 'acme.tar.gz.partial')));
});

t.test('what stands beside exports', async (t) => {
  const writes: [name: string, write: (out: string) => unknown][] = [
    ['report.html', (out) => writeIndex(out, [])], ['report.html.partial', (out) => writeIndex(out, [])],
    ['catch-up.journal', (out) => writeCatchUp(out, {} as Origin, Readable.from([]) as AsyncIterable<never>, [])],
  ];
  for (const [name, write] of writes) {
    for (const to of ['victim', 'nowhere']) {
      const root = t.testdir({ victim: 'kept', out: {} });
      symlinkSync(join(root, to), join(root, 'out', name));
      await t.rejects(Promise.resolve().then(() => write(join(root, 'out'))), UNSAFE, name);
      t.strictSame([readFileSync(join(root, 'victim'), 'utf8'), existsSync(join(root, 'nowhere'))], ['kept', false], `${name}: what the link leads to is as it was`);
    }
  }
  const root = t.testdir({ victim: 'kept', out: { 'manifest.json': '{}' } });
  symlinkSync(join(root, 'victim'), join(root, 'out', 'catch-up.journal'));
  await t.rejects(sealCatchUp(join(root, 'out')), { code: 'DISK_FAILED' });
  t.equal(readFileSync(join(root, 'victim'), 'utf8'), 'kept');
});

t.test('directories of files: links, and what strangers made, at each level', async (t) => {
  const key = '2/ab/cat.png';
  const content = Buffer.from('a cat');
  const listed = { path: `files/${key}`, size: content.length, sha256: createHash('sha256').update(content).digest('hex') };
  const { signal } = new AbortController();
  const from = join(t.testdir({ 'cat.png': content }), 'cat.png');
  const planned = { ...listed, area: 'files' as const, key, oldKey: undefined, image: undefined, attributes: { contentType: 'image/png', metadata: {} }, modified: undefined };
  const writers: Record<string, (out: string) => Promise<unknown>> = {
    'load and split': async (out) => new DirectoryFiles(out).put(planned, from, signal),
    'a thumbnail of load': async (out) => new DirectoryFiles(out).write('files', key, content, {} as never, signal),
    'pipe, merge and remap': async (out) => placeFile(from, out, listed.path, listed, 'copy'),
    'pipe with links': async (out) => placeFile(from, out, listed.path, listed, 'link'),
    restore: async (out) => new DirectoryTarget(out).put({ name: listed.path, size: content.length, modified: 1, mode: 0o644, attributes: {} }, Readable.from([content])),
  };
  for (const [who, write] of Object.entries(writers)) {
    const root = join(t.testdirName, '..', `own-path-${who.replaceAll(' ', '-')}`);
    t.teardown(() => rmSync(root, { recursive: true, force: true }));
    const [out, victim] = [join(root, 'out'), join(root, 'victim')];
    const afresh = (below: string): string => {
      rmSync(root, { recursive: true, force: true });
      mkdirSync(victim, { recursive: true });
      writeFileSync(join(victim, 'kept'), 'kept');
      mkdirSync(dirname(join(out, below)), { recursive: true });
      return join(out, below);
    };
    const refused = async (what: string, error: { code: string; message?: RegExp }): Promise<void> => {
      await t.rejects(write(out), error, `${who}: ${what}`);
      t.strictSame([readdirSync(victim), readFileSync(join(victim, 'kept'), 'utf8')], [['kept'], 'kept'], `${who}: ${what}: nothing is elsewhere`);
    };
    for (const level of ['files', 'files/2', 'files/2/ab']) {
      for (const target of [victim, join(root, 'nowhere')]) {
        symlinkSync(target, afresh(level));
        await refused(`${level} is a link`, { code: 'OUTPUT_UNSAFE', message: /is a symbolic link/ });
        t.notOk(existsSync(join(root, 'nowhere')));
      }
      chmodSync(mkdirSync(afresh(level)) ?? join(out, level), 0o777);
      await refused(`${level} can be written by all`, { code: 'OUTPUT_UNSAFE' });
      if (ROOT) {
        mkdirSync(afresh(level));
        chownSync(join(out, level), 65534, 65534);
        await refused(`${level} of another user`, { code: 'OUTPUT_UNSAFE', message: /another user \(id 65534\)/ });
      }
    }
    symlinkSync(join(victim, 'kept'), afresh(listed.path));
    await refused('the file is a link', { code: who.startsWith('pipe') ? 'FILE_IN_THE_WAY' : 'OUTPUT_UNSAFE' });
    t.ok(lstatSync(join(out, listed.path)).isSymbolicLink());
    symlinkSync(join(victim, 'kept'), partialBeside(afresh(listed.path)));
    await write(out);
    t.strictSame([readFileSync(join(out, listed.path), 'utf8'), readFileSync(join(victim, 'kept'), 'utf8')], ['a cat', 'kept'], `${who}: a link under the partial name is replaced`);
  }
});

t.test('names as long as names can be', async (t) => {
  const out = t.testdir({});
  const from = join(t.testdirName, 'from');
  const content = Buffer.from('a cat');
  writeFileSync(from, content);
  const { signal } = new AbortController();
  for (const name of ['n'.repeat(237), 'n'.repeat(238), 'n'.repeat(255), '日'.repeat(85)]) {
    const [key, other] = [`2/ab/${name}`, `2/cd/${name}`];
    const target = new DirectoryFiles(out);
    await target.put({ path: `files/${key}`, size: content.length, sha256: createHash('sha256').update(content).digest('hex'), area: 'files', key, oldKey: undefined, image: undefined, attributes: { contentType: 'image/png', metadata: {} }, modified: undefined }, from, signal);
    await target.write('files', other, content, {} as never, signal);
    await new DirectoryTarget(out).put({ name: `files/2/ef/${name}`, size: content.length, modified: 1, mode: 0o644, attributes: {} }, Readable.from([content]));
    for (const folder of ['ab', 'cd', 'ef']) t.strictSame(readdirSync(join(out, 'files', '2', folder)), [name], `${folder}: ${Buffer.byteLength(name)} bytes`);
    writeFileSync(partialBeside(join(out, 'files', key)), 'of a run that was killed');
    t.equal(await target.remove('files', [], [key, other, `2/ef/${name}`]), 3);
    t.strictSame(readdirSync(join(out, 'files', '2', 'ab')), [], 'nothing of it is left');
  }
});

t.test('load looks before its rows, and undoes nothing by way of a link', async (t) => {
  const root = t.testdir({ victim: { 2: { 'cat.png': 'kept' } }, out: {} });
  const out = join(root, 'out');
  symlinkSync(join(root, 'victim'), join(out, 'files'));
  await t.rejects(new DirectoryFiles(out).open(), { code: 'OUTPUT_UNSAFE' });
  await t.rejects(new DirectoryFiles(out).remove('files', [], ['2/cat.png']), { code: 'OUTPUT_UNSAFE' });
  rmSync(join(out, 'files'));
  mkdirSync(join(out, 'files'));
  symlinkSync(join(root, 'victim', '2'), join(out, 'files', '2'));
  await t.rejects(new DirectoryFiles(out).remove('files', ['2'], []), { code: 'OUTPUT_UNSAFE' });
  await t.rejects(new DirectoryFiles(out).remove('files', [], ['2/cat.png']), { code: 'OUTPUT_UNSAFE' });
  t.equal(readFileSync(join(root, 'victim', '2', 'cat.png'), 'utf8'), 'kept');
});

t.test('a small file that finds no room is not kept open, and the disk is called full', { skip: process.platform === 'linux' ? false : 'open files are found by /proc' }, (t) => {
  const source = join(import.meta.dirname, '..', '..', 'src');
  const script = `
    import { readdirSync } from 'node:fs';
    import { asRealmliftError } from '${source}/errors.js';
    import { writeOwn } from '${source}/package/own-path.js';
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    try { writeOwn('${t.testdir({})}/file', 'x'.repeat(10_000)); } catch (error) { console.log(asRealmliftError(error).code, open() - before); }`;
  t.equal(execFileSync('/bin/sh', ['-c', 'ulimit -f 1; exec "$0" --input-type=module --eval "$1"', process.execPath, script], { encoding: 'utf8' }), 'DISK_FULL 0\n');
  t.end();
});
