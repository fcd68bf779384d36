/** Processes that are killed in the midst of their work, and what the next run makes of it. */
import { once } from 'node:events';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { isBackupName } from '../../src/backup/contents/part-names.js';
import { verifyBackup } from '../../src/backup/verify-backup.js';
import { withFaultyProxy } from '../files/faulty-proxy.js';
import { stoppedAtLastCommit } from '../snapshot/faulty-connection.js';
import { withClient } from '../testbed/database-client.js';
import { LONG } from '../testbed/long-tests.js';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { realmlift, start } from './command-line.js';
import { NEEDS_PG_DUMP, backUp, dump, failure, query, restore, withPlace } from './test-backup.js';

t.setTimeout(300_000);

/** Twelve tables: enough for a kill to fall between any two steps. */
const TABLES = Array.from({ length: 12 }, (_, n) => `
  CREATE TABLE t${n} (id integer PRIMARY KEY, body text);
  INSERT INTO t${n} SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 4000) g;
  CREATE INDEX ON t${n} (body)`).join(';');

t.test('a backup that is killed is no backup, and the next one clears it away', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, TABLES);
    const words = ['backup', '--to', place.to, '--recipient', place.recipient, '--json'];
    let killed = 0;
    // From the first file to shortly before the end.
    for (const files of LONG ? [1, 3, 7, 11, 14] : [1, 7]) {
      const running = start(words, { DATABASE_URL: source });
      const gone = once(running.process, 'exit');
      while (running.process.exitCode === null && running.process.signalCode === null && (await parts(place.to)) < files) await sleep(4);
      running.process.kill('SIGKILL');
      await gone;
      const complete = await verifyBackup(place.to, process.env, {}, 2).then(() => true, (error: { code: string }) => {
        t.equal(error.code, 'BACKUP_MISSING', 'what is there does not count as a backup');
        return false;
      });
      if (complete) break;
      killed++;
    }
    t.ok(killed >= 2, `${killed} runs were killed before they were complete`);

    const finished = await realmlift(words, { DATABASE_URL: source });
    t.match(finished, { code: 0 });
    t.match(JSON.parse(finished.stdout), { rows: 48_000 });
    const names = (await readdir(place.to)).filter(isBackupName);
    for (const name of names) t.match(await verifyBackup(`${place.to}/${name}`, process.env, { identityFile: place.identityFile }, 2), { rows: 48_000 }, 'every directory is a complete backup');
  }));
});

async function parts(to: string): Promise<number> {
  const names = await readdir(to, { recursive: true }).catch(() => []);
  const present = names.filter((name) => name.endsWith('.age'));
  // The directory of the run before is still there when the next one begins; it is cleared away first.
  const newest = present.map((name) => name.split('/')[0] as string).sort().at(-1);
  return present.filter((name) => name.startsWith(newest ?? '')).length;
}

t.test('a restore that is killed says that it is unfinished, and goes on', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, TABLES);
    const { location } = await backUp(source, place);
    const words = ['restore', location, '--identity', place.identityFile, '--database-url', target, '--json'];
    let killed = 0;
    // 1 step for the schema, 12 for rows, 1 for sequences, 24 for indexes.
    for (const steps of LONG ? [0, 1, 5, 13, 15] : [5, 15]) {
      const running = start(words, {});
      const gone = once(running.process, 'exit');
      await withClient(target, async (client) => {
        const done = async (): Promise<number> => {
          const { rows } = await client.query<{ n: number }>('SELECT count(*)::int AS n FROM realmlift_restore.done').catch(() => ({ rows: [] }));
          return rows[0]?.n ?? -1;
        };
        while (running.process.exitCode === null && (await done()) < steps) await sleep(4);
        running.process.kill('SIGKILL');
        await gone;
        if ((await client.query(`SELECT FROM pg_namespace WHERE nspname = 'realmlift_restore'`)).rowCount === 1) killed++;
        // The server notices at its own pace that the other client is gone.
        while (((await client.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'realmlift%'`)).rowCount ?? 0) > 0) await sleep(20);
      });
    }
    t.equal(killed, LONG ? 5 : 2, 'each left an unfinished database');

    await withPlace(async (other) => {
      const { location: second } = await backUp(source, other);
      t.match(await failure(restore(second, other, target)), { code: 'RESTORE_OF_ANOTHER' }, 'another backup is not mixed in');
    });
    const finished = await realmlift(words, {});
    t.match(finished, { code: 0 }, finished.stderr);
    t.ok((JSON.parse(finished.stdout) as { resumed: number }).resumed > 0);
    t.equal(await dump(target), (await dump(source)), 'equal, rows in their order: each table is one part here');
    t.match(await failure(restore(location, place, target)), { code: 'DATABASE_NOT_EMPTY' }, 'once finished it is not begun again');
  })));
});

t.test('a restore that is stopped while the server commits its last step is complete', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE t AS SELECT 1 AS a');
    const { location } = await backUp(source, place);
    t.match(await stoppedAtLastCommit(target, 'realmlift_restore', (url, stop) => restore(location, place, url, { jobs: 1 }, stop)), { tables: 1, rows: 1 });
    t.equal(await dump(target), await dump(source));
  })));
});

t.test('the server goes away in the midst of a backup', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, TABLES);
    const running = start(['backup', '--to', place.to, '--recipient', place.recipient], { DATABASE_URL: source });
    while ((await parts(place.to)) < 3) await sleep(2);
    await query(source, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'realmlift snapshot'`);
    const { code, stderr } = await running.finished;
    t.equal(code, 1);
    t.match(stderr, /^realmlift: (SNAPSHOT_LOST|CONNECTION_LOST) /);
    t.strictSame(await readdir(place.to), [], 'nothing is left behind');
  }));
});

