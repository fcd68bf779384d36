/**
 * Who works for long says what it does and how far it is; who shows that to people is decided once, by the command line. In between
 * nobody has to hand it on: a process has one, for as long as the work of withNarrator lasts. Without a narrator nothing happens.
 */
import type { LockWait } from './snapshot/lock-watch.js';

export type Unit = 'bytes' | 'rows' | 'messages' | 'files' | 'tables' | 'parts' | 'steps' | 'realms' | 'checks';

/** The step in which a finished export is read again. */
export const VERIFICATION = 'verification';

/** A step that is to come. */
export interface StepAhead {
  readonly name: string;
  /** Its share of the work, in whatever measure all steps of the command have in common; bytes, mostly. */
  readonly weight: number;
}

export interface Narrator {
  /** Which steps there will be, in order; of one that is known already the weight. */
  ahead(steps: readonly StepAhead[]): void;
  /** What begins now; what was before is done. One that is under way or done already gets `total` on top. @param total undefined where nobody knows */
  phase(name: string, unit: Unit, total: number | undefined): void;
  /** Of a step that is ahead or under way. */
  total(name: string, total: number): void;
  /** So much more of it is done. @param bytes of what is not counted in bytes */
  advance(count: number, bytes: number): void;
  warning(text: string): void;
  /** For a lock that somebody else holds. */
  waiting(wait: LockWait): void;
}

/** No AsyncLocalStorage, with which Node watches each promise of the process: a twentieth of what a small export takes. */
let current: Narrator | undefined;

export async function withNarrator<T>(narrator: Narrator, work: () => Promise<T>): Promise<T> {
  const before = current;
  current = narrator;
  try {
    return await work();
  } finally {
    current = before;
  }
}

/** Is anybody told? */
export function isNarrated(): boolean {
  return current !== undefined;
}

export function tellAhead(steps: readonly StepAhead[]): void {
  current?.ahead(steps);
}

export function tellPhase(name: string, unit: Unit, total?: number): void {
  current?.phase(name, unit, total);
}

/** Of a step that is ahead or under way: how much of it there is. */
export function tellTotal(name: string, total: number): void {
  current?.total(name, total);
}

export function tellProgress(count: number, bytes = 0): void {
  current?.advance(count, bytes);
}

/**
 * A piece of a step whose size is only guessed: what is done of it counts up to nearly all, and all of it when it is done.
 * @param size in the step's unit
 */
export function tellPiece(size: number): { readonly more: (count: number) => void; readonly done: () => void } {
  let told = 0;
  const upTo = (sum: number): void => {
    if (sum <= told) return;
    tellProgress(sum - told);
    told = sum;
  };
  return { more: (count) => upTo(Math.min(told + count, size * 0.95)), done: () => upTo(size) };
}

export function tellWarning(text: string): void {
  current?.warning(text);
}

export function tellWaiting(wait: LockWait): void {
  current?.waiting(wait);
}
