// Who may take part in a run, what is said of those who may not, and what is wrong with a queue.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import t, { type Test } from 'tap';
import { announceRun } from '../../src/queue/runs/runs.js';
import { DONE_CHANNEL, openQueue } from '../../src/queue/runs/queue-schema.js';
import { QueueSession } from '../../src/queue/runs/queue-session.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { realmlift } from '../cli/command-line.js';
import { runExport, startExport, type Ended } from '../export/export-process.js';
import { query, withGrownDatabase } from '../export/grown-database.js';
import { exported } from '../export/killed-export.js';
import { differingPaths } from '../export/same-tree.js';
import { Canaries, travellingTables } from '../export/canaries.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { BUCKETS, withS3 } from '../testbed/s3-server.js';
import { watchQueue } from './seen-in-queue.js';
import { startWorker, untilSaid, withWorkers } from './worker-process.js';

/** A clock that is a day fast. */
const FAST = `--import=data:text/javascript,${encodeURIComponent('const N=Date.now;Date.now=()=>N()+864e5;')}`;

t.test('who takes part', async (t) => {
  const root = t.testdir({ elsewhere: {} });
  await withGrownDatabase((url) => withEmptyDatabase(async (queue) => {
    const alone = await exported(t, url, join(root, 'alone'));
    const same = (t: Test, output: string, { code, stderr }: Ended): void => {
      t.equal(code, 0, stderr);
      t.same(differingPaths(alone, join(output, 'acme')), [], 'the same bytes');
    };

    await t.test('a worker with another salt, role, database or directory says so, and another does the work', async (t) => {
      const output = join(root, 'refused');
      const name = `other_${process.pid}`;
      await query(url, `CREATE ROLE ${name} LOGIN SUPERUSER PASSWORD '${new URL(url).password}'`);
      const otherRole = new URL(url);
      otherRole.username = name;
      await withTestDatabase('zulip-11/local', async (other) => {
        const workers = await Promise.all([
          startWorker(url, queue, [], { ZULIP_AVATAR_SALT: 'another' }), startWorker(otherRole.href, queue), startWorker(other, queue), startWorker(url, queue, ['--output', join(root, 'elsewhere')]),
        ]);
        try {
          const patient = await startExport(url, join(root, 'patient'), '--queue', queue, '--worker-timeout', '15s');
          let early = '';
          patient.process.stderr?.on('data', (chunk: Buffer) => { early += chunk.toString(); });
          await untilSaid({ ...workers[0], said: () => early }, /no worker takes part yet; .*takes no part: its /);
          t.notMatch(early, /no worker has been there/, 'who has other settings is named long before nobody has come for two timeouts');
          patient.process.kill('SIGKILL');
          await patient.ended;
          const run = await startExport(url, output, '--queue', queue, '--worker-timeout', '2s');
          const reasons = [/its avatar_salt is another/, /names another role/, /leads to another database/, /is not the directory that the run writes to/];
          await Promise.all(workers.map((worker, index) => untilSaid(worker, reasons[index] as RegExp)));
          let said = '';
          run.process.stderr?.on('data', (chunk: Buffer) => { said += chunk.toString(); });
          await untilSaid({ ...workers[0], said: () => said }, /no worker has been there for \d+ s/);
          for (const reason of reasons) t.match(said, reason, 'the run says why nobody takes part');
          t.notMatch(said, AVATAR_SALT['zulip-11/local']);
          workers.push(await startWorker(url, queue));
          same(t, output, await run.ended);
        } finally {
          await Promise.all(workers.map((worker) => worker.kill()));
          await query(url, `DROP ROLE ${name}`);
        }
      });
    });

    await t.test('a worker of another version says so', async (t) => {
      const session = await QueueSession.open(connectionSettings(queue, {}), DONE_CHANNEL, () => undefined);
      const expected = { version: '0.0.1', database: '', server: '', role: '', salt: null, files: '', output: root, bucket: null, probe: { file: '', digest: '' }, snapshot: { id: '', held: [] }, silence: 2 };
      await openQueue(session);
      await announceRun(session, 'another-version', expected);
      await withWorkers(1, url, queue, async ([worker]) => {
        await untilSaid(worker as NonNullable<typeof worker>, /takes no part in the run another-: it is realmlift \S+, and the run is made by 0\.0\.1/);
        const told = async (): Promise<number> => (await query(queue, "SELECT FROM realmlift_queue.worker WHERE refused LIKE 'it is realmlift%'")).rowCount ?? 0;
        for (let tries = 0; tries < 500 && (await told()) === 0; tries++) await sleep(20);
        t.equal(await told(), 1, 'and the run is told');
      });
      await session.close();
    });

    await t.test('two runs over one queue, also by a worker whose clock is a day fast, are the same bytes', async (t) => {
      const workers = await Promise.all([startWorker(url, queue, ['--one-run'], { NODE_OPTIONS: FAST }), startWorker(url, queue)]);
      try {
        const [first, second, all] = await Promise.all([
          runExport(url, join(root, 'first'), '--queue', queue), runExport(url, join(root, 'second'), '--queue', queue, '--no-avatars'), runExport(url, join(root, 'all'), '--realm', 'acme', '--realm', 'globex', '--queue', queue),
        ]);
        same(t, join(root, 'first'), first);
        t.equal(second.code, 0, second.stderr);
        t.equal(all.code, 0, all.stderr);
        t.match(first.stderr + second.stderr, /^$|the queue held a run/, 'nothing is said but of the run before');
        t.same(differingPaths(alone, join(root, 'all', 'acme')), [], 'also beside another realm');
        t.equal(await workers[0].ended, 0, '--one-run ends with its run');
      } finally {
        await Promise.all(workers.map((worker) => worker.kill()));
      }
    });

    await t.test('a segment that fails everywhere fails its realm by name, with the error of the last try', async (t) => {
      await query(url, "UPDATE zerver_message SET date_sent = 'infinity' WHERE realm_id = (SELECT id FROM zerver_realm WHERE string_id = 'globex')");
      await withWorkers(2, url, queue, async (workers) => {
        const { code, stderr } = await runExport(url, join(root, 'broken'), '--realm', 'acme', '--realm', 'globex', '--queue', queue);
        t.equal(code, 1);
        t.match(stderr, /globex.*TIMESTAMP_NOT_JSON/s);
        t.notMatch(stderr, /acme.*TIMESTAMP_NOT_JSON|infinity/);
        t.same(differingPaths(alone, join(root, 'broken', 'acme')), [], 'the other realm is there');
        const single = await runExport(url, join(root, 'single'), '--realm', 'globex', '--queue', queue);
        t.match(single, { code: 1, stderr: /TIMESTAMP_NOT_JSON/ });
        for (const worker of workers) t.match(worker.said(), /failed here: TIMESTAMP_NOT_JSON/, 'each has tried');
      });
    });
  }));
});

