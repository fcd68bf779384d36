/** The threads of verify. They are started as there is work; one that comes later begins with the context that the others were told. */
import { Worker } from 'node:worker_threads';
import { asRealmliftError, RealmliftError } from '../errors.js';
import { isDiskFull } from '../io-reason.js';
import { TaskThreads, ThreadEnded } from '../threads/task-threads.js';
import { THREAD_LIMITS } from '../threads/thread-limits.js';
import type { SharedContext } from './export-context.js';
import type { TaskFailure, TaskMessage, TaskName, TaskReply, TaskRunner, Tasks } from './worker-tasks.js';

/** While realm.json is indexed by one, another has the time to start. */
const STARTED_AT_ONCE = 2;

/** What a thread begins with. */
export interface VerifyThreadData {
  /** Temporary files for ids that nobody else uses. */
  readonly fds: readonly number[];
  readonly context: SharedContext | undefined;
}

/** A file that cannot be read (EACCES, EIO, …) ends verify: what it could not look at it cannot vouch for. */
export function failed(failure: TaskFailure): RealmliftError {
  const { message, code, stack, path } = failure;
  if (path !== undefined) return asRealmliftError(failure, 'verify');
  if (isDiskFull(failure)) return new RealmliftError('DISK_FULL', 'verify', 'no space left for temporary files', { cause: stack, hint: 'ids are sorted in them: set TMPDIR to a directory with more room' });
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return new RealmliftError('VERIFY_FAILED', 'verify', message, { cause: stack });
  return new RealmliftError('VERIFY_READ', 'verify', message, { cause: stack });
}

export class VerifyThreads implements TaskRunner {
  readonly #threads: TaskThreads<TaskMessage, TaskReply>;
  readonly #tellContext: (context: SharedContext) => void;

  private constructor(threads: TaskThreads<TaskMessage, TaskReply>, tellContext: (context: SharedContext) => void) {
    this.#threads = threads;
    this.#tellContext = tellContext;
  }

  /** At most `most` threads; `files` opens the files that one of them may write to. They end with `use`. */
  static with<T>(most: number, files: () => number[], use: (threads: VerifyThreads) => Promise<T>): Promise<T> {
    let context: SharedContext | undefined;
    const begin = (): Worker => new Worker(new URL('./verify-worker.js', import.meta.url), { workerData: { fds: files(), context } satisfies VerifyThreadData, resourceLimits: THREAD_LIMITS });
    return TaskThreads.with<TaskMessage, TaskReply, T>(most, STARTED_AT_ONCE, begin, (threads) => use(new VerifyThreads(threads, (latest) => { context = latest; })));
  }

  get capacity(): number {
    return this.#threads.capacity;
  }

  async run<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result']> {
    return resultOf<Name>(await this.#threads.run({ name, arguments: given }).catch(refuse));
  }

  async runOnAll<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result'][]> {
    if (name === 'context') this.#tellContext(given as SharedContext);
    return (await this.#threads.runOnAll({ name, arguments: given }).catch(refuse)).map((reply) => resultOf<Name>(reply));
  }
}

function resultOf<Name extends TaskName>(reply: TaskReply): Tasks[Name]['result'] {
  if ('failure' in reply) throw failed(reply.failure);
  return reply.result as Tasks[Name]['result'];
}

function refuse(error: unknown): never {
  if (!(error instanceof ThreadEnded)) throw error;
  const { cause } = error;
  throw failed(cause instanceof Error ? cause : { message: 'a worker ended before its work' });
}
