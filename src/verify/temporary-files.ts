/** Temporary files for ids that are too many for memory. */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Opens `count` empty files for `use`, in the system's directory for temporary files. Their names are gone before `use`
 * begins, so that nothing is left behind whatever happens to the process.
 */
export function withTemporaryFiles<T>(count: number, use: (fds: number[]) => T): T {
  const fds = open(count);
  let result: T;
  try {
    result = use(fds);
  } catch (error) {
    close(fds);
    throw error;
  }
  if (result instanceof Promise) return result.finally(() => { close(fds); }) as T;
  close(fds);
  return result;
}

function open(count: number): number[] {
  const directory = mkdtempSync(join(tmpdir(), 'realmlift-verify-'));
  try {
    return Array.from({ length: count }, (_, i) => openSync(join(directory, String(i)), 'wx+', 0o600));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function close(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}
