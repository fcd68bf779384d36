// Backups by workers: the same parts as by one machine, whatever becomes of the workers.
import { readdir, readFile, writeFile, mkdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { findBackup, openBackup, type OpenBackup } from '../../src/backup/contents/find-backup.js';
import { isBackupName } from '../../src/backup/contents/part-names.js';
import { verifyBackup } from '../../src/backup/verify-backup.js';
import { withBlocked, type BlockedExport } from '../export/blocked-export.js';
import type { Ended } from '../export/export-process.js';
import { query as ask, withGrownDatabase } from '../export/grown-database.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { LONG } from '../testbed/long-tests.js';
import { withS3 } from '../testbed/s3-server.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { realmlift, start, type Finished } from '../backup/command-line.js';
import { NEEDS_PG_DUMP, backUp, dump, restore, withPlace, type Place } from '../backup/test-backup.js';
import { watchQueue } from './seen-in-queue.js';
import { startWorker, untilSaid, withWorkers, type WorkerProcess } from './worker-process.js';

/** Seconds. */
const TIMEOUT = 3;

/** What a backup holds, without what differs each time: the bytes of parts, which are encrypted anew, and when it was taken. */
async function holds(location: string, { identityFile }: Pick<Place, 'identityFile'>): Promise<unknown> {
  const { contents } = await opened(location, identityFile);
  const { tables, sequences, largeObjects, schema, source, files, parts } = contents;
  return { tables, sequences, largeObjects, schema, source, files, parts: parts.map(({ name }) => name) };
}

async function opened(location: string, identityFile: string, env: NodeJS.ProcessEnv = process.env): Promise<OpenBackup> {
  return openBackup(await findBackup(location, env), { identityFile }, new AbortController().signal);
}

/** All that lies in the newest backup. */
async function objectsOf(to: string): Promise<string[]> {
  const name = (await readdir(to)).filter(isBackupName).sort().at(-1) ?? '';
  return (await readdir(join(to, name), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name: file }) => file).sort();
}

