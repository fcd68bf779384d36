/** The finishers of a set: threads that put realm after realm together. */
import { Worker } from 'node:worker_threads';
import { RealmliftError } from '../../errors.js';
import { TaskThreads, ThreadEnded } from '../../threads/task-threads.js';
import { THREAD_LIMITS } from '../../threads/thread-limits.js';
import type { FinisherReply, FinisherSetup, FinisherTask, FinisherTasks } from './finisher.js';
import { received } from '../segments/sent-error.js';

export class FinisherPool {
  readonly #threads: TaskThreads<FinisherTask, FinisherReply>;

  private constructor(threads: TaskThreads<FinisherTask, FinisherReply>) {
    this.#threads = threads;
  }

  /** Runs `use` with so many threads, which end with it. */
  static with<T>(count: number, setup: FinisherSetup, use: (pool: FinisherPool) => Promise<T>): Promise<T> {
    const begin = (): Worker => new Worker(new URL('./finisher.js', import.meta.url), { workerData: setup, resourceLimits: THREAD_LIMITS });
    return TaskThreads.with<FinisherTask, FinisherReply, T>(count, count, begin, (threads) => use(new FinisherPool(threads)));
  }

  /** @throws RealmliftError what the task failed with; WORKER_FAILED when its thread ended */
  async run<Name extends keyof FinisherTasks>(name: Name, given: FinisherTasks[Name]['arguments']): Promise<FinisherTasks[Name]['result']> {
    const reply = await this.#threads.run({ name, ...given } as FinisherTask).catch((error: unknown) => {
      throw error instanceof ThreadEnded ? new RealmliftError('WORKER_FAILED', 'package', `a worker ended (${error.message})`, { cause: error.cause }) : error;
    });
    if ('error' in reply) throw received(reply.error, '');
    return reply.result;
  }
}
