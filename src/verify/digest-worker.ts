/** The thread that reads files ahead: answers for one after the other whether it is intact. */
import { parentPort } from 'node:worker_threads';
import type { FinishedFile } from '../package/part-file.js';
import { isIntactHere } from './digests.js';

export interface DigestTask extends FinishedFile {
  readonly path: string;
}

/** It stays in the processor's own cache. */
const buffer = Buffer.allocUnsafeSlow(256 * 1024);

parentPort?.on('message', (task: DigestTask) => parentPort?.postMessage(answer(task)));

function answer(task: DigestTask): boolean {
  try {
    return isIntactHere(task.path, task, buffer);
  } catch {
    return false;
  }
}
