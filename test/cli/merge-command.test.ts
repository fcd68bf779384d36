/** Exports of two realms, joined and streamed by commands. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { mergeExports } from '../../src/commands/merge.js';
import { sampleExport } from '../pipe/sample-export.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { realmliftHere } from './command-here.js';
import { realmlift } from './command-line.js';
import { CLI } from '../testbed/tested-cli.js';

type Tables = Record<string, (Record<string, unknown> & { id: number })[]>;

const root = t.testdir();
const at = (...names: string[]): string => join(root, ...names);
const realmJson = (directory: string): Tables => JSON.parse(readFileSync(join(directory, 'realm.json'), 'utf8')) as Tables;
const exports = await withTestDatabase('zulip-11/local', async (url) => [
  ...await sampleExport(url, { realm: 'acme', output: at('plain') }), ...await sampleExport(url, { realm: 'globex', output: at('plain') }),
]);

t.test('merge --remap: every row one of its own, clients by name, bots by address', async (t) => {
  t.match(await realmliftHere(['merge', ...exports, '--output', at('both')]), { code: 3, stderr: /^realmlift: MERGE_REALMS \[merge\]: acme \(id 2\) and globex \(id 3\) .*equal ids mean different rows .*--remap\)\n$/ });
  t.match(await realmliftHere(['merge', ...exports, '--output', at('both'), '--id-base', '5']), { code: 2, stderr: /--remap gives \(add --remap\)\n$/ });
  await t.rejects(mergeExports([...exports, ...exports], { output: at('both'), onConflict: 'later', verify: false, disjoin: () => Promise.resolve([]) }), { code: 'MERGE_SAME_REALM', exit: 3 });
  t.notOk(existsSync(at('both')) || existsSync(at('both.partial')));

  // What a merge that was killed left is in nobody's way.
  mkdirSync(at('both.partial', '.realmlift', 'remapped', '0'), { recursive: true });
  writeFileSync(at('both.partial', 'realm.json'), '{');
  t.match(await realmliftHere(['merge', ...exports, '--output', at('both'), '--remap']), { code: 0, stderr: /^acme\+globex: 2 exports joined / });
  t.notOk(existsSync(at('both.partial')));
  const [acme, globex, both] = [...exports, at('both')].map(realmJson) as [Tables, Tables, Tables];
  for (const table of ['zerver_realm', 'zerver_userprofile', 'zerver_stream', 'zerver_recipient', 'zerver_subscription', 'zerver_reaction']) {
    t.equal(both[table]?.length, (acme[table]?.length ?? 0) + (globex[table]?.length ?? 0), table);
  }
  const clients = (tables: Tables): unknown[] => (tables.zerver_client ?? []).map(({ name }) => name);
  t.same(new Set(clients(both)), new Set([...clients(acme), ...clients(globex)]));
  t.equal(clients(both).length, new Set(clients(both)).size);
  t.same(both.zerver_userprofile_crossrealm, acme.zerver_userprofile_crossrealm);
  t.ok(existsSync(at('both', 'id_maps-of-0.json')) && existsSync(at('both', 'id_maps-of-1.json')));
});

t.test('pipe: all rows of both, and a reader that goes away', async (t) => {
  const { code, stdout } = await realmlift(['pipe', at('both')]);
  t.equal(code, 0);
  const lines = stdout.trimEnd().split('\n');
  t.match(JSON.parse(lines[0] ?? ''), { header: { realm: 'acme+globex' } });
  t.match(JSON.parse(lines.at(-1) ?? ''), { trailer: { rows: { zerver_realm: 2 }, lines: lines.length - 2, sha256: /^[0-9a-f]{64}$/ } });

  const child = spawn(process.execPath, [CLI, 'pipe', at('both')], { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => { stderr += String(chunk); });
  child.stdout.once('data', () => child.stdout.destroy());
  t.same(await once(child, 'close'), [1, null], 'not with success');
  t.equal(stderr, '', 'and without a word');
});
