import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { journalLines, runExport } from './export-process.js';
import { withGrownDatabase } from './grown-database.js';
import { exported, killedAt } from './killed-export.js';
import { differingPaths } from './same-tree.js';

/** Paths of the finished parts that a journal names. */
function finished(output: string): string[] {
  return journalLines(output).flatMap((line) => /"kind":"part","path":"([^"]*)"/.exec(line)?.[1] ?? []);
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
}

t.test('an export that was killed', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    const fresh = await exported(t, url, join(root, 'fresh'));

    // kill.long.test.ts has every line.
    for (const lines of [3, 85]) {
      await t.test(`after about ${lines} lines of the journal goes on to the same bytes, and keeps what the new snapshot confirms`, async (t) => {
        const output = join(root, `kill-${lines}`);
        const written = await killedAt(url, output, lines);
        t.notOk(existsSync(join(output, 'acme')), `after ${written} lines nothing is at the final path`);
        const partial = join(output, 'acme.partial');
        const before = new Map(finished(output).filter((path) => path.startsWith('messages-')).map((path) => [path, statSync(join(partial, path)).mtimeMs]));
        if (lines === 85) t.ok(before.size > 0, 'some messages files were finished');
        t.match(await runExport(url, output), { code: 1, stderr: /^realmlift: OUTPUT_RESUMABLE [^\n]*--resume[^\n]*\n$/ }, 'not begun anew without --resume');
        const actual = await exported(t, url, output, '--resume');
        t.same(differingPaths(fresh, actual), [], 'the same bytes');
        t.same(readdirSync(output), ['acme'], 'and nothing beside it');
        for (const [path, modified] of before) t.equal(statSync(join(actual, path)).mtimeMs, modified, `${path} was not written again`);
      });
    }

    await t.test('names parts that were changed or lost, and makes them again', async (t) => {
      const output = join(root, 'damaged');
      await killedAt(url, output, 95);
      const partial = join(output, 'acme.partial');
      const [messages = ''] = finished(output).filter((path) => path.startsWith('messages-'));
      const [table = '', gone = ''] = finished(output).filter((path) => path.includes('/parts/zerver_'));
      const bytes = readFileSync(join(partial, messages));
      flip(bytes, 1000);
      writeFileSync(join(partial, messages), bytes);
      writeFileSync(join(partial, table), '[]');
      rmSync(join(partial, gone));
      const { code, stderr } = await runExport(url, output, '--resume');
      t.equal(code, 0, stderr);
      for (const path of [messages, table, gone]) t.ok(stderr.includes(`${path} is not what`), `${path} is named`);
      t.same(differingPaths(fresh, join(output, 'acme')), []);
    });

    await t.test('loses no more of a damaged journal than its lines', async (t) => {
      const output = join(root, 'journal');
      await killedAt(url, output, 60);
      const path = join(output, 'acme.partial', '.realmlift', 'journal');
      t.equal(statSync(path).mode & 0o777, 0o600, 'only its owner reads it: it holds the seed');
      const journal = readFileSync(path);
      for (let at = journal.indexOf(0x0a) + 20; at < journal.length; at += 3000) flip(journal, at);
      writeFileSync(path, Buffer.concat([journal, Buffer.from('0123456789abcdef {"kind":"part"')]));
      t.same(differingPaths(fresh, await exported(t, url, output, '--resume')), []);
    });

    await t.test('is the same with another number of workers', async (t) => {
      const output = join(root, 'jobs');
      await killedAt(url, output, 80, '--jobs', '1');
      t.same(differingPaths(fresh, await exported(t, url, output, '--resume', '--jobs', '3')), []);
      t.same(differingPaths(fresh, await exported(t, url, join(root, 'one'), '--jobs', '1')), []);
    });
  });
});
