import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { withTestDatabase } from '../testbed/test-database.js';
import { runExport } from '../export/export-process.js';
import { query } from '../export/grown-database.js';
import { exported } from '../export/killed-export.js';
import { differingPaths } from '../export/same-tree.js';
import { CLI } from '../testbed/tested-cli.js';


function hold(url: string, ...words: string[]): ChildProcess {
  return spawn(process.execPath, [CLI, 'snapshot', ...words], { env: { ...process.env, DATABASE_URL: url }, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function ended(child: ChildProcess): Promise<{ code: number | null; stderr: string }> {
  const [stderr, exit] = await Promise.all([text(child.stderr as NodeJS.ReadableStream), once(child, 'exit')]);
  return { code: exit[0] as number | null, stderr };
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  const [chunk] = (await once(stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return chunk.toString();
}

t.test('exports out of a held snapshot have the same rows, whatever happens meanwhile', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    const holder = hold(url);
    const line = await firstLine(holder);
    t.match(line, /^[0-9A-F]+-[0-9A-F]+-\d+\n$/);
    const id = line.trim();
    const before = await exported(t, url, join(root, 'before'), '--snapshot', id);
    await query(url, 'UPDATE zerver_realm SET description = description || \' changed\'; DELETE FROM zerver_usermessage');
    const after = await exported(t, url, join(root, 'after'), '--snapshot', id);
    t.same(differingPaths(before, after), []);
    const snapshots = [before, after].map((directory) => (JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')) as { snapshot: unknown }).snapshot);
    t.same(snapshots[0], snapshots[1], 'and name the same snapshot, with the time at which it was taken');
    holder.kill('SIGTERM');
    t.same(await once(holder, 'exit'), [0, null], 'ended by a signal, which is its normal end');
    t.match(await runExport(url, join(root, 'later'), '--snapshot', id), { code: 3, stderr: /^realmlift: SNAPSHOT_UNKNOWN \[snapshot\]: there is no snapshot [\w-]+ of this database \(SQLSTATE \w+.*\) \(realmlift snapshot takes one, tells its id [^\n]*\n$/ });
    t.match(await runExport(url, join(root, 'later'), '--snapshot', 'nosuch'), { code: 3, stderr: /^realmlift: SNAPSHOT_UNKNOWN \[snapshot\]: there is no snapshot nosuch / });
  });
});

t.test('a snapshot is let go at the age that is allowed, or when its session is ended', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    const old = hold(url, '--max-snapshot-age', '1s');
    t.match(await ended(old), { code: 1, stderr: /^realmlift: SNAPSHOT_TOO_OLD [^\n]*\n$/ });

    const lost = hold(url);
    await firstLine(lost);
    const end = ended(lost);
    await query(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'realmlift snapshot'");
    t.match(await end, { code: 1, stderr: /^realmlift: SNAPSHOT_LOST [^\n]*\n$/ });

    for (const words of ['long', '0s', '5']) t.match(await ended(hold(url, '--max-snapshot-age', words)), { code: 2, stderr: /a duration such as 90s, 30m, 6h or 2d is needed/ });
  });
});