t.test('a backup by workers', NEEDS_PG_DUMP, async (t) => {
  const uploads = await uploadsDirectory('zulip-11/local');
  await withGrownDatabase((url) => withEmptyDatabase((queue) => withPlace(async (place) => {
    const alone = await backUp(url, { ...place, to: join(place.directory, 'alone') }, { uploads: { kind: 'directory', directory: uploads } });
    const expected = await holds(alone.location, place);
    const words = (to: string, ...more: string[]): string[] => ['backup', '--to', to, '--recipient', place.recipient, '--uploads-dir', uploads, '--queue', queue, '--worker-timeout', `${TIMEOUT}s`, '--json', ...more];
    const same = async (t: Test, to: string, { code, stderr }: Pick<Finished, 'code' | 'stderr'>): Promise<void> => {
      t.equal(code, 0, stderr);
      t.strictSame(await holds(to, place), expected, 'the same tables, digests, files and names of parts');
      await t.resolves(verifyBackup(to, process.env, { identityFile: place.identityFile }, 2), 'all parts are whole');
      t.strictSame((await objectsOf(to)).filter((name) => !/\.age$|^backup\.json(\.sha256)?$/.test(name)), [], 'and nothing is beside them');
      t.strictSame((await readdir(to)).filter((name) => !isBackupName(name) && !name.endsWith('.verified.json')), [], 'nor beside the backup');
    };

    await t.test('is restored to the same database, and the queue sees no secret; a worker that sees other files, or another directory, changes nothing', async (t) => {
      const to = join(place.directory, 'others');
      const [elsewhere, stale] = [join(place.directory, 'elsewhere'), join(place.directory, 'stale')];
      await mkdir(elsewhere);
      // The same names, an earlier copy: other bytes of the same number.
      for (const entry of await readdir(uploads, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const from = join(entry.parentPath, entry.name);
        const copy = join(stale, from.slice(uploads.length));
        await mkdir(join(copy, '..'), { recursive: true });
        await writeFile(copy, (await readFile(from)).fill(0));
        await utimes(copy, 1, 1);
      }
      const workers = await Promise.all([startWorker(url, queue, ['--uploads-dir', stale]), startWorker(url, queue, ['--output', elsewhere])]);
      let text = '';
      try {
        await Promise.all(workers.map((worker) => untilSaid(worker, /waits for runs/)));
        const seen = await watchQueue(queue);
        await same(t, to, await realmlift(words(to, '--keep', '3'), { DATABASE_URL: url }));
        ({ text } = await seen());
        t.match(workers[0].said(), /takes part in the run/);
        t.match(workers[1].said(), /takes no part in the run \w+: .*elsewhere is not where the run writes/);
      } finally {
        await Promise.all(workers.map((worker) => worker.kill()));
      }
      t.ok(text.includes('zerver_usermessage') && text.includes(place.recipient), 'pieces were seen, and for whom they are');
      t.notOk(text.includes(new URL(url).password), 'no password');
      t.notOk(text.includes('AGE-SECRET-KEY'), 'no secret key');
      const { rows: [row] } = await ask(url, "SELECT content FROM zulip.zerver_message WHERE length(content) > 20 LIMIT 1");
      t.notOk(text.includes(row?.content as string), 'no row');
      await withEmptyDatabase(async (target) => {
        await restore(to, place, target);
        t.equal(await dump(target), await dump(url), 'pg_dump says the same of both');
      });
    });

    await t.test('under a passphrase, proved: neither leaves the machine that runs it; and one of which a part fails everywhere', async (t) => {
      const to = join(place.directory, 'passphrase');
      const passphraseFile = join(place.directory, 'passphrase.txt');
      await writeFile(passphraseFile, 'correct horse\n', { mode: 0o600 });
      await withEmptyDatabase((proof) => withWorkers(2, url, queue, async (workers) => {
        await Promise.all(workers.map((worker) => untilSaid(worker, /waits for runs/)));
        const seen = await watchQueue(queue);
        const { code, stderr } = await realmlift(['backup', '--to', to, '--passphrase-file', passphraseFile, '--queue', queue, '--prove', proof, '--json'], { DATABASE_URL: url });
        t.equal(code, 0, stderr);
        await t.resolves(verifyBackup(to, process.env, { passphraseFile }, 2), 'the passphrase opens it');
        for (const worker of workers) t.match(worker.said(), /takes part in the run/);
        t.notMatch(workers.map((worker) => worker.said()).join(''), /correct horse|AGE-SECRET-KEY|failed here/);
        const { text } = await seen();
        t.ok(text.includes('zerver_usermessage') && /age1[0-9a-z]{58}/.test(text), 'pieces were seen, and the key that closes them');
        t.notMatch(text, /correct|horse|AGE-SECRET-KEY|scrypt/i, 'no passphrase, no key that opens them');

        await t.test('nothing is left of it, and the error is that of a worker', async (t) => {
          const fails = join(place.directory, 'fails');
          const bad = (body: string): string => `CREATE OR REPLACE FUNCTION public.bad() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN ${body}; END $$`;
          await ask(url, `CREATE TABLE public.broken AS SELECT 1 AS n; ${bad('RETURN true')}; CREATE INDEX ON public.broken (n) WHERE public.bad()`);
          // Whoever plans a query of the table evaluates the condition of its index.
          await ask(url, bad("RAISE EXCEPTION 'broken on purpose'"));
          const failed = await realmlift(words(fails), { DATABASE_URL: url });
          t.match({ code: failed.code, stderr: failed.stderr }, { code: 1, stderr: /COPY_FAILED.*public\.broken/ });
          t.match(workers.map((worker) => worker.said()).join(''), /failed here: COPY_FAILED/);
          t.strictSame(await readdir(fails), [], 'nothing is there');
          await ask(url, 'DROP TABLE public.broken; DROP FUNCTION public.bad');
        });
      }));
    });

    await t.test('into a bucket', async (t) => withS3(async (s3) => {
      await s3.client.send(new CreateBucketCommand({ Bucket: 'backups' }));
      const to = 's3://backups/zulip';
      await withWorkers(2, url, queue, async (workers) => {
        const { code, stderr } = await realmlift(['backup', '--to', to, '--recipient', place.recipient, '--uploads', '--queue', queue, '--json'], { ...s3.environment, DATABASE_URL: url });
        t.equal(code, 0, stderr);
        for (const worker of workers) t.match(worker.said(), /takes part in the run/);
      }, ['--s3'], s3.environment);
      const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = s3.environment;
      // The SDK looks for them there.
      Object.assign(process.env, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY });
      const together = (await opened(to, place.identityFile, s3.environment)).contents;
      t.strictSame(together.tables, (await opened(alone.location, place.identityFile)).contents.tables, 'the same rows');
      t.ok((together.files?.parts.length ?? 0) > 0, 'and uploaded files');
      await t.resolves(verifyBackup(to, s3.environment, { identityFile: place.identityFile }, 2), 'all parts are whole');
      t.same((await s3.client.send(new ListMultipartUploadsCommand({ Bucket: 'backups' }))).Uploads ?? [], [], 'no upload is left half-way');
    }));

    const withFirst = async (to: string, work: (given: { first: WorkerProcess; others: () => Promise<void>; run: BlockedExport }) => Promise<void>): Promise<Ended> => withWorkers(1, url, queue, async ([first]) => {
      const others: WorkerProcess[] = [];
      const begin = (): Promise<{ process: BlockedExport['process']; ended: Promise<Ended> }> => {
        const { process: child, finished } = start(words(to), { DATABASE_URL: url });
        return Promise.resolve({ process: child, ended: finished });
      };
      try {
        return await withBlocked(url, begin, (run) => work({
          first: first as WorkerProcess, run,
          others: async () => {
            others.push(await startWorker(url, queue));
            await Promise.all(others.map((worker) => untilSaid(worker, /takes part/)));
          },
        }));
      } finally {
        await Promise.all(others.map((worker) => worker.kill()));
      }
    });
    const untilAgain = async (): Promise<void> => {
      for (let tries = 0; ((await ask(queue, "SELECT FROM realmlift_jobs.job WHERE state = 'retry' OR retry_count > 0")).rowCount ?? 0) === 0; tries++) {
        if (tries > 600) throw new Error('nobody took the work again');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };

    await t.test('of which one is killed in the midst of a part: another makes it', async (t) => {
      const to = join(place.directory, 'killed');
      await same(t, to, await withFirst(to, async ({ first, others, run }) => {
        await others();
        await first.kill();
        await untilAgain();
        await run.unblock();
      }));
    });

    if (LONG) await t.test('of which one is frozen and wakes up when another has its part: what it made does not count', async (t) => {
      const to = join(place.directory, 'frozen');
      let woken: WorkerProcess | undefined;
      await same(t, to, await withFirst(to, async ({ first, others, run }) => {
        first.process.kill('SIGSTOP');
        await others();
        await untilAgain();
        await run.unblock();
        first.process.kill('SIGCONT');
        woken = first;
      }));
      t.notMatch(woken?.said(), /PART_NOT_THERE/);
    });

    await t.test('whose coordinator is killed: nothing counts, and the next one clears it away', async (t) => {
      const to = join(place.directory, 'coordinator');
      await withFirst(to, async ({ first, others, run }) => {
        await others();
        run.process.kill('SIGKILL');
        await run.ended;
        await run.unblock();
        await untilSaid(first, /the run \w+ is not finished, and its coordinator is gone/);
        await t.rejects(verifyBackup(to, process.env, {}, 2), { code: 'BACKUP_MISSING' });
        await same(t, to, await realmlift(words(to), { DATABASE_URL: url }));
        t.equal((await ask(queue, 'SELECT FROM realmlift_queue.run UNION ALL SELECT FROM realmlift_jobs.job')).rowCount, 0, 'nothing is left in the queue');
      });
    });
  })));
});
