import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { findBackup, openBackup } from '../../src/backup/contents/find-backup.js';
import { prove } from '../../src/backup/prove.js';
import { withScratchServer } from '../../src/backup/restore/scratch-server.js';
import { openStore } from '../../src/backup/store/open-store.js';
import { markOf } from '../../src/backup/store/verified-marks.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { testData } from '../testbed/test-data.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { realmlift, start } from './command-line.js';
import { NEEDS_PG_DUMP, backUp, failure, query, restore, withPlace } from './test-backup.js';

t.setTimeout(180_000);

const AWKWARD = join(testData(), '..', 'backup', 'awkward-schema.sql');

/** Nobody else's, for other tests prove backups meanwhile. Its path is too long for a server's socket to lie below it. */
async function withTemporaryDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const outer = await mkdtemp(join(tmpdir(), 'p-'));
  const directory = join(outer, 'long'.repeat(30));
  try {
    await mkdir(directory);
    // For the user that the server runs as.
    await chmod(outer, 0o711);
    await chmod(directory, 0o1777);
    await work(directory);
  } finally {
    await rm(outer, { recursive: true, force: true });
  }
}

t.test('a backup proves itself on a server of its own, without the private key', NEEDS_PG_DUMP, async (t) => {
  const role = `owner ${randomBytes(4).toString('hex')}`;
  await withEmptyDatabase((source) => withPlace((place) => withTemporaryDirectory(async (temporary) => {
    await query(source, await readFile(AWKWARD, 'utf8'));
    await query(source, `CREATE ROLE "${role}"; ALTER TABLE zulip.large OWNER TO "${role}"`);
    const uploads = join(place.directory, 'uploads');
    await mkdir(join(uploads, 'files', '1'), { recursive: true });
    await writeFile(join(uploads, 'files', '1', 'a.txt'), 'a');
    const result = await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--uploads-dir', uploads, '--prove', '--json'], { DATABASE_URL: source, PATH: process.env.PATH ?? '', TMPDIR: temporary });
    t.match(result, { code: 0 }, result.stderr);
    const { name, proved } = JSON.parse(result.stdout) as { name: string; proved: boolean };
    t.equal(proved, true);
    t.match(await markOf(await openStore(place.to, {}), name), { level: 'restored' });
    t.strictSame(await readdir(temporary), [], 'the server and its data are gone');

    const again = await realmlift(['restore', place.to, '--identity', place.identityFile, '--prove'], { PATH: process.env.PATH ?? '' });
    t.match(again, { code: 0, stdout: /equal to the source/ }, again.stderr);
    t.notMatch(again.stderr, /were not restored/, 'a proof restores nothing that stays');
    await query(source, `DROP OWNED BY "${role}" CASCADE; DROP ROLE "${role}"`);
  })));
});

/** Processes whose command line has the word in it. */
async function processesOf(word: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if ((await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(() => '')).includes(word)) found.push(Number(pid));
  }
  return found;
}

t.test('what lies in the clear goes at the next start when all was killed at once', { ...NEEDS_PG_DUMP, ...(process.platform === 'linux' ? {} : { skip: 'processes are found by /proc' }) }, async (t) => {
  await withEmptyDatabase((source) => withPlace((place) => withTemporaryDirectory(async (temporary) => {
    await query(source, 'CREATE TABLE a AS SELECT 1 AS n');
    const { location } = await backUp(source, place);
    const env = { PATH: process.env.PATH ?? '', TMPDIR: temporary };
    const running = start(['restore', location, '--identity', place.identityFile, '--prove'], env);
    const ended = running.finished;
    while (!(await readdir(temporary, { recursive: true })).some((name) => name.endsWith('PG_VERSION'))) await sleep(5);
    const [directory = ''] = (await readdir(temporary)).filter((name) => name.startsWith('realmlift-proof-'));
    // Not first the process, whose end its guards wait for.
    running.process.kill('SIGSTOP');
    for (let pids = await processesOf(directory); pids.length > 0; pids = await processesOf(directory)) {
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await sleep(20);
    }
    running.process.kill('SIGKILL');
    t.match(await ended, { signal: 'SIGKILL' });
    t.strictSame(await readdir(temporary), [directory]);
    t.match(await realmlift(['verify', location], env), { code: 0 });
    t.strictSame(await readdir(temporary), []);
  })));
});