t.test('files out of buckets are fetched by workers', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/s3', (url) => withS3((s3) => withEmptyDatabase(async (queue) => {
    const env = { ...s3.environment, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'], DATABASE_URL: url };
    const words = ['export', '--realm', 'acme', '--random-seed', 'test', '--quiet', '--output'];
    t.match(await realmlift([...words, join(root, 'alone')], { env }), { code: 0 });
    const workers = await Promise.all([startWorker(url, queue, ['--s3'], env), startWorker(url, queue, ['--s3'], { ...env, S3_UPLOADS_BUCKET: BUCKETS.avatars })]);
    try {
      const { code, stderr } = await realmlift([...words, join(root, 'together'), '--queue', queue], { env });
      t.equal(code, 0, stderr);
      t.same(differingPaths(join(root, 'alone', 'acme'), join(root, 'together', 'acme')), [], 'the same bytes');
      t.match(workers[1].said(), /its files are those of the buckets zulip-avatars and zulip-avatars/, 'a worker with other buckets takes no part');
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
    }
  })));
});

t.test('no row and no secret comes into the queue', async (t) => {
  await withTestDatabase('zulip-11/local', (url) => withEmptyDatabase(async (queue) => {
    const canaries = new Canaries();
    await canaries.plant(url, await travellingTables('zulip-11/local'));
    const root = t.testdir({});
    const uploads = join(root, 'uploads');
    mkdirSync(uploads);
    await canaries.plantFiles('zulip-11/local', uploads);
    let seen: Awaited<ReturnType<typeof watchQueue>> | undefined;
    await withWorkers(2, url, queue, async (workers) => {
      await Promise.all(workers.map((worker) => untilSaid(worker, /waits for runs/)));
      seen = await watchQueue(queue);
      for (const words of [['--mode', 'full'], ['--mode', 'consent', '--force']]) {
        const { code, stderr } = await runExport(url, join(root, words[1] as string), ...words, '--uploads-dir', uploads, '--queue', queue);
        t.equal(code, 0, stderr);
      }
    }, ['--uploads-dir', uploads]);
    const { text, count } = await (seen as NonNullable<typeof seen>)();
    t.ok(count > 50, `enough was seen (${count})`);
    t.ok(text.includes('""kind"": ""messages""'), 'also segments of messages');
    t.same([...canaries.in(text)].map(({ place }) => place), [], 'nothing that was planted');
    t.notOk(text.includes(AVATAR_SALT['zulip-11/local']), 'no salt');
    t.notOk(text.includes(new URL(url).password), 'no password');
  }));
});

