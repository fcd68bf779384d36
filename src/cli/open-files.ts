/** Node's own loader of modules gives up with a stack, and a wrong reason, where too few files can be open at once. */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { EXIT, RealmliftError } from '../errors.js';

/** What the modules, the sessions and the files of a small run take together, and as much again. */
const NEEDED = 100;

/** @throws RealmliftError TOO_MANY_FILES */
export function requireOpenFiles(): void {
  const opened: number[] = [];
  try {
    while (opened.length < NEEDED) opened.push(openSync(devNull, 'r'));
  } catch (cause) {
    throw new RealmliftError('TOO_MANY_FILES', 'usage', `only ${opened.length} files more can be open at once (${(cause as NodeJS.ErrnoException).code ?? 'unknown'}), and ${NEEDED} are needed`, {
      hint: 'raise the limit: ulimit -n 1024', exit: EXIT.failed, cause,
    });
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}
