import { appendFileSync, copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { withTestDatabase } from '../testbed/test-database.js';
import { runExport } from './export-process.js';
import { exported, killedAt } from './killed-export.js';
import { differingPaths } from './same-tree.js';

/** Other words on the command line, and what the refusal says of them. */
const OTHERS: readonly (readonly [words: readonly string[], says: string])[] = [
  [['--mode', 'public'], 'mode was full and is public'],
  [['--random-seed', 'hush'], '--random-seed differs'],
  [['--strip', 'zerver_realm.description'], 'strip was [] and is ["zerver_realm.description"]'],
  [['--no-avatars'], 'avatars was true and is false'],
];

t.test('another export does not go on in the directory of an unfinished one', async (t) => {
  const root = t.testdir({});
  const output = join(root, 'out');
  await withTestDatabase('zulip-11/local', async (url) => {
    await killedAt(url, output, 20);
    for (const [words, says] of OTHERS) {
      const { code, stderr } = await runExport(url, output, '--resume', ...words);
      t.equal(code, 1);
      t.match(stderr, /^realmlift: RESUME_MISMATCH \[package\]: [^\n]*\n$/, 'one line');
      t.ok(stderr.includes(says), `${says}: ${stderr}`);
      t.notOk(stderr.includes('hush'), 'a seed is not told');
    }
    await withTestDatabase('zulip-11/local', async (another) => {
      t.match(await runExport(another, output, '--resume'), { code: 1, stderr: /RESUME_MISMATCH.* database was \S+ of cluster \d+ and is / });
    });
    const elsewhere = join(root, 'elsewhere');
    const run = join('tiny.partial', '.realmlift');
    mkdirSync(join(elsewhere, run), { recursive: true });
    copyFileSync(join(output, 'acme.partial', '.realmlift', 'journal'), join(elsewhere, run, 'journal'));
    t.match(await runExport(url, elsewhere, '--realm', 'tiny', '--resume'), { code: 1, stderr: /RESUME_MISMATCH.* realm was acme and is tiny/ });
    await exported(t, url, output, '--resume');
    t.match(await runExport(url, output), { code: 1, stderr: /OUTPUT_EXISTS/ });
  });
});

interface Entry {
  readonly target: string;
  readonly directory: string | null;
  readonly error: string | null;
  readonly rows: number | null;
  readonly manifest_sha256: string | null;
  readonly snapshot?: { readonly id: string };
}

function listed(output: string): Entry[] {
  return (JSON.parse(readFileSync(join(output, 'manifest.json'), 'utf8')) as { exports: Entry[] }).exports;
}

t.test('a run of several realms goes on where an earlier one of the same command finished some', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    for (const mode of ['full', 'consent']) {
      const words = ['--realm', 'acme', '--realm', 'closed', '--realm', 'tiny', '--mode', mode, '--force'];
      const expected = join(root, `${mode}-whole`);
      t.match(await runExport(url, expected, ...words), { code: 0 });
      const output = join(root, mode);
      mkdirSync(join(output, 'closed'), { recursive: true });
      writeFileSync(join(output, 'closed', 'in-the-way'), '');
      t.match(await runExport(url, output, ...words), { code: 1, stderr: /1 of 3 exports failed: closed \(the others are complete; run again with --resume to go on\)/ });
      const first = listed(output);
      t.same(first.map(({ target, error }) => [target, error]), [['acme', null], ['closed', 'OUTPUT_EXISTS'], ['tiny', null]]);

      const nothing = await runExport(url, output, ...words);
      t.match(nothing, { code: 1, stderr: /3 of 3 exports failed: acme, closed, tiny \(run again/ }, 'without --resume each is refused');
      t.same(listed(output), first, 'a run that made nothing leaves what an earlier one wrote');

      rmSync(join(output, 'closed'), { recursive: true });
      const { code, stderr } = await runExport(url, output, ...words, '--resume', '--json');
      t.equal(code, 0, stderr);
      t.match(stderr, /"target":"acme","kind":"finished-before","directory":"[^"]+\/acme","takenAt":"20/);
      const last = listed(output);
      t.same(last.map(({ target, directory, error, rows }) => [target, directory, error, rows]), listed(expected).map(({ target, directory, error, rows }) => [target, directory, error, rows]));
      t.same(last.map(({ snapshot }) => snapshot !== undefined), [true, false, true], 'what was finished before has a snapshot of its own');
      for (const [index, entry] of last.entries()) if (entry.target !== 'closed') t.same(entry.manifest_sha256, first[index]?.manifest_sha256, 'and is as it was');
      for (const realm of ['acme', 'closed', 'tiny']) t.same(differingPaths(join(expected, realm), join(output, realm)), [], realm);
      t.match(readFileSync(join(output, 'report.html'), 'utf8'), /not all out of one snapshot.*finished before: /s);

      const again = readFileSync(join(output, 'manifest.json'));
      t.match(await runExport(url, output, ...words, '--resume'), { code: 0, stderr: '' }, 'nothing is left to do');
      t.same(readFileSync(join(output, 'manifest.json')), again);
    }

    const output = join(root, 'full');
    const refused = async (what: string, realms: RegExp, ...words: string[]): Promise<void> => {
      const { code, stderr } = await runExport(url, output, '--realm', 'acme', '--realm', 'tiny', '--resume', ...words);
      t.equal(code, 1, what);
      t.match(stderr, realms, what);
    };
    await refused('another mode', /2 of 2 exports failed/, '--mode', 'public');
    await refused('other columns', /2 of 2 exports failed/, '--strip', 'zerver_realm.description');
    await refused('what was not verified, where it is to be', /2 of 2 exports failed/, '--verify');
    const manifest = join(output, 'tiny', 'manifest.json');
    const written = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, written.replaceAll('"mode": "full"', '"mode": "public"'));
    await refused('a full export whose manifest was edited', /2 of 2 exports failed/, '--mode', 'public');
    writeFileSync(manifest, written);
    appendFileSync(join(output, 'acme', 'realm.json'), ' ');
    await refused('what is not whole', /1 of 2 exports failed: acme /);
    cpSync(join(output, 'tiny'), join(root, 'another', 'tiny'), { recursive: true });
    await withTestDatabase('zulip-11/local', async (another) => {
      t.match(await runExport(another, join(root, 'another'), '--realm', 'tiny', '--resume'), { code: 1, stderr: /OUTPUT_EXISTS/ }, 'out of another database');
    });
    t.same(listed(output).map(({ target }) => target), ['acme', 'closed', 'tiny'], 'realms of earlier runs stay listed');
  });
});
