// Rows that follow messages and people, as reactions do: they are taken over from the base where these are the same and none of them changed.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
    const caughtUp = async (name: string, taken: boolean, from = base): Promise<string[]> => {
      const kept: boolean[] = [];
      const warnings: string[] = [];
      const [fresh, caught] = await both(url, root, from, {
        force: true,
        onEvent: (event) => {
          if (event.kind === 'part' && event.part.path.endsWith('/zerver_reaction.json')) kept.push(event.kept);
          if (event.kind === 'warning') warnings.push(event.text);
        },
      });
      t.same(differingPaths(fresh, caught), [], name);
      t.same(kept.sort(), [false, taken], `${name}: ${taken ? 'are taken over' : 'are copied'}`);
      for (const old of [fresh, caught]) rmSync(old, { recursive: true });
      return warnings;
    };
    await caughtUp('when nothing changed', true);
    await query(url, CHANGES['messages read and starred'] as string);
    await caughtUp('of messages whose flags changed', true);
    await query(url, `UPDATE zerver_reaction SET emoji_name = emoji_name WHERE user_profile_id IN (SELECT u.id FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id WHERE r.string_id NOT IN ('acme', 'zulipinternal'))`);
    await caughtUp('when those of other realms changed', true);
    const copy = join(root, 'copy');
    cpSync(base, copy, { recursive: true, preserveTimestamps: true });
    const rows = readFileSync(join(copy, 'realm.json'));
    const at = rows.indexOf('"zerver_reaction":[');
    rows.write('X', rows.indexOf('"emoji_name":"', at) + '"emoji_name":"'.length);
    writeFileSync(join(copy, 'realm.json'), rows);
    t.match(await caughtUp('of a base whose realm.json is damaged', false, copy), [/realm\.json is not what the earlier run finished/]);
    rmSync(join(copy, 'realm.json'));
    await caughtUp('of a base that lacks it', false, copy);
    await query(url, `UPDATE zerver_reaction SET emoji_name = 'other' WHERE id = ${own}`);
    await caughtUp('of which one changed', false);
    const later = await exportHere(url, join(root, 'later'));
    await query(url, `DELETE FROM zerver_reaction WHERE id = ${own}`);
    await caughtUp('of which one is gone', false, later);
    const last = await exportHere(url, join(root, 'last'));
    await query(url, 'UPDATE zerver_userprofile SET realm_id = 3 WHERE id = (SELECT max(id) FROM zerver_userprofile u WHERE realm_id = 2 AND NOT EXISTS (SELECT FROM zerver_reaction r WHERE r.user_profile_id = u.id) AND NOT EXISTS (SELECT FROM zerver_message m WHERE m.sender_id = u.id))');
    await caughtUp('of other people', false, last);
  });
});
