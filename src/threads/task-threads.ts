/**
 * Worker threads over one queue of tasks; each has its next task already when it ends one, so that it is never idle for a turn of our
 * loop. They are started as there is work: a small export on a machine of 64 processors needs two.
 *
 * The threads of an export's segments are not these (see export/segments/worker-pool.ts): a segment holds a session, is one at a time at a worker,
 * tells what it has done before it ends, and can be given up.
 */
import type { Worker } from 'node:worker_threads';

/** Tasks at one thread: one that it works on and one that waits there. */
const TASKS_PER_THREAD = 2;

interface Waiting<Task, Reply> {
  readonly task: Task;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: ThreadEnded) => void;
}

interface Thread<Task, Reply> {
  readonly worker: Worker;
  readonly pending: Waiting<Task, Reply>[];
}

/** Why a thread has lost its tasks: what it failed with, or undefined when it just ended. */
export class ThreadEnded extends Error {
  constructor(code: number, cause?: Error) {
    super(cause?.message ?? `code ${code}`, { cause });
  }
}

/** Each task is posted to a thread, which answers one message for each, in their order. */
export class TaskThreads<Task, Reply> {
  readonly #most: number;
  readonly #begin: () => Worker;
  readonly #threads = new Set<Thread<Task, Reply>>();
  readonly #queue: Waiting<Task, Reply>[] = [];
  #closing = false;

  private constructor(most: number, atOnce: number, begin: () => Worker) {
    this.#most = most;
    this.#begin = begin;
    for (let started = 0; started < Math.min(atOnce, most); started++) this.#start();
  }

  /**
   * Runs `use` with the threads, which end with it.
   *
   * @param most threads that there may be
   * @param atOnce those that are started before there is work
   * @param begin makes a thread
   */
  static async with<Task, Reply, T>(most: number, atOnce: number, begin: () => Worker, use: (threads: TaskThreads<Task, Reply>) => Promise<T>): Promise<T> {
    const threads = new TaskThreads<Task, Reply>(most, atOnce, begin);
    try {
      return await use(threads);
    } finally {
      threads.#closing = true;
      await Promise.all([...threads.#threads].map(({ worker }) => worker.terminate()));
    }
  }

  /** How many tasks can be under way at once. */
  get capacity(): number {
    return this.#most * TASKS_PER_THREAD;
  }

  /** Has any thread do the task. @throws ThreadEnded */
  run(task: Task): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, resolve, reject });
      this.#feed();
    });
  }

  /** Has every thread that there is do the task, after those that it has already. @throws ThreadEnded */
  runOnAll(task: Task): Promise<Reply[]> {
    return Promise.all([...this.#threads].map((thread) => new Promise<Reply>((resolve, reject) => this.#send(thread, { task, resolve, reject }))));
  }

  #feed(): void {
    while (this.#queue.length > 0) {
      const least = [...this.#threads].reduce<Thread<Task, Reply> | undefined>((a, b) => (a !== undefined && a.pending.length <= b.pending.length ? a : b), undefined);
      if (least !== undefined && least.pending.length < TASKS_PER_THREAD) this.#send(least, this.#queue.shift() as Waiting<Task, Reply>);
      else if (this.#threads.size < this.#most) this.#start();
      else return;
    }
  }

  #send(thread: Thread<Task, Reply>, waiting: Waiting<Task, Reply>): void {
    thread.pending.push(waiting);
    thread.worker.postMessage(waiting.task);
  }

  #start(): void {
    const thread: Thread<Task, Reply> = { worker: this.#begin(), pending: [] };
    this.#threads.add(thread);
    thread.worker.on('message', (reply: Reply) => {
      thread.pending.shift()?.resolve(reply);
      this.#feed();
    });
    thread.worker.on('error', (error) => this.#ended(thread, new ThreadEnded(1, error)));
    thread.worker.on('exit', (code) => this.#ended(thread, new ThreadEnded(code)));
  }

  /** A thread that ends by itself has lost its tasks; another takes its place when there is work. */
  #ended(thread: Thread<Task, Reply>, why: ThreadEnded): void {
    if (this.#closing || !this.#threads.delete(thread)) return;
    for (const { reject } of thread.pending) reject(why);
    this.#feed();
  }
}
