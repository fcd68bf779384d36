/**
 * Who works for long says what it does and how far it is; who shows that to people is decided once, by the command line. In between
 * nobody has to hand it on: it belongs to the asynchronous work that withNarrator began. Without a narrator nothing happens.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export type Unit = 'bytes' | 'rows' | 'files' | 'parts' | 'steps';

export interface Narrator {
  /** What begins now; what was before is done. @param total undefined where nobody knows */
  phase(name: string, unit: Unit, total: number | undefined): void;
  /** So much more of it is done. */
  advance(count: number): void;
}

const current = new AsyncLocalStorage<Narrator>();

export function withNarrator<T>(narrator: Narrator, work: () => Promise<T>): Promise<T> {
  return current.run(narrator, work);
}

export function tellPhase(name: string, unit: Unit, total?: number): void {
  current.getStore()?.phase(name, unit, total);
}

export function tellProgress(count: number): void {
  current.getStore()?.advance(count);
}
