/**
 * What of a base is taken over. Rows that follow messages and people, as reactions do: where these are the same and none of the rows changed.
 * Where no transaction wrote anything on the server since: all of it, without a look.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, cpSync, openSync, readFileSync, readdirSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { openLocalStore } from '../../src/files/local-store.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { leaveSharedServer, withTestDatabase } from '../testbed/test-database.js';
import { baseOf, exportHere } from './base-runs.js';
import { CHANGES } from './database-changes.js';
import { query, withGrownDatabase } from './grown-database.js';
import { differingPaths } from './same-tree.js';
import type { Choices } from './test-source.js';

t.setTimeout(300_000);
leaveSharedServer();

t.test('reactions', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    let runs = 0;
    const anew = (): Promise<string> => exportHere(url, join(root, `run-${++runs}`), undefined, { force: true });
    const base = await anew();
    // What other realms do changes nothing of it.
    let fresh = base;
    /** Does what the realm's export shows. */
    const change = async (sql: string): Promise<void> => {
      await query(url, sql);
      fresh = await anew();
    };
    const own = '(SELECT min(id) FROM zerver_reaction WHERE user_profile_id IN (SELECT id FROM zerver_userprofile WHERE realm_id = 2))';
    const caughtUp = async (name: string, how: 'taken over' | 'taken over but for new ones' | 'copied', from = base): Promise<string[]> => {
      const ways: string[] = [];
      const warnings: string[] = [];
      const caught = await exportHere(url, join(root, 'caught'), from, {
        force: true,
        onEvent: (event) => {
          if (event.kind === 'part' && event.part.path.endsWith('/zerver_reaction.json')) ways.push(event.part.mended === true ? 'taken over but for new ones' : event.kept ? 'taken over' : 'copied');
          if (event.kind === 'warning') warnings.push(event.text);
        },
      });
      t.same(differingPaths(fresh, caught), [], name);
      t.same(ways, [how], `${name}: are ${how}`);
      rmSync(caught, { recursive: true });
      return warnings;
    };
    await caughtUp('when nothing changed', 'taken over');
    await change(CHANGES['messages read and starred'] as string);
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
    const react = (id: string, message: string): Promise<void> => change(`
      INSERT INTO zerver_reaction SELECT r.* FROM zerver_reaction t, LATERAL jsonb_populate_record(t, jsonb_build_object('id', ${id}, 'message_id', ${message}, 'emoji_code', 'new' || ${id})) AS r WHERE t.id = ${own}`);
    const [youngest, oldest] = ['(SELECT max(id) + 1 FROM zerver_reaction)', '(SELECT min(id) - 1 FROM zerver_reaction)'];
    const last = '(SELECT max(id) FROM zerver_message WHERE realm_id = 2)';
    const grown = 'taken over but for new ones';
    await react(youngest, `(SELECT min(message_id) FROM zerver_reaction WHERE id = ${own})`);
    await caughtUp('with a new one of an old message', grown);
    await change(`INSERT INTO zerver_message SELECT r.* FROM zerver_message m, LATERAL jsonb_populate_record(m, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_message))) AS r WHERE m.id = (SELECT message_id FROM zerver_reaction WHERE id = ${own})`);
    await caughtUp('when a message was written', grown);
    await react(youngest, last);
    await caughtUp('with a new one of a new message', grown);
    t.match(await caughtUp('of a damaged base with new ones', 'copied', damaged), [/realm\.json is not what the earlier run finished/]);
    await change(`UPDATE zerver_message SET sender_id = (SELECT min(id) FROM zerver_userprofile WHERE realm_id = 3) WHERE id = ${last}`);
    const without = fresh;
    await react(youngest, last);
    await caughtUp('with a new one of a message that stays, and an old one', 'copied', without);
    const before = fresh;
    await change(`UPDATE zerver_message m SET sender_id = (SELECT min(user_profile_id) FROM zerver_reaction WHERE id = ${own}) WHERE id = ${last}`);
    await caughtUp('when a message that stayed travels, with an old one', 'copied', before);
    await react(oldest, last);
    await caughtUp('with a new one that is not the last', 'copied');
    await change(`UPDATE zerver_reaction SET emoji_name = 'other' WHERE id = ${own}`);
    await caughtUp('of which one changed', 'copied');
    const later = fresh;
    await change(`DELETE FROM zerver_reaction WHERE id = ${own}`);
    await caughtUp('of which one is gone', 'copied', later);
    const ofAll = fresh;
    await change('UPDATE zerver_userprofile SET realm_id = 3 WHERE id = (SELECT max(id) FROM zerver_userprofile u WHERE realm_id = 2 AND NOT EXISTS (SELECT FROM zerver_reaction r WHERE r.user_profile_id = u.id) AND NOT EXISTS (SELECT FROM zerver_message m WHERE m.sender_id = u.id))');
    await caughtUp('of other people', 'copied', ofAll);

    const stranger = (id: string, message: string): Promise<void> => change(`
      INSERT INTO zerver_reaction SELECT r.* FROM zerver_reaction t,
        LATERAL jsonb_populate_record(t, jsonb_build_object('id', ${id}, 'message_id', ${message}, 'user_profile_id', (SELECT min(id) FROM zerver_userprofile WHERE realm_id = 3), 'emoji_code', 'strange')) AS r WHERE t.id = ${own}`);
    const strange = (id = 'max(id)'): string => `(SELECT ${id} FROM zerver_reaction WHERE emoji_code = 'strange')`;
    const first = fresh;
    await stranger(youngest, `(SELECT min(message_id) FROM zerver_reaction WHERE id = ${own})`);
    await caughtUp('when a stranger reacts', 'taken over', first);
    await stranger(youngest, `(SELECT id FROM zerver_message WHERE realm_id = 3 ORDER BY id LIMIT 1)`);
    const told = fresh;
    t.match(readFileSync(join(told, 'report.json'), 'utf8'), /the reaction is by a user of another realm/);
    await caughtUp('of a base that tells a stranger of them', 'taken over', told);
    await change(`UPDATE zerver_message SET realm_id = 2 WHERE id = (SELECT message_id FROM zerver_reaction WHERE id = ${strange()})`);
    await caughtUp('when a message with a stranger becomes the realm\'s', 'taken over', told);
    await change(`UPDATE zerver_reaction SET emoji_name = 'other' WHERE id = ${strange('min(id)')}`);
    await caughtUp('when a stranger reacts otherwise', 'taken over', told);
    await change(`DELETE FROM zerver_reaction WHERE id = ${strange('min(id)')}`);
    await caughtUp('when a stranger does no more', 'taken over', told);
  });
});

