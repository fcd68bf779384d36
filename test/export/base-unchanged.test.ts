// A base since which no transaction wrote anything on the server: all that it has is taken over without a look.
import { execFileSync } from 'node:child_process';
import { closeSync, cpSync, openSync, readFileSync, readdirSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { openLocalStore } from '../../src/files/local-store.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { leaveSharedServer } from '../testbed/test-database.js';
import { baseOf, exportHere } from './base-runs.js';
import { withGrownDatabase } from './grown-database.js';
import { differingPaths } from './same-tree.js';
import type { Choices } from './test-source.js';

t.setTimeout(300_000);
leaveSharedServer();

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
    /** Other databases of the server are written to now and then. */
    const unwritten = async (work: (base: string) => Promise<{ caught: string; check: () => void }>, choices: Choices = {}): Promise<void> => {
      for (let attempt = 0; attempt < 20; attempt++) {
        const { caught, check } = await work(await fresh(choices));
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
      const [{ caught }, again] = [await caughtUp(base, { verify: true }), await fresh({ verify: true })];
      const file = join(caught, 'messages-000002.json');
      const next = await caughtUp(caught, { verify: true });
      for (const path of [file, join(caught, 'uploads', (records(caught)[0] as { path: string }).path)]) {
        flip(path);
        await t.rejects(caughtUp(caught, { verify: true }), { code: 'VERIFY_FAILED' }, 'of a base\'s file that rots on its disk all bytes are read');
        flip(path);
      }
      return { caught: next.caught, check: () => {
        const contents = (directory: string): object => (JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8'), (key, value: unknown) => (key === 'bytes' ? 0 : value)) as { contents: object }).contents;
        for (const each of [caught, next.caught]) t.same(contents(each), contents(again), 'of the same files verify says the same');
        t.same(differingPaths(again, caught).filter((path) => path !== 'report.json'), []);
      } };
    }, { verify: true });
    await unwritten(async (base) => {
      await t.rejects(caughtUp(base, { decisions: { strip: new Set(['zerver_realm.description']), keep: new Set() } }), { code: 'BASE_OF_ANOTHER' });
      const { caught } = await caughtUp(base, { mode: 'full', orphans: 'ignore' });
      const expected = await fresh({ orphans: 'ignore' });
      return { caught, check: () => t.same(differingPaths(expected, caught), [], 'without orphans') };
    });
    const base = await fresh();
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
