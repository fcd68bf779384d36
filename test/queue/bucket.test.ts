// Exports that workers store in a bucket: the same objects as those that one machine stores, whatever becomes of workers and coordinator.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { realmlift } from '../cli/command-line.js';
import { runExport, startExport, type Ended, type ExportProcess } from '../export/export-process.js';
import { query, withGrownDatabase } from '../export/grown-database.js';
import { differingPaths } from '../export/same-tree.js';
import { s3Error, withFaultyProxy } from '../files/faulty-proxy.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { LONG } from '../testbed/long-tests.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { withS3, type S3Server } from '../testbed/s3-server.js';
import { watchQueue } from './seen-in-queue.js';
import { EXPORTS, fetched, keysBelow, makeExportsBucket } from './stored.js';
import { startWorker, untilSaid, withWorkers, type WorkerProcess } from './worker-process.js';

/** What is below the prefix is what was stored by one machine, and all there is. */
async function whole(t: Test, s3: S3Server, alone: string, prefix: string, { code, stderr }: Pick<Ended, 'code' | 'stderr'>): Promise<void> {
  t.equal(code, 0, code === 0 ? 'exported' : stderr);
  const directory = join(alone, '..', prefix);
  await rm(directory, { recursive: true, force: true });
  t.same(differingPaths(alone, await fetched(s3, `${prefix}/acme`, directory)), [], 'the same objects');
  t.same((await keysBelow(s3, prefix)).filter((key) => !key.startsWith('acme/')), [], 'and no others');
}

/** Waits until it holds. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 600) throw new Error(`it never came that ${what}`);
    await sleep(50);
  }
}

t.test('out of buckets of the same server', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/s3', (url) => withS3((s3) => withEmptyDatabase((queue) => {
    /** Whether the server refuses to copy. */
    let refuses = false;
    return withFaultyProxy(s3.endpoint, ({ headers }) => (refuses && headers['x-amz-copy-source'] !== undefined ? s3Error(403, 'AccessDenied') : undefined), async ({ endpoint, seen: requests }) => {
      await makeExportsBucket(s3);
      const env = { ...s3.environment, S3_ENDPOINT: endpoint, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'], DATABASE_URL: url };
      const words = (prefix: string): string[] => ['export', '--realm', 'acme', '--random-seed', 'test', '--quiet', '--no-verify', '--orphans', 'copy', '--output', `s3://${EXPORTS}/${prefix}`];
      t.match(await realmlift([...words('alone'), '--realm', 'globex'], { env }), { code: 0, stderr: '' });
      const alone = join(await fetched(s3, 'alone', join(root, 'alone')), 'acme');
      await withWorkers(2, url, queue, async (workers) => {
        await Promise.all(workers.map((worker) => untilSaid(worker, /waits for runs/)));
        const watched = await watchQueue(queue);
        const stored = async (how: 'copied' | 'read' | 'refused', prefix: string, ...more: string[]): Promise<void> => {
          s3.store.tellsDigests = how === 'copied';
          refuses = how === 'refused';
          const before = s3.store.copied;
          await whole(t, s3, alone, prefix, await realmlift([...words(prefix), '--queue', queue, ...more], { env }));
          t.same(await s3.store.listUploads(EXPORTS), [], 'nothing is pending');
          t.equal(s3.store.copied > before, how !== 'refused', 'the server copies the files, if it may');
        };
        await stored('copied', 'copied');
        const { Metadata } = await s3.client.send(new HeadObjectCommand({ Bucket: EXPORTS, Key: `copied/acme/${(await keysBelow(s3, 'copied/acme')).find((key) => key.startsWith('uploads/') && !key.endsWith('.json')) ?? ''}` }));
        t.same(Metadata, {}, 'without the metadata of the source');
        const again = await realmlift([...words('copied'), '--queue', queue], { env });
        t.match(again, { code: 1, stderr: /^realmlift: UPLOAD_EXISTS .*--overwrite/ });
        await stored('read', 'copied', '--overwrite');
        await stored('refused', 'refused');
        for (const more of [['--tarball'], ['--subdomain', 'other']]) t.match(await realmlift([...words('no'), '--queue', queue, ...more], { env }), { code: 2, stderr: /workers store/ }, more.join(' '));
        const before = requests.length;
        const told = words('several').filter((word) => word !== '--quiet');
        const several = await realmlift([...told, '--realm', 'globex', '--queue', queue, '--sse', 'aws:kms', '--sse-kms-key-id', 'a-key'], { env });
        t.equal(several.code, 0, several.stderr);
        t.match(several.stderr, /realms go into the bucket one by one/, 'it is told what that costs');
        t.match(several.stderr, /stored by workers: \d+ objects, each of which the bucket lists/);
        await fetched(s3, 'several', join(root, 'several'));
        for (const realm of ['acme', 'globex']) t.same(differingPaths(join(root, 'alone', realm), join(root, 'several', realm)), [], `${realm}: the same objects`);
        t.ok((await keysBelow(s3, 'several')).includes('manifest.json'), 'and what binds them');
        const begun = requests.slice(before).filter(({ method, path }) => path.startsWith(`/${EXPORTS}/several/`) && (method === 'PUT' ? !path.includes('uploadId=') : method === 'POST' && path.includes('?uploads')));
        t.ok(begun.length > 60, `${begun.length} objects`);
        t.same(begun.filter(({ headers }) => headers['x-amz-server-side-encryption'] !== 'aws:kms' || headers['x-amz-server-side-encryption-aws-kms-key-id'] !== 'a-key').map(({ path }) => path), [], 'each is encrypted as it was asked for');
        const { text } = await watched();
        t.ok(text.includes(EXPORTS) && text.includes('zulip-uploads'), 'the queue names places');
        for (const secret of [s3.environment.AWS_SECRET_ACCESS_KEY ?? '', new URL(url).password, env.ZULIP_AVATAR_SALT]) t.notOk(text.includes(secret), 'and nothing that opens them');
      }, ['--s3'], env);
    });
  })));
});

