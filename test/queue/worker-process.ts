/** `realmlift worker` as a process of its own, which a test may kill or freeze at any moment. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { CLI } from '../testbed/tested-cli.js';


export interface WorkerProcess {
  readonly process: ChildProcess;
  /** What it has said so far. */
  readonly said: () => string;
  readonly ended: Promise<number | null>;
  /** Kills it, if it still runs. */
  kill(): Promise<void>;
}

/** Starts a worker with one thread for rows. @param environment beside the usual settings, undefined to leave one out */
export async function startWorker(source: string, queue: string, words: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<WorkerProcess> {
  const files = words.includes('--s3') ? [] : ['--uploads-dir', await uploadsDirectory('zulip-11/local')];
  const child = spawn(process.execPath, [CLI, 'worker', '--queue', queue, '--jobs', '1', ...files, ...words.filter((word) => word !== '--s3')], {
    env: { ...process.env, DATABASE_URL: source, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'], ...environment }, stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => { said += chunk.toString(); });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return {
    process: child, said: () => said, ended,
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Runs `work` with so many workers, and kills those that are left. */
export async function withWorkers<T>(count: number, source: string, queue: string, work: (workers: readonly WorkerProcess[]) => Promise<T>, words: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<T> {
  const workers = await Promise.all(Array.from({ length: count }, () => startWorker(source, queue, words, environment)));
  try {
    return await work(workers);
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()));
  }
}

/** Waits until the worker has said something. @throws when it has not after so many milliseconds */
export async function untilSaid({ said }: WorkerProcess, what: RegExp, patience = 30_000): Promise<void> {
  for (let waited = 0; !what.test(said()); waited += 20) {
    if (waited > patience) throw new Error(`it never said ${what.source}, but: ${said()}`);
    await sleep(20);
  }
}
