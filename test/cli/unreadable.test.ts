// Files that the user who runs a command may not read: told as that, by every command that reads exports, and not as damage.
import { chmodSync, chownSync, cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { realmlift } from './command-line.js';

const ROOT = process.getuid?.() === 0;
/** Root may read everything. */
const NOBODY = ROOT ? { uid: 65534, gid: 65534 } : {};

function own(path: string): void {
  if (ROOT) chownSync(path, 65534, 65534);
}

/** Takes the right to read it away. @returns what gives it back */
function shut(path: string): () => void {
  const { mode } = statSync(path);
  if (ROOT) chownSync(path, 0, 0);
  chmodSync(path, ROOT ? 0o700 : 0);
  return () => {
    own(path);
    chmodSync(path, mode);
  };
}

t.test('files that this user may not read', async (t) => {
  const root = t.testdir({ to: {} });
  if ((await realmlift(['--version'], NOBODY)).code !== 0) return t.pass('nobody else may run what is to be tested');
  const uploads = await uploadsDirectory('zulip-11/local');
  await withTestDatabase('zulip-11/local', async (url) => {
    const env = { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'], TMPDIR: join(root, 'to') };
    t.match(await realmlift(['export', '--realm', 'tiny', '--uploads-dir', uploads, '--output', root, '--quiet'], { env }), { code: 0 });
    const tiny = join(root, 'tiny');
    for (const path of [root, join(root, 'to'), tiny, ...readdirSync(tiny, { recursive: true, encoding: 'utf8' }).map((name) => join(tiny, name))]) own(path);
    const file = readdirSync(join(tiny, 'uploads'), { recursive: true, encoding: 'utf8', withFileTypes: true }).find((each) => each.isFile() && each.name !== 'records.json');
    const output = join(root, 'to', 'made');
    const commands: Record<string, string[]> = {
      verify: ['verify', tiny], report: ['report', tiny, '--output', join(root, 'to', 'page')], pipe: ['pipe', tiny], remap: ['remap', tiny, '--output', output, '--id-base', '5000'], 'import-check': ['import-check', tiny],
      merge: ['merge', tiny, tiny, '--output', output], load: ['load', tiny, '--target-url', url, '--subdomain', 'new', '--uploads-dir', join(root, 'to'), '--dry-run'],
      base: ['export', '--realm', 'tiny', '--uploads-dir', uploads, '--output', join(root, 'to', 'later'), '--base', tiny],
    };
    const cases: readonly (readonly [path: string, ...commands: string[]])[] = [
      [join(tiny, 'realm.json'), ...Object.keys(commands)], [join(tiny, 'manifest.json'), ...Object.keys(commands)],
      [join(file?.parentPath ?? '', file?.name ?? ''), 'verify', 'report', 'import-check', 'remap', 'merge', 'load'], [tiny, 'pipe', 'remap', 'load', 'base'],
    ];
    for (const [path, ...names] of cases) {
      const open = shut(path);
      for (const name of names) {
        const { code, stderr } = await realmlift(commands[name] as string[], { env, ...NOBODY });
        t.match({ code, stderr }, { code: 1, stderr: /^realmlift: FILE_FAILED \[\w+\]: \S+ cannot be read: this user may not \(EACCES\) \(run as a user who may, [^\n]*\n$/ }, `${name}: ${path.slice(root.length)}`);
        t.ok(stderr.includes(path), 'and by its name');
        for (const made of [output, join(root, 'to', 'later')]) rmSync(made, { recursive: true, force: true });
      }
      open();
    }
    cpSync(tiny, join(root, 'copy'), { recursive: true });
    t.match(await realmlift(['verify', join(root, 'copy')], { env }), { code: 0 }, 'it is as it was');
  });
});
