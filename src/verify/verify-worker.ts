/** The worker thread of verify: answers one task after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { taskPerformer } from './perform-task.js';
import type { VerifyThreadData } from './verify-threads.js';
import type { TaskMessage, TaskReply } from './worker-tasks.js';

const { fds, context } = workerData as VerifyThreadData;
const perform = taskPerformer(fds);
if (context !== undefined) perform('context', context);

parentPort?.on('message', ({ name, arguments: given }: TaskMessage) => {
  let reply: TaskReply;
  try {
    reply = { result: perform(name, given) };
  } catch (error) {
    const { message, code, stack, path, syscall } = error as NodeJS.ErrnoException;
    reply = { failure: { message, code, stack, path, syscall } };
  }
  parentPort?.postMessage(reply);
});
