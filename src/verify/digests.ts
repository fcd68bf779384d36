/** SHA-256 of many files by the threads that Node has anyway: several at a time, without threads of their own. */
import { createHash, webcrypto } from 'node:crypto';
import { closeSync, fstatSync, openSync, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { ORDINARY } from '../json/file-input.js';
import type { FinishedFile } from '../package/part-file.js';

/** Files under way at once: one of Node's threads is left for others. */
export const AT_ONCE = 3;

/** Bytes of a file that is read whole. */
const BUFFER = 4 << 20;

/** Bytes up to which a file is read faster than it is handed to another thread. */
const SMALL = 64 * 1024;

const readAt = promisify(read);

/** For isIntact. */
export function newBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(BUFFER);
}

/** Reads the whole file. @param buffer in use by nobody else meanwhile @throws the system's error where it cannot be opened or read */
export async function isIntact(path: string, { size, sha256 }: FinishedFile, buffer: Buffer): Promise<boolean> {
  if (size <= SMALL) return isIntactHere(path, { size, sha256 }, buffer);
  const file = openSync(path, ORDINARY);
  try {
    if (fstatSync(file).size !== size) return false;
    if (size > BUFFER) return await digestInPieces(file, buffer) === sha256;
    const { bytesRead } = await readAt(file, buffer, 0, size, 0);
    return bytesRead === size && Buffer.from(await webcrypto.subtle.digest('SHA-256', buffer.subarray(0, size))).toString('hex') === sha256;
  } finally {
    closeSync(file);
  }
}

/** The same, all of it read by this thread. */
export function isIntactHere(path: string, { size, sha256 }: FinishedFile, buffer: Buffer): boolean {
  const file = openSync(path, ORDINARY);
  try {
    if (fstatSync(file).size !== size) return false;
    const hash = createHash('sha256');
    for (let got = readSync(file, buffer, 0, buffer.length, null); got > 0; got = readSync(file, buffer, 0, buffer.length, null)) hash.update(buffer.subarray(0, got));
    return hash.digest('hex') === sha256;
  } finally {
    closeSync(file);
  }
}

async function digestInPieces(file: number, buffer: Buffer): Promise<string> {
  const hash = createHash('sha256');
  for (;;) {
    const { bytesRead } = await readAt(file, buffer, 0, buffer.length, null);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
  }
}
