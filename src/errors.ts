/**
 * The one error type that realmlift raises on purpose, and the only place where an error becomes an exit code.
 * A message names what went wrong and where, never a row's content and never a secret: it may end up in a ticket.
 */

import { ioReason, isDiskFull, isForbidden } from './io-reason.js';
import { isLoss } from './lost-connection.js';

/** The part of the run in which an error arose, in the order of a run. */
export type Stage =
  | 'usage' | 'plan' | 'snapshot' | 'copy' | 'transform' | 'package' | 'files' | 'verify' | 'backup' | 'restore' | 'merge' | 'remap' | 'load' | 'split' | 'queue';

/** Exit codes of the command line, documented in every command's help. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  nothingExported: 3,
  losses: 4,
  /** 128 and the number of the signal, as a shell says of a command that a signal ended. */
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface ErrorDetail {
  /** What is left of the work, told behind what went wrong. */
  left?: string | undefined;
  /** The table concerned, as Zulip names it. */
  table?: string | undefined;
  /** What the reader can do about it. */
  hint?: string | undefined;
  /** True where the same work can succeed once that is done: how to go on is told by whoever knows what is left of it. */
  again?: boolean | undefined;
  /** Exit code when this error ends the run; 1 (failed) unless said otherwise. */
  exit?: ExitCode | undefined;
  cause?: unknown;
}

/**
 * An error with a stable `code` (upper snake case, e.g. `REALM_UNKNOWN`), the `stage` it arose in, and where known the
 * `table`, a `hint`, and whether to try `again`.
 */
export class RealmliftError extends Error {
  readonly code: string;
  readonly stage: Stage;
  readonly table: string | undefined;
  readonly hint: string | undefined;
  readonly again: boolean;
  readonly exit: ExitCode;
  /** The message without what is left. */
  readonly #what: string;
  readonly #left: string | undefined;

  constructor(code: string, stage: Stage, what: string, detail: ErrorDetail = {}) {
    super(detail.left === undefined ? what : `${what}; ${detail.left}`, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'RealmliftError';
    this.code = code;
    this.stage = stage;
    this.table = detail.table;
    this.hint = detail.hint;
    this.again = detail.again ?? false;
    this.exit = detail.exit ?? EXIT.failed;
    this.#what = what;
    this.#left = detail.left;
  }

  /** The same error but for these, of which it is the cause. */
  with({ stage = this.stage, ...detail }: Omit<ErrorDetail, 'cause'> & { stage?: Stage }): RealmliftError {
    const { table, hint, again, exit } = this;
    return new RealmliftError(this.code, stage, this.#what, { left: this.#left, table, hint, again, exit, ...detail, cause: this });
  }

  /** The same error with this hint alone. */
  advising(hint: string | undefined, exit: ExitCode = this.exit): RealmliftError {
    return this.with({ hint, exit, again: false });
  }

  /** The same error when it has ended a run. @param how to go on with what is left, which is told behind the hint */
  ending(how: string, exit?: ExitCode): RealmliftError {
    if (this.hint === undefined) return this.advising(how, exit);
    return this.advising(this.hint.endsWith('?') ? `${this.hint} ${how.charAt(0).toUpperCase()}${how.slice(1)}` : `${this.hint}; ${how}`, exit);
  }

  /** The error as the one line that goes to stderr. */
  get line(): string {
    const where = this.table === undefined ? this.stage : `${this.stage}, ${this.table}`;
    const hint = this.hint === undefined ? '' : ` (${this.hint})`;
    return `realmlift: ${this.code} [${where}]: ${this.message}${hint}`.replace(/\s*\n\s*/g, ' ');
  }
}

/**
 * SQLSTATE classes whose messages speak of objects, limits and the server, not of values: those of class 22, for instance,
 * quote the value that could not be read.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const WITHOUT_CONTENT = /^(0A|25|26|3D|3F|42|53|54|55|57|58|72|F0|HV|XX)/;

/** What may be repeated of an error that the server reported: `SQLSTATE 53200: out of memory`. */
export function serverReason(code: string, message: string): string {
  return WITHOUT_CONTENT.test(code) ? `SQLSTATE ${code}: ${message}` : `SQLSTATE ${code}`;
}

/** Calls of the system by which files are read; what is written says so itself, see diskError. */
const READS: ReadonlySet<string> = new Set(['open', 'read', 'scandir', 'opendir', 'lstat', 'stat', 'access', 'copyfile']);

/** SQLSTATE of a cancelled query, and of a session that was ended for holding a snapshot: serialization_failure. */
const CONFLICT = '40001';

/**
 * What a hot standby does to long queries, and what to set against it. Undefined when the error is another.
 * https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT
 */
export function recoveryConflict(cause: unknown, stage: Stage, table?: string): RealmliftError | undefined {
  const { code } = (cause ?? {}) as { code?: string };
  if (code !== CONFLICT) return undefined;
  return new RealmliftError('RECOVERY_CONFLICT', stage, 'the standby cancelled the query, for its recovery had to remove what the query reads', {
    table, cause, hint: 'raise max_standby_streaming_delay (and max_standby_archive_delay) on the standby above the length of the export, or set hot_standby_feedback = on', again: true,
  });
}

/** A session that ended before its work. Undefined when the error is another. */
export function connectionLost(cause: unknown, stage: Stage, table?: string): RealmliftError | undefined {
  if (!isLoss(cause)) return undefined;
  const { code, severity, message = '' } = cause as { code?: string; severity?: string; message?: string };
  const reason = severity === undefined || code === undefined ? '' : ` (${serverReason(code, message)})`;
  return new RealmliftError('CONNECTION_LOST', stage, `the connection to the server ended${reason}`, {
    table, cause, hint: 'was the server restarted, the backend terminated or the network cut?', again: true,
  });
}

/**
 * Any error as one that may be shown; what nobody foresaw gets the code UNEXPECTED.
 *
 * @param stage of the run in which it arose, where that is known
 */
export function asRealmliftError(error: unknown, stage: Stage = 'plan'): RealmliftError {
  if (error instanceof RealmliftError) return error;
  const { code, severity, message = 'unknown error', syscall, path } = (error ?? {}) as NodeJS.ErrnoException & { severity?: string };
  const ended = recoveryConflict(error, stage) ?? connectionLost(error, stage);
  if (ended !== undefined) return ended;
  if (severity !== undefined && code !== undefined) {
    return new RealmliftError('SERVER_REFUSED', stage, `the server refused a query (${serverReason(code, message)})`, { cause: error });
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new RealmliftError('TOO_MANY_FILES', stage, `no more files or connections can be opened (${code})`, { hint: 'raise the limit (ulimit -n 1024), or take fewer --jobs and --file-jobs', again: true, cause: error });
  }
  if (isDiskFull(error) && syscall !== undefined) {
    return new RealmliftError('DISK_FULL', stage, 'no space left where files or temporary files are written', { hint: 'make room in the output directory and in TMPDIR', again: true, cause: error });
  }
  if (code !== undefined && syscall !== undefined && path !== undefined) {
    return new RealmliftError('FILE_FAILED', stage, `${path}${READS.has(syscall) ? ' cannot be read' : ''}: ${ioReason(error)}`, {
      hint: isForbidden(error) ? 'run as a user who may, or give this one the right: its own owner and mode count, and those of the directories above it' : `the system refused ${syscall}; --debug shows where`, cause: error,
    });
  }
  return new RealmliftError('UNEXPECTED', stage, message.split('\n')[0] ?? '', { hint: '--debug shows where', cause: error });
}
