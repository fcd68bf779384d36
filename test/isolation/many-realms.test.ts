/** Many realms in one run, refusals, and repeatable output: what the operator meets on the command line. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { realmliftHere } from '../cli/command-here.js';
import { change } from '../testbed/database-client.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { readTables } from './whole-export.js';

async function realmlift(url: string, output: string, ...words: string[]): Promise<{ code: number | null; errors: string }> {
  const { code, stderr } = await realmliftHere(['export', '--output', output, '--uploads-dir', await uploadsDirectory('zulip-11/local'), '--jobs', '1', ...words], { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] });
  return { code, errors: stderr };
}

t.test('a realm that is refused, and one that fails on the way, do not stop the others', async (t) => {
  const directory = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    // NaN is no JSON: globex fails while its rows are copied. tiny has no owner who consents.
    await change(url, `ALTER TABLE zerver_realmfilter ADD COLUMN weight float8 DEFAULT 1; UPDATE zerver_realmfilter SET weight = 'NaN' WHERE realm_id = 3;
      UPDATE zerver_userprofile SET allow_private_data_export = false WHERE realm_id = 4`);
    const { code, errors } = await realmlift(url, directory, '--all-realms', '--exclude', 'closed', '--mode', 'consent');
    t.equal(code, 1);
    t.same(readdirSync(directory).filter((name) => !name.includes('.')), ['acme'], 'published: only what is whole');
    t.match(errors, /^globex: realmlift: COLUMN_NOT_JSON \[transform, zerver_realmfilter\]/m);
    t.match(errors, /^tiny: realmlift: NO_OWNER \[plan\]/m);
    t.match(errors, /^realmlift: TARGETS_FAILED .*2 of 3 exports failed/m);
    t.ok(existsSync(join(directory, 'acme', 'realm.json')));
    const { exports } = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')) as { exports: { target: string; directory: string | null; error: string | null; manifest_sha256: string | null }[] };
    t.same(exports.map(({ target, directory: made, error }) => [target, made, error]), [['acme', 'acme', null], ['globex', null, 'COLUMN_NOT_JSON'], ['tiny', null, 'NO_OWNER']]);
    t.equal(exports[0]?.manifest_sha256, createHash('sha256').update(readFileSync(join(directory, 'acme', 'manifest.json'))).digest('hex'));
  });
});

t.test('a realm that nobody could administer is refused, unless forced', async (t) => {
  const directory = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    await change(url, 'UPDATE zerver_userprofile SET allow_private_data_export = false, email_address_visibility = 4 WHERE realm_id = 4');
    for (const mode of ['consent', 'public']) {
      const refused = await realmlift(url, join(directory, mode), '--realm', 'tiny', '--mode', mode);
      t.equal(refused.code, 3, `${mode}: nothing exported`);
      t.match(refused.errors, /^realmlift: NO_OWNER .*--force/m);
      t.notOk(existsSync(join(directory, mode, 'tiny')));
      t.equal((await realmlift(url, join(directory, mode), '--realm', 'tiny', '--mode', mode, '--force')).code, 0, `${mode}: forced`);
      t.ok(existsSync(join(directory, mode, 'tiny', 'realm.json')));
    }
  });
});

t.test('--random-seed repeats the random parts', async (t) => {
  const directory = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    for (const [name, seed] of [['a', 'one'], ['b', 'one'], ['c', 'two']] as const) {
      t.equal((await realmlift(url, join(directory, name), '--realm', 'closed', '--mode', 'public', '--random-seed', seed)).code, 0);
    }
  });
  const realm = (name: string): string => readFileSync(join(directory, name, 'closed', 'realm.json'), 'utf8');
  t.equal(realm('a'), realm('b'), 'the same bytes');
  t.not(realm('a'), realm('c'));
  const random = (name: string): [unknown, unknown][] => {
    const tables = readTables(join(directory, name, 'closed'));
    return [...(tables.zerver_subscription ?? []).map((row): [unknown, unknown] => [row.id, row.color]), ...(tables.zerver_userprofile_mirrordummy ?? []).map((row): [unknown, unknown] => [row.id, row.delivery_email])];
  };
  t.ok(random('a').length > 20);
  t.strictNotSame(random('a'), random('c'), 'another seed, other colours and addresses');
  t.notMatch(readFileSync(join(directory, 'a', 'closed', 'manifest.json'), 'utf8'), /"one"/, 'the seed is not told');
});
