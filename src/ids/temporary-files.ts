/** Temporary files for ids that are too many for memory. */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { temporaryError } from '../temporary-directory.js';

/**
 * Lets `use` open empty files in the system's directory for temporary files, any number at a time, and closes them after
 * it. Their names are gone as soon as they are open, so that nothing is left behind whatever happens to the process.
 */
export function withTemporaryFiles<T>(use: (open: (count: number) => number[]) => T): T {
  const fds: number[] = [];
  const close = (): void => { for (const fd of fds) closeSync(fd); };
  let result: T;
  try {
    result = use((count) => openInto(fds, count));
  } catch (error) {
    close();
    throw error;
  }
  if (result instanceof Promise) return result.finally(close) as T;
  close();
  return result;
}

function openInto(fds: number[], count: number): number[] {
  try {
    const directory = mkdtempSync(join(tmpdir(), 'realmlift-ids-'));
    try {
      for (let i = 0; i < count; i++) fds.push(openSync(join(directory, String(i)), 'wx+', 0o600));
    } finally {
      rmSync(directory, { recursive: true });
    }
  } catch (error) {
    throw temporaryError(error);
  }
  return fds.slice(-count);
}
