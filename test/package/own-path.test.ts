// A directory where others can make files: what they planted under the names of an export is refused, and never followed.
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { takeOutputDirectory } from '../../src/package/output-directory.js';
import { writeRunManifest } from '../../src/package/run-manifest.js';
import { refuseTarball, writeTarball } from '../../src/package/tarball.js';

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
        t.throws(() => refuseTarball(join(out, 'acme')), UNSAFE, name);
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