t.test('small tables', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    const base = await exportHere(url, join(root, 'base'));
    let [fresh, runs] = [base, 0];
    /** Does what the realm's export shows. */
    const change = async (sql: string): Promise<void> => {
      await query(url, sql);
      fresh = await exportHere(url, join(root, `fresh-${++runs}`));
    };
    const caughtUp = async (name: string, ...copied: readonly string[]): Promise<void> => {
      const ways: Record<string, boolean> = {};
      const caught = await exportHere(url, join(root, 'caught'), base, { onEvent: (event) => { if (event.kind === 'part') ways[basename(event.part.path, '.json')] = event.kept; } });
      t.same(differingPaths(fresh, caught), [], name);
      t.same(['zerver_alertword', 'zerver_defaultstream', 'zerver_realmfilter', 'zerver_stream', 'stray_message'].filter((table) => ways[table] !== true), [...copied, 'stray_message'], `${name}: which are copied`);
      rmSync(caught, { recursive: true });
    };
    await query(url, 'CREATE TABLE another (); DROP TABLE another');
    await caughtUp('untouched');
    await query(url, 'UPDATE zerver_realmfilter SET pattern = pattern WHERE realm_id = 3');
    await caughtUp('touched by another realm', 'zerver_realmfilter');
    await change('DELETE FROM zerver_alertword WHERE id = (SELECT max(id) FROM zerver_alertword)');
    await caughtUp('with one row less', 'zerver_alertword', 'zerver_realmfilter');
    await change(`INSERT INTO zerver_alertword SELECT r.* FROM zerver_alertword t, LATERAL jsonb_populate_record(t, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_alertword), 'word', 'anew')) AS r WHERE t.id = (SELECT min(id) FROM zerver_alertword)`);
    await caughtUp('with another row in its place', 'zerver_alertword', 'zerver_realmfilter');
    await query(url, `ALTER TABLE zerver_defaultstream ADD COLUMN more integer; ALTER TABLE zerver_defaultstream DROP COLUMN more`);
    await caughtUp('altered and back', 'zerver_alertword', 'zerver_realmfilter');
    await query(url, `VACUUM FULL zerver_defaultstream`);
    await caughtUp('written anew', 'zerver_alertword', 'zerver_defaultstream', 'zerver_realmfilter');
    await query(url, `UPDATE zerver_userprofile SET full_name = full_name || ' renamed' WHERE realm_id = 3`);
    await caughtUp('of people of another realm', 'zerver_alertword', 'zerver_defaultstream', 'zerver_realmfilter');
  });
});

