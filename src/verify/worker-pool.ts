/**
 * Worker threads that take tasks from one queue; each has the next task already when it ends one. They are started as
 * there is work: a small export on a machine of 64 processors needs two.
 */
import { Worker } from 'node:worker_threads';
import { RealmliftError } from '../errors.js';
import { THREAD_LIMITS } from '../thread-limits.js';
import type { TaskMessage, TaskName, TaskReply, TaskRunner, Tasks } from './worker-tasks.js';

interface Waiting {
  message: TaskMessage;
  resolve: (result: never) => void;
  reject: (error: Error) => void;
}

/** Tasks at one worker: one that it works on and one that waits there, so that it is never idle for a turn of our loop. */
const TASKS_PER_WORKER = 2;
/** While realm.json is indexed by one, another has the time to start. */
const STARTED_AT_ONCE = 2;

class PooledWorker {
  readonly thread: Worker;
  readonly pending: Waiting[] = [];

  constructor(fds: number[], freed: () => void) {
    this.thread = new Worker(new URL('./verify-worker.js', import.meta.url), { workerData: { fds }, resourceLimits: THREAD_LIMITS });
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
export function failed(message: string, { code, stack }: { code?: string | undefined; stack?: string | undefined }): RealmliftError {
  return new RealmliftError(code !== undefined && /^E[A-Z0-9]+$/.test(code) ? 'VERIFY_READ' : 'VERIFY_FAILED', 'verify', message, {
    cause: stack, hint: code === 'ENOSPC' ? 'ids are sorted in temporary files: set TMPDIR to a directory with more room' : undefined,
  });
}

export class WorkerPool implements TaskRunner {
  readonly #workers: PooledWorker[] = [];
  readonly #queue: Waiting[] = [];
  readonly #most: number;
  readonly #files: () => number[];
  /** The last context: a worker that comes later begins with it. */
  #context: TaskMessage | undefined;

  private constructor(most: number, files: () => number[]) {
    this.#most = most;
    this.#files = files;
    for (let i = 0; i < Math.min(STARTED_AT_ONCE, most); i++) this.#startWorker();
  }

  /** At most `most` workers; `files` opens the files that one of them may write to. They end with `use`. */
  static async with<T>(most: number, files: () => number[], use: (pool: WorkerPool) => Promise<T>): Promise<T> {
    const pool = new WorkerPool(most, files);
    try {
      return await use(pool);
    } finally {
      await Promise.all(pool.#workers.map(({ thread }) => thread.terminate()));
    }
  }

  get capacity(): number {
    return this.#most * TASKS_PER_WORKER;
  }

  run<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result']> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ message: { name, arguments: given }, resolve, reject });
      this.#feed();
    });
  }

  runOnAll<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result'][]> {
    if (name === 'context') this.#context = { name, arguments: given };
    return Promise.all(this.#workers.map((worker) => new Promise<Tasks[Name]['result']>((resolve, reject) => {
      worker.send({ message: { name, arguments: given }, resolve, reject });
    })));
  }

  #feed(): void {
    while (this.#queue.length > 0) {
      let worker = this.#workers.reduce((a, b) => (b.pending.length < a.pending.length ? b : a));
      if (worker.pending.length >= TASKS_PER_WORKER) {
        if (this.#workers.length === this.#most) return;
        worker = this.#startWorker();
      }
      worker.send(this.#queue.shift()!);
    }
  }

  #startWorker(): PooledWorker {
    const worker = new PooledWorker(this.#files(), () => { this.#feed(); });
    this.#workers.push(worker);
    // Its failure to start shows at the task that follows.
    if (this.#context !== undefined) worker.send({ message: this.#context, resolve: () => undefined, reject: () => undefined });
    return worker;
  }
}
