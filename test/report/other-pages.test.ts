// Pages of what was made of other exports, of what is damaged, and of what people called things to do harm.
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { start } from '../backup/command-line.js';
import { realmliftHere as realmlift } from '../cli/command-here.js';
import { sampleExport } from '../pipe/sample-export.js';
import { change } from '../testbed/database-client.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { lookAt, noBrowser } from './look.js';

const EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>';
/** Neither may be more than text of the page. */
const ACTIVE = /<script|<img/i;

const root = t.testdir();
const pages: Record<string, string> = {};
const pageOf = (directory: string): string => readFileSync(join(directory, 'report.html'), 'utf8');

const [acme, globex, earlier, owner] = await withTestDatabase('zulip-11/local', async (url) => {
  const [before] = await sampleExport(url, { realm: 'acme', mode: 'consent', output: join(root, 'consent'), verify: true });
  await change(url, `UPDATE zerver_realm SET name = left('${EVIL}', 40) WHERE string_id = 'acme'`, `UPDATE zerver_stream SET name = left('${EVIL}' || id, 60) WHERE realm_id = 2`);
  // A directory that a shell and a browser would read otherwise.
  const [full] = await sampleExport(url, { realm: 'acme', output: join(root, "o'ut <b>"), verify: true });
  const [other] = await sampleExport(url, { realm: 'globex', output: join(root, 'out'), verify: true });
  const [user] = await sampleExport(url, { realm: 'acme', mode: 'user', users: ['owner@acme.example', 'user1@acme.example'], output: join(root, 'users'), verify: true });
  return [full, other, before, user] as [string, string, string, string];
});