const NOTHING = 'nothing was written on the server since';

t.test('nothing was written since', async (t) => {
  const root = t.testdir({});
  const uploads = join(root, 'uploads');
  cpSync(await uploadsDirectory('zulip-11/local'), uploads, { recursive: true, preserveTimestamps: true });
  const openStore = (): ReturnType<typeof openLocalStore> => openLocalStore({ uploadsDir: uploads });
  await withGrownDatabase(async (url) => {
    const client = new pg.Client({ connectionString: url, options: '-c search_path=zulip,pg_catalog' });
    await client.connect();
    // Begun before the base, and not seen by it, nor what it does later.
    await client.query('BEGIN; SELECT txid_current(); SAVEPOINT one');
    await client.query("UPDATE zerver_usermessage SET flags = flags | 64 WHERE message_id = (SELECT min(id) FROM zerver_message WHERE realm_id = 2)");
    let runs = 0;
    const fresh = (choices: Choices = {}): Promise<string> => exportHere(url, join(root, `run-${++runs}`), undefined, { openStore, ...choices });
    const caughtUp = async (base: string, choices: Choices = {}): Promise<{ caught: string; copied: string[] }> => {
      const copied: string[] = [];
      const onEvent: Choices['onEvent'] = (event) => { if (event.kind === 'part' && !event.kept) copied.push(event.part.path); };
      return { caught: await exportHere(url, join(root, `run-${++runs}`), base, { openStore, onEvent, ...choices }), copied };
    };
    let base = await fresh();
    /** Other databases of the server are written to now and then. @param choices of another base than the one of all */
    const unwritten = async (work: (base: string) => Promise<{ caught: string; check: () => void }>, choices?: Choices): Promise<void> => {
      for (let attempt = 0; attempt < 20; attempt++) {
        if (attempt > 0 && choices === undefined) base = await fresh();
        const { caught, check } = await work(choices === undefined ? base : await fresh(choices));
        if (baseOf(caught).rows === NOTHING) return check();
      }
      t.fail('somebody writes all the time');
    };
    await unwritten(async (base) => {
      const { caught, copied } = await caughtUp(base);
      return { caught, check: () => {
        t.same(differingPaths(base, caught), []);
        t.same(copied, [], 'not even the small tables are asked for');
      } };
    });
    await unwritten(async (base) => {
      const damaged = join(root, 'damaged');
      cpSync(base, damaged, { recursive: true, preserveTimestamps: true });
      const realm = readFileSync(join(damaged, 'realm.json'), 'utf8');
      writeFileSync(join(damaged, 'realm.json'), realm.replace('"invite_only":false', '"invite_only":true '));
      rmSync(join(damaged, 'messages-000002.json'));
      const { caught, copied } = await caughtUp(damaged);
      rmSync(damaged, { recursive: true });
      return { caught, check: () => {
        t.same(differingPaths(base, caught), [], 'what is damaged is made again');
        t.ok(copied.includes('messages-000002.json') && copied.some((path) => path.endsWith('/zerver_stream.json')), copied.join());
      } };
    });
    await unwritten(async (base) => {
      const expected = await fresh({ mode: 'public', randomSeed: 'another' });
      const { caught, copied } = await caughtUp(base, { mode: 'public', randomSeed: 'another' });
      return { caught, check: () => {
        t.same(differingPaths(expected, caught), [], 'with another seed');
        t.ok(copied.includes('messages-000001.json') === false && copied.some((path) => path.includes('zerver_userprofile')), copied.join());
      } };
    }, { mode: 'public' });
    await unwritten(async (base) => {
      const [changed, gone] = readdirSync(join(uploads, 'files', '2'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)) as [string, string];
      const kept = [changed, gone].map((path) => readFileSync(path));
      writeFileSync(changed, 'something else');
      rmSync(gone);
      writeFileSync(join(uploads, 'files', '2', 'nobodys'), 'nobody');
      const expected = await fresh();
      const { caught } = await caughtUp(base);
      [changed, gone].forEach((path, at) => { writeFileSync(path, kept[at] as Buffer); });
      rmSync(join(uploads, 'files', '2', 'nobodys'));
      return { caught, check: () => {
        t.same(differingPaths(expected, caught), [], 'files may change though nothing is written on the server');
        t.not(readFileSync(join(base, 'attachment.json'), 'utf8'), readFileSync(join(caught, 'attachment.json'), 'utf8'), 'and rows stay where their file is gone');
      } };
    });
    await unwritten(async (base) => {
      const { caught } = await caughtUp(base, { verify: true });
      const file = join(caught, 'messages-000002.json');
      const next = await caughtUp(caught, { verify: true });
      for (const path of [file, join(caught, 'uploads', (records(caught)[0] as { path: string }).path)]) {
        flip(path);
        await t.rejects(caughtUp(caught, { verify: true }), { code: 'VERIFY_FAILED' }, 'of a base\'s file that rots on its disk all bytes are read');
        flip(path);
      }
      return { caught: next.caught, check: () => {
        const contents = (directory: string): object => (JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8'), (key, value: unknown) => (key === 'bytes' ? 0 : value)) as { contents: object }).contents;
        for (const each of [caught, next.caught]) t.same(contents(each), contents(base), 'of the same files verify says the same');
        t.same(differingPaths(base, caught).filter((path) => path !== 'report.json'), []);
      } };
    }, { verify: true });
    await unwritten(async (base) => {
      await t.rejects(caughtUp(base, { decisions: { strip: new Set(['zerver_realm.description']), keep: new Set() } }), { code: 'BASE_OF_ANOTHER' });
      const { caught } = await caughtUp(base, { mode: 'full', orphans: 'ignore' });
      const expected = await fresh({ orphans: 'ignore' });
      return { caught, check: () => t.same(differingPaths(expected, caught), [], 'without orphans') };
    });
    await client.query('RELEASE one; COMMIT');
    await client.end();
    const expected = await fresh();
    const { caught } = await caughtUp(base);
    t.same(differingPaths(expected, caught), [], 'what was under way has come since');
    t.match(baseOf(caught), { rows: 'by their versions' });
  });
});

function records(directory: string): readonly object[] {
  return JSON.parse(readFileSync(join(directory, 'uploads', 'records.json'), 'utf8')) as object[];
}

/** One bit of the file is another, and nothing of the file system tells it. */
function flip(path: string): void {
  const like = `${path}.like`;
  execFileSync('touch', ['-r', path, like]);
  const file = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, 10);
    writeSync(file, Buffer.from([(byte[0] as number) ^ 1]), 0, 1, 10);
  } finally {
    closeSync(file);
  }
  execFileSync('touch', ['-r', like, path]);
  rmSync(like);
}
