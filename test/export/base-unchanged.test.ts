// A base since which no transaction wrote anything on the server: all that it has is taken over without a look.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { leaveSharedServer } from '../testbed/test-database.js';
import { baseOf, exportHere } from './base-runs.js';
import { withGrownDatabase } from './grown-database.js';
import { differingPaths } from './same-tree.js';
import type { Choices } from './test-source.js';

t.setTimeout(300_000);
leaveSharedServer();

t.test('nothing was written since', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    const nothing = 'nothing was written on the server since';
    const client = new pg.Client({ connectionString: url, options: '-c search_path=zulip,pg_catalog' });
    await client.connect();
    // Begun before the base, and not seen by it, nor what it does later.
    await client.query('BEGIN; SELECT txid_current(); SAVEPOINT one');
    await client.query("UPDATE zerver_usermessage SET flags = flags | 64 WHERE message_id = (SELECT min(id) FROM zerver_message WHERE realm_id = 2)");
    const caughtUp = async (name: string, base: string): Promise<{ caught: string; copied: string[] }> => {
      const copied: string[] = [];
      const onEvent: Choices['onEvent'] = (event) => { if (event.kind === 'part' && !event.kept) copied.push(event.part.path); };
      return { caught: await exportHere(url, join(root, name), base, { onEvent }), copied };
    };
    // Other databases of the server are written to now and then.
    let [base, rows, attempt] = ['', '', 0];
    for (; rows !== nothing && attempt < 20; attempt++) {
      base = await exportHere(url, join(root, `base-${attempt}`));
      const { caught, copied } = await caughtUp(`caught-${attempt}`, base);
      ({ rows } = baseOf(caught));
      if (rows !== nothing) continue;
      t.same(differingPaths(base, caught), []);
      t.same(copied, [], 'not even the small tables are asked for');
      const damaged = join(root, 'damaged');
      cpSync(base, damaged, { recursive: true, preserveTimestamps: true });
      const realm = readFileSync(join(damaged, 'realm.json'), 'utf8');
      writeFileSync(join(damaged, 'realm.json'), realm.replace('"invite_only":false', '"invite_only":true '));
      rmSync(join(damaged, 'messages-000002.json'));
      const mended = await caughtUp('mended', damaged);
      t.same(differingPaths(base, mended.caught), [], 'what is damaged is made again');
      t.ok(mended.copied.includes('messages-000002.json') && mended.copied.some((path) => path.endsWith('/zerver_stream.json')), mended.copied.join());
    }
    t.equal(rows, nothing, `after ${attempt} attempts`);
    await client.query('RELEASE one; COMMIT');
    await client.end();
    const fresh = await exportHere(url, join(root, 'fresh'));
    const { caught } = await caughtUp('committed', base);
    t.same(differingPaths(fresh, caught), [], 'what was under way has come since');
    t.match(baseOf(caught), { rows: 'by their versions' });
  });
});
