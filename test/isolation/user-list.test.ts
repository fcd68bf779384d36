/** Who is named by a list of users, and what a list with mistakes says. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import type { Test } from 'tap';
import type { RealmliftError } from '../../src/errors.js';
import { findTargets, type TargetRequest } from '../../src/plan/targets.js';
import { readUserList, type UserEntry } from '../../src/plan/user-list.js';
import { withTestDatabase } from '../testbed/test-database.js';

function listed(t: Test, text: string): UserEntry[] {
  const path = join(t.testdir({}), 'users');
  writeFileSync(path, text);
  return readUserList(path);
}

t.test('one address or id a line', (t) => {
  const entries = listed(t, '\uFEFF# moving in May\r\nann@acme.example\r\n\r\n  17   # Bob\nodd#name@acme.example\n');
  t.same(entries.map(({ user }) => user), ['ann@acme.example', '17', 'odd#name@acme.example']);
  t.ok(entries.every(({ realm }) => realm === undefined));
  t.end();
});

t.test('CSV with a header', (t) => {
  t.same(listed(t, 'Name,Email,Realm\n"Doe, ""Jo""",jo@acme.example,acme\nMax,max@globex.example,globex\n'), [
    { user: 'jo@acme.example', realm: 'acme' }, { user: 'max@globex.example', realm: 'globex' },
  ]);
  t.same(listed(t, 'id,note\n12,"a, b"\n'), [{ user: '12', realm: undefined }]);
  t.end();
});

t.test('a list that names nobody, or is not there', (t) => {
  t.throws(() => listed(t, '# nobody yet\n'), { code: 'USERS_FILE', exit: 2 });
  t.throws(() => listed(t, 'email,realm\n'), { code: 'USERS_FILE', exit: 2 });
  t.throws(() => readUserList(join(t.testdir({}), 'none')), { code: 'USERS_FILE', exit: 2 });
  t.end();
});

t.test('entries are looked up', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query('SET search_path = zulip');
      await client.query("UPDATE zerver_userprofile SET delivery_email = 'twin@example.com' WHERE id IN (8, 39)");
      // Somebody's public address is somebody else's real one.
      await client.query("UPDATE zerver_userprofile SET email = 'user2@acme.example' WHERE id = 10");
      const warnings: string[] = [];
      const find = (request: Partial<TargetRequest>): ReturnType<typeof findTargets> =>
        findTargets(client, { realms: ['acme'], exclude: [], users: undefined, approved: undefined, allowUnknown: false, ...request }, (why) => warnings.push(why));
      const entries = (...users: string[]): UserEntry[] => users.map((user) => ({ user, realm: undefined }));

      const [acme] = await find({ approved: entries('OWNER@acme.example', '7', 'user7@ACME.example', 'owner@acme.example', 'user2@acme.example') });
      t.same(acme?.approved, [6, 7, 14, 9], 'by address in any case or id; a deactivated user too; nobody twice; a real address before a public one');

      const wrong = entries('nobody@acme.example', 'owner@globex.example', 'welcome-bot@zulip.com', '424242', 'owner@acme.example', 'twin@example.com');
      const refusal = await find({ realms: ['acme', 'tiny'], approved: wrong }).then(() => undefined, (error: unknown) => error as RealmliftError);
      t.match(refusal, { code: 'USERS_UNKNOWN', exit: 3 });
      for (const each of ['nobody@acme.example (unknown)', 'owner@globex.example (of another realm: globex)', 'welcome-bot@zulip.com (of another realm: zulipinternal)', '424242 (unknown)']) {
        t.match(refusal?.message, each);
      }
      t.notMatch(refusal?.message, 'owner@acme', 'only the mistakes');
      await t.rejects(find({ realms: ['acme', 'globex'], approved: entries('twin@example.com') }), { code: 'USERS_UNKNOWN', message: /twin@example.com \(ambiguous: in acme, globex\)|in globex, acme/ });
      const [, globex] = await find({ realms: ['acme', 'globex'], approved: [{ user: 'twin@example.com', realm: 'globex' }] });
      t.same(globex?.approved, [39], 'a realm beside the address tells');

      const [lenient] = await find({ approved: wrong, allowUnknown: true });
      t.same(lenient?.approved, [6, 8]);
      t.equal(warnings.length, 4, 'and a warning each');

      const singles = await find({ realms: 'all', users: entries('owner@globex.example', 'owner@acme.example') });
      t.same(singles.map(({ name, userId }) => [name, userId]), [['globex/owner@globex.example', 36], ['acme/owner@acme.example', 6]]);
      await t.rejects(find({ realms: ['acme', 'acmee'] }), { code: 'REALM_UNKNOWN', exit: 3, hint: /acme/ });
      await t.rejects(find({ realms: 'all', exclude: ['glob'] }), { code: 'REALM_UNKNOWN', hint: /globex/ });
      t.same((await find({ realms: 'all', exclude: ['acme'] })).map(({ name }) => name), ['closed', 'globex', 'tiny'], 'never the system realm unless named');
      t.same((await find({ realms: ['zulipinternal', 'tiny', 'tiny'] })).map(({ name }) => name), ['zulipinternal', 'tiny']);
    } finally {
      await client.end();
    }
  });
});