t.test('a server that does not start is told by what it said of that', async (t) => {
  const directory = t.testdir({
    initdb: '#!/bin/sh\n',
    postgres: `#!/bin/sh
      [ "$1" = --version ] && echo 'postgres (PostgreSQL) 99.0' && exit
      echo '2030-01-01 00:00:00.000 UTC [7] FATAL:  could not map anonymous shared memory: Cannot allocate memory
HINT:  Something else.
2030-01-01 00:00:00.000 UTC [7] LOG:  database system is shut down'
    `,
  });
  for (const name of ['initdb', 'postgres']) await chmod(join(directory, name), 0o755);
  const path = process.env.PATH ?? '';
  process.env.PATH = `${directory}:${path}`;
  t.teardown(() => { process.env.PATH = path; });
  t.match(await failure(withScratchServer(990000, 'UTF8', () => Promise.resolve())), { code: 'SCRATCH_SERVER', message: 'the server for the proof did not start: could not map anonymous shared memory: Cannot allocate memory' });
});

t.test('into a database that is named', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a AS SELECT generate_series(1, 100) AS n');
    t.match(await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--prove', source], { DATABASE_URL: source }), { code: 1, stderr: /DATABASE_NOT_EMPTY/ }, 'never into one that is not empty');
    t.match(await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--prove', target], { DATABASE_URL: source }), { code: 0, stdout: /restored and compared/ });
    t.strictSame(await query(target, 'SELECT count(*)::int AS n FROM a'), [{ n: 100 }]);
  })));
});

t.test('any difference is found', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, await readFile(AWKWARD, 'utf8'));
    const { location } = await backUp(source, place);
    const signal = new AbortController().signal;
    const { contents } = await openBackup(await findBackup(location, process.env), { identityFile: place.identityFile }, signal);
    await withEmptyDatabase(async (target) => {
      await restore(location, place, target);
      await query(target, 'DROP PUBLICATION everything');
      const proof = (): Promise<unknown> => prove(contents, connectionSettings(target, {}), 2, signal);
      t.match(await proof(), { tables: contents.tables.length });
      for (const [change, what, undo] of [
        ['UPDATE zulip.every_type SET double = 0.0 WHERE id = 3', 'zulip.every_type: other values', `UPDATE zulip.every_type SET double = '-0'::float8 WHERE id = 3`],
        ['DELETE FROM zulip.no_columns WHERE ctid = (SELECT min(ctid) FROM zulip.no_columns)', 'zulip.no_columns: 2 rows instead of 3', 'INSERT INTO zulip.no_columns DEFAULT VALUES'],
        [`UPDATE zulip.by_enum SET note = 'x' WHERE m = 'sad' AND n = 1`, 'zulip.by_enum: other values', `UPDATE zulip.by_enum SET note = 'note' WHERE m = 'sad' AND n = 1`],
        [`UPDATE zulip.own_types SET label = 'mixed' WHERE label <> ''`, 'zulip.own_types: other values', `UPDATE zulip.own_types SET label = 'MiXed' WHERE label <> ''`],
        [`SELECT lo_put(4200000003, 7, '\\x00')`, 'large objects: other values', `SELECT lo_put(4200000003, 7, '\\xab')`],
        [`SELECT setval('zulip.unused', 6, false)`, 'sequence zulip.unused: another value', `SELECT setval('zulip.unused', 5, false)`],
      ] as const) {
        await query(target, change);
        const error = await failure(proof());
        t.match(error, { code: 'PROOF_FAILED', exit: 1 }, change);
        t.equal(error.message, `the restored database differs from its source: ${what}`);
        await query(target, undo);
      }
      t.match(await proof(), { tables: contents.tables.length }, 'and all is well again');
    });
  }));
});
