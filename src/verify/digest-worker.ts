/** The thread that reads files ahead: answers for one after the other whether it is intact. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { ORDINARY } from '../json/file-input.js';
import type { FinishedFile } from '../package/part-file.js';
import { digestHere } from './digests.js';

export interface DigestTask extends FinishedFile {
  readonly path: string;
}

/** It stays in the processor's own cache. */
const buffer = Buffer.allocUnsafeSlow(256 * 1024);

parentPort?.on('message', (task: DigestTask) => parentPort?.postMessage(isIntact(task)));

function isIntact({ path, size, sha256 }: DigestTask): boolean {
  try {
    const file = openSync(path, ORDINARY);
    try {
      return fstatSync(file).size === size && digestHere(file, buffer) === sha256;
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}