t.test('two runs at one target', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, TABLES);
    const words = ['backup', '--to', place.to, '--recipient', place.recipient];
    const first = start(words, { DATABASE_URL: source });
    while ((await parts(place.to)) < 1) await sleep(2);
    first.process.kill('SIGSTOP');
    t.match(await realmlift(words, { DATABASE_URL: source }), { code: 1, stderr: /BACKUP_RUNNING.*process \d+ on / });
    first.process.kill('SIGCONT');
    t.match(await first.finished, { code: 0 });
    t.match(await backUp(source, place), { rows: 48_000 }, 'and after it the lock is free');
  }));
});

t.test('a backup that was taken for dead, or that lost a part, does not become one', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase(async (source) => {
    await query(source, TABLES);
    const another = JSON.stringify({ id: 'another', host: 'elsewhere.example', pid: 1, renewedAt: new Date().toISOString() });
    for (const [what, change, code] of [
      ['another run is at work', (lock: string) => writeFile(lock, another), 'BACKUP_OVERTAKEN'],
      ['another run was at work', (lock: string) => rm(lock), 'BACKUP_OVERTAKEN'],
      ['a part is gone', () => Promise.resolve(), 'PART_NOT_THERE'],
    ] as const) {
      await withPlace(async (place) => {
        const running = start(['backup', '--to', place.to, '--recipient', place.recipient], { DATABASE_URL: source });
        while ((await parts(place.to)) < 3) await sleep(2);
        running.process.kill('SIGSTOP');
        for (const name of await readdir(place.to, { recursive: true })) if (name.endsWith('.age')) await rm(join(place.to, name));
        await change(join(place.to, 'lock.json'));
        running.process.kill('SIGCONT');
        t.match(await running.finished, { code: 1, stderr: new RegExp(`^realmlift: ${code} [^\\n]*\\n$`) }, what);
        t.strictSame((await readdir(place.to)).filter(isBackupName), [], 'nothing is left of it');
      });
    }
  });
});

t.test('stopped while the store of backups does not answer', NEEDS_PG_DUMP, async (t) => {
  const server = await startS3();
  let hangs = false;
  try {
    await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace((place) => withFaultyProxy(server.endpoint, () => (hangs ? new Promise<never>(() => undefined) : undefined), async ({ endpoint, seen }) => {
      await query(source, 'CREATE TABLE a (n integer)');
      const env = { DATABASE_URL: source, ...server.environment, S3_ENDPOINT: endpoint };
      const to = `s3://${BUCKETS.uploads}/backups`;
      const backup = ['backup', '--to', to, '--recipient', place.recipient];
      const restoring = ['restore', to, '--identity', place.identityFile, '--database-url', target];
      t.match(await realmlift(backup, env), { code: 0 });
      for (const [words, left] of [[backup, /what is left of the unfinished backup does not count, and the next one removes it/], [restoring, /nothing was written yet/]] as const) {
        hangs = true;
        const before = seen.length;
        const running = start([...words], env);
        while (seen.length === before) await sleep(20);
        running.process.kill('SIGINT');
        t.match(await Promise.race([running.finished, sleep(20_000, 'it waits')]), { code: 130, stderr: left });
        running.process.kill('SIGKILL');
        await running.finished;
        hangs = false;
        t.match(await realmlift([...words], env), { code: 0 }, 'and again');
      }
    }))));
  } finally {
    await server.stop();
  }
});

t.test('a backup that waits for a store of files is stopped at once', NEEDS_PG_DUMP, async (t) => {
  const server = await startS3();
  try {
    await withEmptyDatabase((source) => withPlace(async (place) => {
      await query(source, 'CREATE TABLE a (n integer)');
      await withFaultyProxy(server.endpoint, () => ({ kind: 'hang', after: 0 }), async ({ endpoint, seen }) => {
        const running = start(['backup', '--to', place.to, '--recipient', place.recipient, '--uploads'], { DATABASE_URL: source, ...server.environment, S3_ENDPOINT: endpoint });
        // The files are counted first, and then saved.
        while (seen.length < 2) await sleep(10);
        running.process.kill('SIGINT');
        t.match(await Promise.race([running.finished, sleep(15_000, 'it waits')]), { code: 130, stderr: /STOPPED/ });
        running.process.kill('SIGKILL');
        await running.finished;
      });
    }));
  } finally {
    await server.stop();
  }
});
