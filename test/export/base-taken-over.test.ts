// Rows that follow messages and people, as reactions do: they are taken over from the base where these are the same and none of them changed.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import { leaveSharedServer } from '../testbed/test-database.js';
import { both, exportHere } from './base-runs.js';
import { CHANGES } from './database-changes.js';
import { query, withGrownDatabase } from './grown-database.js';
import { differingPaths } from './same-tree.js';

t.setTimeout(300_000);
leaveSharedServer();

t.test('reactions', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    const base = await exportHere(url, join(root, 'base'));
    const own = '(SELECT min(id) FROM zerver_reaction WHERE user_profile_id IN (SELECT id FROM zerver_userprofile WHERE realm_id = 2))';
    const caughtUp = async (name: string, how: 'taken over' | 'taken over but for new ones' | 'copied', from = base): Promise<string[]> => {
      const ways: string[] = [];
      const warnings: string[] = [];
      const [fresh, caught] = await both(url, root, from, {
        force: true,
        onEvent: (event) => {
          if (event.kind === 'part' && event.part.path.endsWith('/zerver_reaction.json')) ways.push(event.part.mended === true ? 'taken over but for new ones' : event.kept ? 'taken over' : 'copied');
          if (event.kind === 'warning') warnings.push(event.text);
        },
      });
      t.same(differingPaths(fresh, caught), [], name);
      t.same(ways.sort(), ['copied', how].sort(), `${name}: are ${how}`);
      for (const old of [fresh, caught]) rmSync(old, { recursive: true });
      return warnings;
    };
    await caughtUp('when nothing changed', 'taken over');
    await query(url, CHANGES['messages read and starred'] as string);
    await caughtUp('of messages whose flags changed', 'taken over');
    await query(url, `UPDATE zerver_reaction SET emoji_name = emoji_name WHERE user_profile_id IN (SELECT u.id FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id WHERE r.string_id NOT IN ('acme', 'zulipinternal'))`);
    await caughtUp('when those of other realms changed', 'taken over');
    const copy = join(root, 'copy');
    cpSync(base, copy, { recursive: true, preserveTimestamps: true });
    const rows = readFileSync(join(copy, 'realm.json'));
    const at = rows.indexOf('"zerver_reaction":[');
    rows.write('X', rows.indexOf('"emoji_name":"', at) + '"emoji_name":"'.length);
    writeFileSync(join(copy, 'realm.json'), rows);
    t.match(await caughtUp('of a base whose realm.json is damaged', 'copied', copy), [/realm\.json is not what the earlier run finished/]);
    const damaged = join(root, 'damaged');
    cpSync(copy, damaged, { recursive: true, preserveTimestamps: true });
    rmSync(join(copy, 'realm.json'));
    await caughtUp('of a base that lacks it', 'copied', copy);
    const react = (id: string, message: string): Promise<unknown> => query(url, `
      INSERT INTO zerver_reaction SELECT r.* FROM zerver_reaction t, LATERAL jsonb_populate_record(t, jsonb_build_object('id', ${id}, 'message_id', ${message}, 'emoji_code', 'new' || ${id})) AS r WHERE t.id = ${own}`);
    const [youngest, oldest] = ['(SELECT max(id) + 1 FROM zerver_reaction)', '(SELECT min(id) - 1 FROM zerver_reaction)'];
    const last = '(SELECT max(id) FROM zerver_message WHERE realm_id = 2)';
    const grown = 'taken over but for new ones';
    await react(youngest, `(SELECT min(message_id) FROM zerver_reaction WHERE id = ${own})`);
    await caughtUp('with a new one of an old message', grown);
    await query(url, `INSERT INTO zerver_message SELECT r.* FROM zerver_message m, LATERAL jsonb_populate_record(m, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_message))) AS r WHERE m.id = (SELECT message_id FROM zerver_reaction WHERE id = ${own})`);
    await caughtUp('when a message was written', grown);
    await react(youngest, last);
    await caughtUp('with a new one of a new message', grown);
    t.match(await caughtUp('of a damaged base with new ones', 'copied', damaged), [/realm\.json is not what the earlier run finished/]);
    await query(url, `UPDATE zerver_message SET sender_id = (SELECT min(id) FROM zerver_userprofile WHERE realm_id = 3) WHERE id = ${last}`);
    const without = await exportHere(url, join(root, 'without'), undefined, { force: true });
    await react(youngest, last);
    await caughtUp('with a new one of a message that stays, and an old one', 'copied', without);
    const before = await exportHere(url, join(root, 'before'), undefined, { force: true });
    await query(url, `UPDATE zerver_message m SET sender_id = (SELECT min(user_profile_id) FROM zerver_reaction WHERE id = ${own}) WHERE id = ${last}`);
    await caughtUp('when a message that stayed travels, with an old one', 'copied', before);
    await react(oldest, last);
    await caughtUp('with a new one that is not the last', 'copied');
    await query(url, `UPDATE zerver_reaction SET emoji_name = 'other' WHERE id = ${own}`);
    await caughtUp('of which one changed', 'copied');
    const later = await exportHere(url, join(root, 'later'));
    await query(url, `DELETE FROM zerver_reaction WHERE id = ${own}`);
    await caughtUp('of which one is gone', 'copied', later);
    const ofAll = await exportHere(url, join(root, 'last'));
    await query(url, 'UPDATE zerver_userprofile SET realm_id = 3 WHERE id = (SELECT max(id) FROM zerver_userprofile u WHERE realm_id = 2 AND NOT EXISTS (SELECT FROM zerver_reaction r WHERE r.user_profile_id = u.id) AND NOT EXISTS (SELECT FROM zerver_message m WHERE m.sender_id = u.id))');
    await caughtUp('of other people', 'copied', ofAll);

    const stranger = (id: string, message: string): Promise<unknown> => query(url, `
      INSERT INTO zerver_reaction SELECT r.* FROM zerver_reaction t,
        LATERAL jsonb_populate_record(t, jsonb_build_object('id', ${id}, 'message_id', ${message}, 'user_profile_id', (SELECT min(id) FROM zerver_userprofile WHERE realm_id = 3), 'emoji_code', 'strange')) AS r WHERE t.id = ${own}`);
    const strange = (id = 'max(id)'): string => `(SELECT ${id} FROM zerver_reaction WHERE emoji_code = 'strange')`;
    const first = await exportHere(url, join(root, 'first'));
    await stranger(youngest, `(SELECT min(message_id) FROM zerver_reaction WHERE id = ${own})`);
    await caughtUp('when a stranger reacts', 'taken over', first);
    await stranger(youngest, `(SELECT id FROM zerver_message WHERE realm_id = 3 ORDER BY id LIMIT 1)`);
    const told = await exportHere(url, join(root, 'told'));
    t.match(readFileSync(join(told, 'report.json'), 'utf8'), /the reaction is by a user of another realm/);
    await caughtUp('of a base that tells a stranger of them', 'taken over', told);
    await query(url, `UPDATE zerver_message SET realm_id = 2 WHERE id = (SELECT message_id FROM zerver_reaction WHERE id = ${strange()})`);
    await caughtUp('when a message with a stranger becomes the realm\'s', 'taken over', told);
    await query(url, `UPDATE zerver_reaction SET emoji_name = 'other' WHERE id = ${strange('min(id)')}`);
    await caughtUp('when a stranger reacts otherwise', 'taken over', told);
    await query(url, `DELETE FROM zerver_reaction WHERE id = ${strange('min(id)')}`);
    await caughtUp('when a stranger does no more', 'taken over', told);
  });
});

