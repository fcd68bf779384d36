/** An error on its way between threads or machines: the clone of an Error would lose its fields. */
import { asRealmliftError, RealmliftError } from '../../errors.js';
import { RowFault } from './dealer.js';

export interface SentError {
  readonly code: string;
  readonly stage: RealmliftError['stage'];
  readonly message: string;
  readonly table: string | undefined;
  readonly hint: string | undefined;
  readonly again: boolean;
  readonly exit: RealmliftError['exit'];
  readonly stack: string | undefined;
  /** Of a set, the realm whose row it is; null, or NaN where it did not come as JSON, where that is not known. */
  readonly realmId: number | null | undefined;
}

export function sendable(error: unknown): SentError {
  const known = asRealmliftError(error, 'copy');
  return {
    code: known.code, stage: known.stage, message: known.message, table: known.table, hint: known.hint, again: known.again, exit: known.exit,
    stack: (error as Error | undefined)?.stack, realmId: known instanceof RowFault ? known.realmId : undefined,
  };
}

/** @param where in which part of the work it arose, said behind its message */
export function received({ code, stage, message, table, hint, again, exit, stack, realmId }: SentError, where: string): RealmliftError {
  const plain = new RealmliftError(code, stage, `${message}${where}`, { table, hint, again, exit });
  const error = realmId === undefined ? plain : new RowFault(plain, realmId ?? NaN);
  if (stack !== undefined) error.stack = stack;
  return error;
}
