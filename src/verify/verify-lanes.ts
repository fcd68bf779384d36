/** Verifies many small exports: each by one thread that is there already, several at a time. */
import { withVerifyWorkers, type VerifyWorkers } from './verify-export.js';

/** Lends the threads of one lane to `use`, when a lane is free. */
export type Lend = <T>(use: (workers: VerifyWorkers) => Promise<T>) => Promise<T>;

/** @param count lanes */
export function withVerifyLanes<T>(count: number, work: (lend: Lend) => Promise<T>): Promise<T> {
  const free: VerifyWorkers[] = [];
  const waiting: ((workers: VerifyWorkers) => void)[] = [];
  const giveBack = (workers: VerifyWorkers): void => {
    const next = waiting.shift();
    if (next === undefined) free.push(workers);
    else next(workers);
  };
  const lend: Lend = async (use) => {
    const workers = free.pop() ?? await new Promise<VerifyWorkers>((resolve) => { waiting.push(resolve); });
    try {
      return await use(workers);
    } finally {
      giveBack(workers);
    }
  };
  const open = (left: number): Promise<T> => (left === 0 ? work(lend) : withVerifyWorkers(1, (workers) => {
    free.push(workers);
    return open(left - 1);
  }));
  return open(count);
}
