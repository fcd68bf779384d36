/** Performs verify's tasks in the thread that asks for them: of thousands of small exports, each costs less than its messages to another thread would. */
import { taskPerformer, type Perform } from './perform-task.js';
import { failed } from './verify-threads.js';
import type { TaskName, TaskRunner, Tasks } from './worker-tasks.js';

export class TasksHere implements TaskRunner {
  readonly capacity = 1;
  readonly #perform: Perform;

  /** @param fds see taskPerformer */
  constructor(fds: readonly number[]) {
    this.#perform = taskPerformer(fds);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- others wait for a thread
  async run<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result']> {
    try {
      return this.#perform(name, given);
    } catch (error) {
      const { message, code, stack } = error as NodeJS.ErrnoException;
      throw failed(message, { code, stack });
    }
  }

  async runOnAll<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result'][]> {
    return [await this.run(name, given)];
  }
}
