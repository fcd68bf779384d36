import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { withTestDatabase } from '../testbed/test-database.js';
import { runExport } from './export-process.js';
import { exported, killedAt } from './killed-export.js';

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
