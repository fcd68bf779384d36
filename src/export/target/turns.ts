/** In which order the targets of a run are worked on, and when the run lets its snapshot go. */
import type { RunContext } from '../realm-run.js';
import { Slots } from './slots.js';

/** Targets whose rows are copied at once, and targets whose files are pulled: while one waits for its plan or its files, another's rows flow. */
export const TARGETS_AT_ONCE = 4;

/** When a target may do what. */
export interface Turns {
  /** To be told when its rows are copied, or never will be. */
  readonly copied: () => void;
  /** Waits until its files may be pulled, and all behind that be done. */
  readonly files: () => Promise<void>;
}

/** Nothing more is read from the database. */
export function letGo({ snapshot, pool, onEvent }: Pick<RunContext, 'snapshot' | 'pool' | 'onEvent'>): void {
  pool.letGo();
  void snapshot.letGo();
  onEvent({ kind: 'let-go' });
}

/**
 * The outcome of each target, in their order. Rows of a few are copied at a time, and files of a few are pulled, however long these
 * take: when all rows are copied the snapshot is let go, which would hold back vacuum.
 */
export async function workOnTargets<T, O>(context: Pick<RunContext, 'snapshot' | 'pool' | 'onEvent'>, targets: readonly T[], work: (target: T, turns: Turns) => Promise<O>): Promise<O[]> {
  const [rows, rest] = [new Slots(TARGETS_AT_ONCE), new Slots(TARGETS_AT_ONCE)];
  let left = targets.length;
  return Promise.all(targets.map(async (target) => {
    const rowsDone = await rows.take();
    let restDone: (() => void) | undefined;
    let isCopied = false;
    const copied = (): void => {
      if (isCopied) return;
      isCopied = true;
      rowsDone();
      left -= 1;
      if (left > 0) return;
      letGo(context);
    };
    try {
      return await work(target, { copied, files: async () => { restDone = await rest.take(); } });
    } finally {
      copied();
      restDone?.();
    }
  }));
}