t.test('names that would be more than names', async (t) => {
  const named = await realmlift(['report', acme, '--names', '--output', '-', '--quiet']);
  t.match(named, { code: 0, stderr: '' });
  pages['hostile'] = named.stdout;
  t.notMatch(named.stdout, ACTIVE);
  t.match(named.stdout, /<h1>Export of &#34;&#62;&#60;script&#62;/);
  t.match(named.stdout, /onerror=alert\(2\)/, 'the channels too, as text');
  t.match(pageOf(acme), /import-check &#39;.*o&#39;\\&#39;&#39;ut &#60;b&#62;\/acme&#39; \\/, 'the directory is one word of the command');
});

t.test('single users are not named', (t) => {
  t.match(owner, /@acme\.example/);
  t.notMatch(pageOf(owner), /owner@|acme\.example/);
  pages['user'] = pageOf(owner);
  const index = pages['users'] = pageOf(join(root, 'users'));
  t.notMatch(index, /@acme|%40|user1|owner/, 'nor are several');
  t.match(index, /<th scope="row">acme, user \d+<\/th><td>verified<\/td>/);
  t.end();
});

t.test('merged exports, of one realm and of several', async (t) => {
  const joined = join(root, 'joined');
  t.match(await realmlift(['merge', earlier, acme, '--output', joined, '--quiet']), { code: 0, stderr: '' });
  const page = pages['merged'] = pageOf(joined);
  t.match(page, /<strong>Whole and verified<\/strong>.*It was joined of 2 exports/s);
  t.match(page, /The exports that were joined<\/caption>.*what those who agreed may take.*everything/s);
  t.match(page, /the reports of the exports that were joined/);
  t.match(page, /<code>zerver_userprofile\.zoom_token<\/code>/, 'the secrets of all');
  t.notMatch(page, ACTIVE);
  const both = join(root, 'both');
  t.match(await realmlift(['merge', acme, globex, '--output', both, '--remap', '--quiet'], { ZULIP_AVATAR_SALT: 'x'.repeat(64) }), { code: 0, stderr: '' });
  pages['both'] = pageOf(both);
  t.match(pages['both'], /<h1>Export of acme\+globex<\/h1>/);
  t.notMatch(pages['both'], /deactivate_realm/, 'of two realms nobody is told to deactivate one');
  t.match(await realmlift(['verify', both, '--quiet']), { code: 0 });
});

t.test('an export with new ids', async (t) => {
  const moved = join(root, 'moved');
  t.match(await realmlift(['remap', globex, '--output', moved, '--id-base', '5000000', '--subdomain', 'initech', '--quiet'], { ZULIP_AVATAR_SALT: 'x'.repeat(64) }), { code: 0, stderr: '' });
  pages['remapped'] = pageOf(moved);
  t.match(pages['remapped'], /<h1>Export of initech<\/h1>.*Rewritten for the new server: ids are those of the new server; /s);
  t.equal(readFileSync(join(moved, 'report.json'), 'utf8').match(/^ {2}"contents": /gm)?.length, 1, 'what was counted is told once');
});

t.test('an export that is not what its manifest says', async (t) => {
  const changed = join(root, 'changed');
  cpSync(globex, changed, { recursive: true });
  writeFileSync(join(changed, 'uploads', '<img src=x onerror=alert(3)>salaries.pdf'), 'x'.repeat(1e6));
  writeFileSync(join(changed, 'attachment.json'), '{"zerver_attachment": []}');
  const ended = await realmlift(['report', changed, '--quiet']);
  t.match(ended, { code: 1, stderr: /^realmlift: the export is damaged: \d+ errors, which realmlift verify names\n$/ });
  const page = pages['changed'] = pageOf(changed);
  t.match(page, /<strong>Changed since it was finished: it is not what its manifest says<\/strong>/);
  t.match(page, /attachment\.json: 25 bytes, the manifest says/);
  t.match(page, /a file in uploads: the manifest does not list the file/);
  t.notMatch(page, /salaries/, 'no names');
  t.match(page, /do not import it.*realmlift verify/s);
  t.notMatch(page, /manage\.py import/);
  const named = (await realmlift(['report', changed, '--names', '--output', '-', '--quiet'])).stdout;
  t.match(named, /salaries\.pdf: the manifest does not list/);
  t.notMatch(named, ACTIVE);
});

t.test('a page is there as a whole or not at all', async (t) => {
  const directory = join(root, 'pages');
  mkdirSync(directory);
  const words = ['report', globex, '--quiet', '--output', join(directory, 'page.html')];
  // 8 blocks of 512 bytes.
  t.match(await start(words, {}, '-f 8').finished, { code: 1, stderr: /^realmlift: DISK_FULL \[package\]: [^\n]*page\.html [^\n]*\n$/ });
  t.same(readdirSync(directory), []);
  t.match(await realmlift(words), { code: 0, stderr: '' });
  const page = readFileSync(join(directory, 'page.html'), 'utf8');
  t.match(await start(words, {}, '-f 8').finished, { code: 1 });
  t.equal(readFileSync(join(directory, 'page.html'), 'utf8'), page, 'an earlier one stays');
  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const [piped, ended] = await Promise.all([readFile(pipe, 'utf8'), realmlift([...words.slice(0, -1), pipe])]);
  t.match(ended, { code: 0, stderr: '' });
  t.equal(piped, page, 'a pipe takes it as it comes');
});

t.test('an export of which little can be read', async (t) => {
  for (const [name, damage] of Object.entries<(directory: string) => void>({
    'no rows': (directory) => { rmSync(join(directory, 'realm.json')); },
    'cut': (directory) => { writeFileSync(join(directory, 'realm.json'), readFileSync(join(directory, 'realm.json')).subarray(0, 5000)); },
    'no report': (directory) => { writeFileSync(join(directory, 'report.json'), '{"realm": "glo'); },
    'no manifest': (directory) => { writeFileSync(join(directory, 'manifest.json'), 'nonsense'); },
  })) {
    const damaged = join(root, name);
    cpSync(globex, damaged, { recursive: true });
    damage(damaged);
    const { code, stdout, stderr } = await realmlift(['report', damaged, '--names', '--output', '-', '--quiet']);
    t.equal(code, 1, `${name}: ${stderr}`);
    t.match(stdout, /<div class="verdict bad"/, name);
    pages[name] = stdout;
  }
  t.match(pages['no report'], /report\.json cannot be read/);
  const empty = join(root, 'empty');
  mkdirSync(empty);
  t.match(await realmlift(['report', empty]), { code: 2, stderr: /NOT_AN_EXPORT.*none of manifest\.json, realm\.json and user\.json/ });
});

t.test('in a browser', { skip: noBrowser }, (t) => lookAt(t, pages));