t.test('of which machines are lost', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase((url) => withS3((s3) => withEmptyDatabase(async (queue) => {
    await makeExportsBucket(s3);
    Object.assign(process.env, s3.environment);
    const output = (prefix: string): string => `s3://${EXPORTS}/${prefix}`;
    t.equal((await runExport(url, output('alone'))).code, 0);
    const alone = await fetched(s3, 'alone/acme', join(root, 'alone'));
    const jobs = async (condition: string): Promise<boolean> => ((await query(queue, `SELECT FROM realmlift_jobs.job WHERE name NOT LIKE 'files-%' AND ${condition}`)).rowCount ?? 0) > 0;
    const again = (): Promise<void> => until('another has the work', () => jobs("(state = 'retry' OR retry_count > 0)"));
    /** An export whose first worker, and then another, cannot store anything. */
    const withThree = async (prefix: string, work: (given: { first: WorkerProcess; others: () => Promise<void>; run: ExportProcess; open: () => void }) => Promise<void>): Promise<void> =>
      withWorkers(1, url, queue, async ([first]) => {
        const others: WorkerProcess[] = [];
        let open = (): void => undefined;
        s3.store.gate = new Promise((resolve) => { open = resolve; });
        const run = await startExport(url, output(prefix), '--queue', queue, '--worker-timeout', '3s');
        try {
          await until('the first stores a messages file', async () => s3.store.waiting > 0 && jobs("state = 'active'"));
          await work({ first: first as WorkerProcess, run, open, others: async () => void others.push(await startWorker(url, queue)) });
        } finally {
          open();
          run.process.kill('SIGKILL');
          await Promise.all(others.map((worker) => worker.kill()));
        }
      });

    if (LONG) await t.test('a worker is killed', async (t) => {
      await withThree('killed', async ({ first, others, run, open }) => {
        await others();
        await first.kill();
        await again();
        open();
        await whole(t, s3, alone, 'killed', await run.ended);
      });
      t.same(await s3.store.listUploads(EXPORTS), [], 'nothing is pending');
    });

    await t.test('a worker is frozen, and wakes up when all is over: nothing that it stores can be seen', async (t) => {
      await withThree('frozen', async ({ first, others, run, open }) => {
        first.process.kill('SIGSTOP');
        await others();
        await again();
        open();
        const ended = await run.ended;
        await whole(t, s3, alone, 'frozen', ended);
        first.process.kill('SIGCONT');
        await until('it has left the run', () => Promise.resolve(/the run \w+ is over|trying again/.test(first.said())));
        await whole(t, s3, alone, 'frozen', ended);
        await until('nothing is pending', async () => (await s3.store.listUploads(EXPORTS)).length === 0);
      });
    });

    await t.test('somebody removes an object before the end: the export is not said to be whole, and --resume stores it anew', async (t) => {
      await withThree('changed', async ({ run, open }) => {
        const files = async (): Promise<string[]> => (await keysBelow(s3, 'changed/acme')).filter((key) => key.startsWith('avatars/'));
        await until('a file is stored', async () => (await files()).length > 0);
        const [gone] = await files();
        await s3.client.send(new DeleteObjectCommand({ Bucket: EXPORTS, Key: `changed/acme/${gone ?? ''}` }));
        open();
        const { code, stderr } = await run.ended;
        t.match({ code, stderr }, { code: 1, stderr: /STORED_CHANGED \[files\]: an object that was stored is not there any more, or changed: acme\/avatars\/.*--resume/ });
        t.notOk((await keysBelow(s3, 'changed/acme')).includes('manifest.json'), 'no manifest');
        const resumed = await runExport(url, output('changed'), '--queue', queue, '--resume');
        await whole(t, s3, alone, 'changed', resumed);
        t.equal(resumed.stderr, '', 'messages files are taken over');
      });
    });

    await t.test('the coordinator is killed, and another goes on with what was stored', async (t) => {
      await withThree('resumed', async ({ others, run, open }) => {
        await others();
        await until('its journal tells of files', async () => {
          const journals = (await keysBelow(s3, 'resumed/acme')).filter((key) => key.startsWith('.realmlift/'));
          const texts = await Promise.all(journals.map(async (key) => (await s3.client.send(new GetObjectCommand({ Bucket: EXPORTS, Key: `resumed/acme/${key}` }))).Body?.transformToString()));
          return texts.join('').includes('"kind":"file"');
        });
        run.process.kill('SIGKILL');
        await run.ended;
        open();
        const anew = await runExport(url, output('resumed'), '--queue', queue);
        t.match(anew, { code: 1, stderr: /UPLOAD_EXISTS/ }, 'not without --resume');
        const resumed = await runExport(url, output('resumed'), '--queue', queue, '--resume', '--json');
        await whole(t, s3, alone, 'resumed', resumed);
        t.match(resumed.stderr, /"kind":"file".*"resumed":true/, 'files are taken over');
        t.same(await s3.store.listUploads(EXPORTS), [], 'nothing is pending');
      });
    });
  })));
});
