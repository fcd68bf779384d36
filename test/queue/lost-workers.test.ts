// What becomes of an export when its workers are killed, frozen or cut off in the midst of a segment, or when it is itself.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { sessionsLeft, withBlockedExport, type BlockedExport } from '../export/blocked-export.js';
import { runExport, startExport, type Ended } from '../export/export-process.js';
import { query, withGrownDatabase } from '../export/grown-database.js';
import { exported } from '../export/killed-export.js';
import { differingPaths } from '../export/same-tree.js';
import { FaultyConnection } from '../snapshot/faulty-connection.js';
import { LONG } from '../testbed/long-tests.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { startWorker, untilSaid, withWorkers, type WorkerProcess } from './worker-process.js';

/** Seconds. */
const TIMEOUT = 3;

/** Only a coordinator holds an advisory lock. */
const CUT_WORKERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'realmlift queue' AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')";

interface Case {
  readonly output: string;
  /** The first worker, which waits in the midst of a segment. */
  readonly first: WorkerProcess;
  /** Starts others. @param count one, unless told */
  readonly others: (count?: number) => Promise<readonly WorkerProcess[]>;
  readonly run: BlockedExport;
}

t.test('an export whose workers are lost', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase((url) => withEmptyDatabase(async (queue) => {
    const alone = await exported(t, url, join(root, 'alone'));
    /** Whether the work of the first worker is another's, or waits for one: the others may all be waiting in segments of their own. */
    const again = async (): Promise<boolean> => ((await query(queue, "SELECT FROM realmlift_jobs.job WHERE name NOT LIKE 'files-%' AND (state = 'retry' OR retry_count > 0)")).rowCount ?? 0) > 0;
    const untilAgain = async (): Promise<void> => {
      for (let tries = 0; !(await again()); tries++) {
        if (tries > 600) throw new Error('nobody took the work again');
        await sleep(50);
      }
    };
    const whole = (t: Test, output: string, { code, stderr }: Ended): void => {
      t.equal(code, 0, stderr);
      t.same(differingPaths(alone, join(output, 'acme')), [], 'the same bytes');
      t.notOk(existsSync(join(output, 'acme', '.realmlift')), 'and nothing of the attempts');
    };
    const withFirst = async (name: string, work: (given: Case) => Promise<void>, ...words: string[]): Promise<{ ended: Ended; output: string }> => {
      const output = join(root, name);
      return withWorkers(1, url, queue, async ([first]) => {
        const others: WorkerProcess[] = [];
        try {
          const ended = await withBlockedExport(url, output, ['--queue', queue, '--worker-timeout', `${TIMEOUT}s`, ...words], (run) => work({
            output, first: first as WorkerProcess, run,
            others: async (count = 1) => {
              others.push(...await Promise.all(Array.from({ length: count }, () => startWorker(url, queue))));
              await Promise.all(others.map((worker) => untilSaid(worker, /takes part/)));
              return others;
            },
          }));
          return { ended, output };
        } finally {
          await Promise.all(others.map((worker) => worker.kill()));
        }
      });
    };

    await t.test('of which one is killed: the others do its work', async (t) => {
      const { ended, output } = await withFirst('killed', async ({ first, others, run }) => {
        await others();
        await first.kill();
        await untilAgain();
        await run.unblock();
      });
      whole(t, output, ended);
    });

    // Of all realms at once, below, one is frozen too.
    if (LONG) await t.test('of which one is frozen and wakes up when another has its work: what it made does not count', async (t) => {
      const { ended, output } = await withFirst('frozen', async ({ first, others, run }) => {
        first.process.kill('SIGSTOP');
        await others();
        await untilAgain();
        await run.unblock();
        first.process.kill('SIGCONT');
      });
      whole(t, output, ended);
    });

    await t.test('of all realms at once, each table read once: of the workers one is killed, one frozen until another has its work', async (t) => {
      const all = join(root, 'all-alone');
      t.match(await runExport(url, all, '--all-realms'), { code: 0 });
      const { ended, output } = await withFirst('all', async ({ output, first, others, run }) => {
        t.ok(existsSync(join(output, '.realmlift', '.realmlift', 'attempts')), 'workers write for all realms together');
        first.process.kill('SIGSTOP');
        const [second] = await others(2);
        await untilAgain();
        await second?.kill();
        await run.unblock();
        first.process.kill('SIGCONT');
      }, '--all-realms');
      t.equal(ended.code, 0, ended.stderr);
      t.notMatch(ended.stderr, /Warning/, 'Node has nothing to complain of');
      const realms = readdirSync(all).filter((name) => existsSync(join(all, name, 'manifest.json')));
      t.ok(realms.length > 1, `${realms.length} realms`);
      for (const realm of realms) t.same(differingPaths(join(all, realm), join(output, realm)), [], `${realm}: the same bytes`);
      t.same(readdirSync(output).sort(), readdirSync(all).sort(), 'and nothing beside them');
    });

    await t.test('of which one is cut off from the queue: it comes back, and its work is done once', async (t) => {
      const { ended, output } = await withFirst('cut', async ({ first, others, run }) => {
        await others();
        await query(queue, CUT_WORKERS);
        await untilSaid(first, /trying again/);
        await untilAgain();
        await run.unblock();
      });
      whole(t, output, ended);
    });

    await t.test('of which one is cut off from the queue while it joins: it joins again, and keeps nothing of its first try', async (t) => {
      const output = join(root, 'joining');
      const source = await FaultyConnection.open(url);
      t.teardown(() => source.close());
      await withWorkers(1, source.url, queue, async ([only]) => {
        const worker = only as WorkerProcess;
        await untilSaid(worker, /waits for runs/);
        let isCut = (): void => undefined;
        const cut = new Promise<void>((resolve) => { isCut = resolve; });
        const joining = new Promise<void>((resolve) => {
          source.onJoin = () => {
            resolve();
            return cut;
          };
        });
        const run = await startExport(url, output, '--queue', queue);
        t.teardown(() => run.process.kill('SIGKILL'));
        await joining;
        await query(queue, CUT_WORKERS);
        await untilSaid(worker, /trying again/);
        isCut();
        await untilSaid(worker, /trying again.*waits for runs.*takes part/s);
        whole(t, output, await run.ended);
        t.equal(await sessionsLeft(url, 10), 0, 'no session in the source');
      });
    });

    await t.test('whose sessions in the source end: the work is done by others', async (t) => {
      const { ended, output } = await withFirst('source', async ({ first, others, run }) => {
        await others();
        await query(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'realmlift worker' AND wait_event_type = 'Lock'");
        await untilSaid(first, /failed here: CONNECTION_LOST/);
        await run.unblock();
      });
      whole(t, output, ended);
    });

    await t.test('that is killed itself goes on with --resume, and what it left in the queue is removed', async (t) => {
      const { output } = await withFirst('coordinator', async ({ first, others, run }) => {
        await others();
        run.process.kill('SIGKILL');
        await run.ended;
        await run.unblock();
        await untilSaid(first, /the run \w+ is not finished, and its coordinator is gone/);
        t.equal((await query(queue, 'SELECT FROM realmlift_queue.run')).rowCount, 1, 'the run is left in the queue');
        await exported(t, url, join(root, 'coordinator'), '--queue', queue, '--resume');
        t.equal((await query(queue, 'SELECT FROM realmlift_queue.run UNION ALL SELECT FROM realmlift_jobs.job')).rowCount, 0, 'nothing is');
      });
      t.same(differingPaths(alone, join(output, 'acme')), [], 'the same bytes');
    });
  }));
});