t.test('small tables', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    const base = await exportHere(url, join(root, 'base'));
    const caughtUp = async (name: string, ...copied: readonly string[]): Promise<void> => {
      const ways: Record<string, boolean> = {};
      const caught = await exportHere(url, join(root, 'caught'), base, { onEvent: (event) => { if (event.kind === 'part') ways[basename(event.part.path, '.json')] = event.kept; } });
      const fresh = await exportHere(url, join(root, 'fresh'));
      t.same(differingPaths(fresh, caught), [], name);
      t.same(['zerver_alertword', 'zerver_defaultstream', 'zerver_realmfilter', 'zerver_stream', 'stray_message'].filter((table) => ways[table] !== true), [...copied, 'stray_message'], `${name}: which are copied`);
      for (const old of [fresh, caught]) rmSync(old, { recursive: true });
    };
    await query(url, 'CREATE TABLE another (); DROP TABLE another');
    await caughtUp('untouched');
    await query(url, 'UPDATE zerver_realmfilter SET pattern = pattern WHERE realm_id = 3');
    await caughtUp('touched by another realm', 'zerver_realmfilter');
    await query(url, 'DELETE FROM zerver_alertword WHERE id = (SELECT max(id) FROM zerver_alertword)');
    await caughtUp('with one row less', 'zerver_alertword', 'zerver_realmfilter');
    await query(url, `INSERT INTO zerver_alertword SELECT r.* FROM zerver_alertword t, LATERAL jsonb_populate_record(t, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_alertword), 'word', 'anew')) AS r WHERE t.id = (SELECT min(id) FROM zerver_alertword)`);
    await caughtUp('with another row in its place', 'zerver_alertword', 'zerver_realmfilter');
    await query(url, `ALTER TABLE zerver_defaultstream ADD COLUMN more integer; ALTER TABLE zerver_defaultstream DROP COLUMN more`);
    await caughtUp('altered and back', 'zerver_alertword', 'zerver_realmfilter');
    await query(url, `VACUUM FULL zerver_defaultstream`);
    await caughtUp('written anew', 'zerver_alertword', 'zerver_defaultstream', 'zerver_realmfilter');
    await query(url, `UPDATE zerver_userprofile SET full_name = full_name || ' renamed' WHERE realm_id = 3`);
    await caughtUp('of people of another realm', 'zerver_alertword', 'zerver_defaultstream', 'zerver_realmfilter');
  });
});
