/** What verify has its workers do. */
import type { TaskName, TaskRunner, Tasks } from '../../src/verify/worker-tasks.js';

/** The same workers; `onTask` is told of each task before one of them does it. */
export function watched(pool: TaskRunner, onTask: (name: TaskName, given: Tasks[TaskName]['arguments']) => void): TaskRunner {
  return {
    capacity: pool.capacity,
    run: (name, given) => {
      onTask(name, given);
      return pool.run(name, given);
    },
    runOnAll: (name, given) => pool.runOnAll(name, given),
  };
}
