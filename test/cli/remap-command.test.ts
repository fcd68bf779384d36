/** From one sample server to a second one, as users do it: by commands. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MOVED, withNewServer } from '../pipe/new-server.js';
import { change } from '../testbed/database-client.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { realmliftHere } from './command-here.js';
import { realmlift } from './command-line.js';

type Row = Record<string, unknown> & { id: number };

const root = t.testdir();
const at = (...names: string[]): string => join(root, ...names);
const uploads = await uploadsDirectory('zulip-11/local');
const realmJson = (directory: string): Record<string, Row[]> => JSON.parse(readFileSync(join(directory, 'realm.json'), 'utf8')) as Record<string, Row[]>;

t.test('from one server to another', (t) => withTestDatabase('zulip-11/local', (source) => withNewServer(async (target) => {
  const env = { DATABASE_URL: source, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] };
  const exporting = (...words: string[]): ReturnType<typeof realmliftHere> => realmliftHere(['export', '--uploads-dir', uploads, '--jobs', '1', ...words], env);

  await t.test('export --remap', async (t) => {
    const { code, stderr } = await exporting('--realm', 'acme', '--output', at('there'), '--remap', '--target-url', target, '--subdomain', 'acme2', '--realm-name', 'Two');
    t.equal(code, 0, stderr);
    t.match(stderr, /verified: \d+ files/);
    t.same(readdirSync(at('there')), ['acme']);
    const realm = realmJson(at('there', 'acme'));
    t.match(realm.zerver_realm, [{ name: 'Two', string_id: 'acme2' }]);
    t.ok((realm.zerver_userprofile_crossrealm as Row[]).every(({ id, recipient_id: recipient }) => id > MOVED.bot && (recipient as number) > MOVED.recipient));
    const { zerver_message: messages } = JSON.parse(readFileSync(at('there', 'acme', 'messages-000001.json'), 'utf8')) as { zerver_message: Row[] };
    t.equal(messages[0]?.id, MOVED.messages + 1);
  });

  await t.test('remap', async (t) => {
    const { code, stdout, stderr } = await realmliftHere(['remap', at('there', 'acme'), '--output', at('again'), '--id-base', '500000', '--subdomain', 'acme3'], env);
    t.equal(code, 0, stderr);
    t.equal(stdout, '');
    t.match(stderr, /^acme3: [\d,]+ rows written to \S+again in [\d.]+ s\n {2}no reference points outside the export; report.json counts them\n$/);
    t.equal(realmJson(at('again')).zerver_realm?.[0]?.id, 500_001);
    t.match(JSON.parse(readFileSync(at('again', 'report.json'), 'utf8')), { remapped: { ids: 'all', was: 'acme' }, remapped_2: { ids: 'all', was: 'acme2' } });
  });

  await t.test('another name alone', async (t) => {
    const { code, stderr } = await exporting('--realm', 'tiny', '--output', at('named'), '--subdomain', 'tiny2');
    t.equal(code, 0, stderr);
    t.match(stderr, /\n {2}all ids are as they were; only what the realm is called is new\n {2}it is rewritten for the new server, and no later export can have it as its --base\n/);
    t.match(readFileSync(at('named', 'tiny', 'report.html'), 'utf8'), 'Rewritten for the new server: all ids are as they were; ');
    t.match(await exporting('--realm', 'tiny', '--output', at('later'), '--base', at('named', 'tiny')), { code: 3, stderr: /BASE_UNFIT/ });
    t.equal((await realmliftHere(['remap', at('named', 'tiny'), '--output', at('numbered'), '--id-base', '500000'], env)).code, 0);
    t.match(readFileSync(at('numbered', 'report.html'), 'utf8'), 'Rewritten for the new server: ids are those of the new server; ', 'of two remappings what they come to');
  });

  await t.test('a stream of tar leaves when the ids are those of the new server', async (t) => {
    const { code, stdout } = await realmlift(['export', '--uploads-dir', uploads, '--jobs', '1', '--realm', 'tiny', '--output', '-', '--remap', '--id-base', '500000'], { env });
    t.equal(code, 0);
    t.match(stdout, '"zerver_realm":[{"id":500001,');
    t.ok(stdout.indexOf('tiny/manifest.json') > Math.max(stdout.indexOf('tiny/realm.json'), stdout.indexOf('tiny/id_maps.json'), 0));
  });

  await t.test('an export that would not fit is not published', async (t) => {
    const refused = (...words: string[]): ReturnType<typeof realmliftHere> => exporting('--output', at('none'), ...words);
    await change(target, "DELETE FROM django_migrations WHERE app = 'zerver' AND name LIKE '0697%'");
    t.match(await refused('--realm', 'acme', '--remap', '--target-url', target), { code: 3, stderr: /^realmlift: TARGET_VERSION \[remap\]: this server is of Zulip 11\.0-dev .*, the new one of .*\n$/ });
    t.match(await refused('--all-realms', '--remap', '--id-base', '5000'), { code: 2, stderr: /^realmlift: REMAP_ONE_REALM .*merge --remap\)\n$/ });
    t.match(await refused('--realm', 'acme', '--remap'), { code: 2, stderr: /^realmlift: ID_BASE_MISSING .*--target-url URL .*--id-base N\)\n$/ });
    t.match(await refused('--realm', 'acme', '--id-map', at('no-map')), { code: 2, stderr: /^realmlift: ID_MAP \[usage\]: .*ENOENT/ });
    t.match(await refused('--realm', 'acme', '--remap', '--id-base', '2147483000'), { code: 1, stderr: /^realmlift: ID_RANGE \[remap, zerver_\w+\]: .*\n$/ });
    t.notOk(existsSync(at('none', 'acme')));
    t.match(await refused('--realm', 'acme', '--remap', '--id-base', '500000', '--resume'), { code: 0, stderr: /ids are those of the new server; no reference points outside/ }, 'the export itself is not made again');
    t.same(readdirSync(at('none')), ['acme']);
  });
})));
