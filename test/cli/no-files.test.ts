/** Exports of rows alone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { sampleExport } from '../pipe/sample-export.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { realmliftHere as realmlift } from './command-here.js';

t.setTimeout(180_000);

const json = (...path: string[]): unknown => JSON.parse(readFileSync(join(...path), 'utf8'));

t.test('rows alone: no store, no salt, and what names files stays', async (t) => withTestDatabase('zulip-11/local', async (url) => {
  const root = t.testdir();
  const env = { DATABASE_URL: url };
  const [whole = ''] = await sampleExport(url, { realm: 'acme', output: join(root, 'whole') });
  for (const [realms, output] of [[['acme'], 'alone'], [['acme', 'globex'], 'set']] as const) {
    const ended = await realmlift(['export', ...realms.flatMap((realm) => ['--realm', realm]), '--no-files', '--output', join(root, output), '--quiet'], env);
    t.match(ended, { code: 0, stdout: '', stderr: '' });
    const acme = join(root, output, 'acme');
    for (const area of ['uploads', 'avatars', 'emoji', 'realm_icons']) t.same(json(acme, area, 'records.json'), [], `${area}: the import reads its records`);
    t.match(json(acme, 'attachment.json'), { zerver_attachment: [] });
    t.same(json(acme, 'messages-000001.json'), json(whole, 'messages-000001.json'), 'messages as ever');
    t.equal((json(acme, 'manifest.json') as { options: { files?: string } }).options.files, 'none');
    t.ok((json(acme, 'realm.json') as { zerver_userprofile: { avatar_source: string }[] }).zerver_userprofile.every(({ avatar_source: source }) => source !== 'U'), 'nobody has a picture that is not there');
    t.match(await realmlift(['verify', acme]), { code: 0, stdout: /\nnote: attachment\.json: exported with --no-files: / });
    t.match(readFileSync(join(acme, 'report.html'), 'utf8'), /exported with --no-files/);
    t.match(await realmlift(['import-check', acme]), { stdout: /good +files +there are none, as --no-files asked/ });
  }
  t.match(await realmlift(['merge', whole, join(root, 'alone', 'acme'), '--output', join(root, 'merged')]), { code: 0, stderr: /realmlift: 1 of the 2 exports were made with --no-files: / });
  for (const also of [['--orphans', 'copy'], ['--queue', 'postgresql://nowhere/none']]) t.match(await realmlift(['export', '--realm', 'acme', '--no-files', ...also], env), { code: 2, stderr: /--no-files exports no/ });
}));
