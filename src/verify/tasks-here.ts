/** Performs verify's tasks in the thread that asks for them: of a small export they cost less than another thread's start, and than messages to one. */
import { setImmediate as turn } from 'node:timers/promises';
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

  async run<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result']> {
    // Signals come in between.
    await turn();
    try {
      return this.#perform(name, given);
    } catch (error) {
      throw failed(error as Error);
    }
  }

  async runOnAll<Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']): Promise<Tasks[Name]['result'][]> {
    return [await this.run(name, given)];
  }
}
