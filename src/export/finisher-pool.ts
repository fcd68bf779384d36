/** The finishers of a set: threads over one queue, each with its next task already when it ends one. */
import { Worker } from 'node:worker_threads';
import { RealmliftError } from '../errors.js';
import { THREAD_LIMITS } from '../thread-limits.js';
import type { FinisherReply, FinisherSetup, FinisherTask, FinisherTasks } from './finisher.js';
import { received } from './sent-error.js';

/** Tasks at one thread: one that it works on and one that waits there. */
const TASKS_PER_THREAD = 2;

interface Waiting {
  readonly task: FinisherTask;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

interface Finisher {
  readonly thread: Worker;
  readonly pending: Waiting[];
}

export class FinisherPool {
  readonly #finishers = new Set<Finisher>();
  readonly #queue: Waiting[] = [];
  readonly #setup: FinisherSetup;
  #closing = false;

  private constructor(count: number, setup: FinisherSetup) {
    this.#setup = setup;
    for (let started = 0; started < count; started++) this.#start();
  }

  /** Runs `use` with so many threads, which end with it. */
  static async with<T>(count: number, setup: FinisherSetup, use: (pool: FinisherPool) => Promise<T>): Promise<T> {
    const pool = new FinisherPool(count, setup);
    try {
      return await use(pool);
    } finally {
      pool.#closing = true;
      await Promise.all([...pool.#finishers].map(({ thread }) => thread.terminate()));
    }
  }

  /** @throws RealmliftError what the task failed with; WORKER_FAILED when its thread ended */
  run<Name extends keyof FinisherTasks>(name: Name, given: FinisherTasks[Name]['arguments']): Promise<FinisherTasks[Name]['result']> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ task: { name, ...given } as FinisherTask, resolve, reject });
      this.#feed();
    });
  }

  #start(): void {
    const finisher: Finisher = { thread: new Worker(new URL('./finisher.js', import.meta.url), { workerData: this.#setup, resourceLimits: THREAD_LIMITS }), pending: [] };
    this.#finishers.add(finisher);
    finisher.thread.on('message', (reply: FinisherReply) => {
      const waiting = finisher.pending.shift();
      if ('error' in reply) waiting?.reject(received(reply.error, ''));
      else waiting?.resolve(reply.result as never);
      this.#feed();
    });
    finisher.thread.on('error', (cause) => this.#ended(finisher, cause.message, cause));
    finisher.thread.on('exit', (code) => this.#ended(finisher, `code ${code}`, undefined));
  }

  #feed(): void {
    while (this.#queue.length > 0) {
      const least = [...this.#finishers].reduce((a, b) => (b.pending.length < a.pending.length ? b : a));
      if (least.pending.length >= TASKS_PER_THREAD) return;
      const waiting = this.#queue.shift() as Waiting;
      least.pending.push(waiting);
      least.thread.postMessage(waiting.task);
    }
  }

  /** A thread that ends by itself has lost its tasks; another takes its place. */
  #ended(finisher: Finisher, why: string, cause: unknown): void {
    if (this.#closing || !this.#finishers.delete(finisher)) return;
    for (const { reject } of finisher.pending) reject(new RealmliftError('WORKER_FAILED', 'package', `a worker ended (${why})`, { cause }));
    this.#start();
    this.#feed();
  }
}