t.test('a queue that cannot be used', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    const refused = async (queue: string, expected: RegExp, exit: number): Promise<void> => {
      const { code, stderr } = await runExport(url, join(root, 'out'), '--queue', queue);
      t.match(stderr, expected);
      t.equal(stderr.trimEnd().split('\n').length, 1, 'one line');
      t.equal(code, exit);
    };
    await refused('postgresql://nobody@127.0.0.1:1/queue', /^realmlift: QUEUE_UNREACHABLE \[queue\]: .*--queue/, 1);
    await refused(url, /^realmlift: QUEUE_IN_SOURCE \[queue\]: .*CREATE DATABASE/, 2);
    const working = await realmlift(['worker', '--queue', url, '--uploads-dir', root], { env: { DATABASE_URL: url } });
    t.match({ code: working.code, stderr: working.stderr }, { code: 2, stderr: /^realmlift: QUEUE_IN_SOURCE \[queue\]: / });
    t.equal((await query(url, "SELECT FROM pg_namespace WHERE nspname LIKE 'realmlift%'")).rowCount, 0, 'and nothing was made in it');
    await withEmptyDatabase(async (queue) => {
      await withWorkers(1, url, queue, async ([worker]) => untilSaid(worker as NonNullable<typeof worker>, /waits for runs/));
      await query(queue, 'UPDATE realmlift_jobs.version SET version = version + 1');
      await refused(queue, /^realmlift: QUEUE_VERSION \[queue\]: .*layout 25.*needs 24/, 1);
      const { code, stderr } = await realmlift(['worker', '--queue', queue, '--uploads-dir', root], { env: { DATABASE_URL: url } });
      t.match({ code, stderr }, { code: 1, stderr: /^realmlift: QUEUE_VERSION/ });
    });
    const bucket = await realmlift(['worker', '--queue', url, '--output', 's3://exports/x'], { env: { DATABASE_URL: url } });
    t.match({ code: bucket.code, stderr: bucket.stderr }, { code: 2, stderr: /^realmlift: USAGE .*--output of a worker is a directory/ });
    const unsaid = await realmlift(['worker', '--uploads-dir', root], { env: { DATABASE_URL: url } });
    t.match({ code: unsaid.code, stderr: unsaid.stderr }, { code: 2, stderr: /^realmlift: USAGE .*--queue URL, or QUEUE_URL/ });
    for (const words of [['export', '--realm', 'acme', '--uploads-dir', root, '--output', join(root, 'out')], ['backup', '--to', join(root, 'backups'), '--recipient', await identityToRecipient(await generateX25519Identity())]]) {
      t.match(await realmlift([...words, '--queue'], { env: { DATABASE_URL: url } }), { code: 2, stderr: /^realmlift: USAGE .*--queue URL, or QUEUE_URL/ });
      t.match(await realmlift([...words, '--queue'], { env: { DATABASE_URL: url, QUEUE_URL: 'nonsense://' } }), { code: 2, stderr: /CONNECTION_STRING.*look at QUEUE_URL/ });
    }
  });
});

/** Says at the end whether pg-boss was loaded: as a package, or as a part of the bundle, in which each file is named. */
const LOADED = `--import=data:text/javascript,${encodeURIComponent(`
import { createRequire } from 'node:module';
const require = createRequire('file:///x');
const fs = require('node:fs');
const { readFileSync } = fs;
let loaded = false;
fs.readFileSync = (...given) => {
  const read = readFileSync(...given);
  loaded ||= typeof read === 'string' && read.includes('"node_modules/pg-boss/');
  return read;
};
process.on('exit', () => { if (loaded || Object.keys(require.cache).some((path) => path.includes('pg-boss'))) process.stderr.write('pg-boss was loaded'); });`)}`;

t.test('nothing of the queue is loaded where there is none', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    const words = ['export', '--realm', 'acme', '--no-avatars', '--uploads-dir', await uploadsDirectory('zulip-11/local'), '--quiet', '--output'];
    const without = await realmlift([...words, join(root, 'without')], { env: { DATABASE_URL: url, NODE_OPTIONS: LOADED } });
    t.match({ code: without.code, stderr: without.stderr }, { code: 0, stderr: '' });
    const queued = await realmlift([...words, join(root, 'with'), '--queue', url], { env: { DATABASE_URL: url, NODE_OPTIONS: LOADED } });
    t.match({ code: queued.code, stderr: queued.stderr }, { code: 2, stderr: /pg-boss was loaded/ });
  });
});
