/** Worker threads that take tasks from one queue; each has the next task already when it ends one. */
import { Worker } from 'node:worker_threads';
import { RealmliftError } from '../errors.js';
import type { TaskMessage, TaskName, TaskReply, Tasks } from './worker-tasks.js';

interface Waiting {
  message: TaskMessage;
  resolve: (result: never) => void;
  reject: (error: Error) => void;
}

/** Tasks at one worker: one that it works on and one that waits there, so that it is never idle for a turn of our loop. */
const TASKS_PER_WORKER = 2;

class PooledWorker {
  readonly thread: Worker;
  readonly pending: Waiting[] = [];

  constructor(fds: number[], freed: () => void) {
    this.thread = new Worker(new URL('./verify-worker.js', import.meta.url), { workerData: { fds } });
    this.thread.on('message', (reply: TaskReply) => {
      const waiting = this.pending.shift();
      if (waiting === undefined) return;
      if ('result' in reply) waiting.resolve(reply.result as never);
      else waiting.reject(failed(reply.failure.message, reply.failure));
      freed();
    });
    this.thread.on('error', (error) => { this.#fail(failed(error.message, { stack: error.stack })); });
    this.thread.on('exit', () => { this.#fail(failed('a worker ended before its work', {})); });
  }

  send(waiting: Waiting): void {
    this.pending.push(waiting);
    this.thread.postMessage(waiting.message);
  }

  #fail(error: Error): void {
    for (const waiting of this.pending.splice(0)) waiting.reject(error);
  }
}

/** A file that cannot be read (EACCES, EIO, …) ends verify: what it could not look at it cannot vouch for. */
function failed(message: string, { code, stack }: { code?: string | undefined; stack?: string | undefined }): RealmliftError {
  return new RealmliftError(code !== undefined && /^E[A-Z0-9]+$/.test(code) ? 'VERIFY_READ' : 'VERIFY_FAILED', 'verify', message, { cause: stack });
}

export class WorkerPool {
  readonly #workers: PooledWorker[];
  readonly #queue: Waiting[] = [];

  private constructor(fds: number[][]) {
    this.#workers = fds.map((ofOne) => new PooledWorker(ofOne, () => { this.#feed(); }));
  }

  /** One worker for each element of `fds`, which are the files that it may write to. The workers end with `use`. */
  static async with<T>(fds: number[][], use: (pool: WorkerPool) => Promise<T>): Promise<T> {
    const pool = new WorkerPool(fds);
    try {
      return await use(pool);
    } finally {
      await Promise.all(pool.#workers.map(({ thread }) => thread.terminate()));
    }
  }

  /** How many tasks can be under way at once. */
  get capacity(): number {
    return this.#workers.length * TASKS_PER_WORKER;
  }

  /**
   * Has any worker do the task.
   *
   * @throws RealmliftError `VERIFY_READ` when a file cannot be read, `VERIFY_FAILED` otherwise.
   */
  run<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result']> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ message: { name, arguments: given }, resolve, reject });
      this.#feed();
    });
  }

  /** Has every worker do the task, after those that it has already. */
  runOnAll<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result'][]> {
    return Promise.all(this.#workers.map((worker) => new Promise<Tasks[Name]['result']>((resolve, reject) => {
      worker.send({ message: { name, arguments: given }, resolve, reject });
    })));
  }

  #feed(): void {
    for (;;) {
      const worker = this.#workers.reduce((a, b) => (b.pending.length < a.pending.length ? b : a));
      if (worker.pending.length >= TASKS_PER_WORKER) return;
      const waiting = this.#queue.shift();
      if (waiting === undefined) return;
      worker.send(waiting);
    }
  }
}
