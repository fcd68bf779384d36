/**
 * Worker threads over one queue of segments. Any worker takes any segment; the first failure ends the run by name, so that a
 * slow or failing worker never loses rows.
 */
import { Worker } from 'node:worker_threads';
import { RealmliftError } from '../errors.js';
import type { Assignment, SentError, WorkerMessage, WorkerSetup } from './worker.js';

export interface PoolEvents {
  readonly onMessage: (message: Extract<WorkerMessage, { kind: 'part' | 'progress' }>, assignment: Assignment) => void;
}

export class WorkerPool {
  readonly #workers: Worker[];
  readonly #idle: Worker[] = [];
  readonly #waiting: ((worker: Worker) => void)[] = [];
  readonly #failed: Promise<never>;
  #fail!: (error: unknown) => void;
  #closing = false;

  /** Starts the threads; each connects at once, while the plan is still being made. */
  constructor(jobs: number, setup: WorkerSetup) {
    this.#failed = new Promise((_, reject) => { this.#fail = reject; });
    this.#failed.catch(() => undefined);
    this.#workers = Array.from({ length: jobs }, () => {
      const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: setup });
      worker.on('error', (cause) => this.#fail(new RealmliftError('WORKER_FAILED', 'copy', `a worker ended: ${cause.message}`, { cause })));
      worker.on('exit', (code) => { if (!this.#closing) this.#fail(new RealmliftError('WORKER_FAILED', 'copy', `a worker ended with code ${code}`)); });
      this.#idle.push(worker);
      return worker;
    });
  }

  /**
   * Has one segment exported by the next free worker.
   * @throws RealmliftError what the segment failed with, or what ended another worker
   */
  async run(assignment: Assignment, { onMessage }: PoolEvents): Promise<void> {
    const worker = await Promise.race([this.#free(), this.#failed]);
    const finished = new Promise<void>((resolve, reject) => {
      const listen = (message: WorkerMessage): void => {
        if (message.kind === 'part' || message.kind === 'progress') return onMessage(message, assignment);
        worker.off('message', listen);
        if (message.kind === 'done') return resolve();
        reject(received(message.error));
      };
      worker.on('message', listen);
    });
    worker.postMessage(assignment);
    try {
      await Promise.race([finished, this.#failed]);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(worker);
    else next(worker);
  }

  /** Ends the threads, whatever they are doing. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #free(): Promise<Worker> {
    const worker = this.#idle.shift();
    return worker === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(worker);
  }
}

function received({ code, stage, message, table, hint, exit, stack }: SentError): RealmliftError {
  const error = new RealmliftError(code, stage, message, { table, hint, exit });
  if (stack !== undefined) error.stack = stack;
  return error;
}
