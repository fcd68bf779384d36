/** What every command that reads a database out of one snapshot says of the locks that it waits for. */
import type { Command } from 'commander';
import { tellWaiting } from '../../narration.js';
import { lockWaitText, type LockWait } from '../../snapshot/lock-watch.js';
import type { LockPatience } from '../../snapshot/table-locks.js';
import { duration } from './duration.js';

export interface LockOptions {
  readonly lockTimeout?: number;
}

export function addLockOptions(command: Command): Command {
  return command.optionsGroup('Running:').option('--lock-timeout <duration>', 'fail when somebody who changes a table keeps the run waiting for longer than this (90s, 30m, 6h, 2d)', duration);
}

/** Waits are told to who narrates. */
export function lockPatience({ lockTimeout }: LockOptions): LockPatience {
  return { timeout: lockTimeout, onWait: tellWaiting };
}

export function waitingLine(wait: LockWait): string {
  return `realmlift: waiting for a lock on ${lockWaitText(wait)}`;
}
