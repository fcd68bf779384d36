/** ^C and `kill`: the work stops cleanly, and what is left of it is told. A second signal ends the process at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asRealmliftError, EXIT, RealmliftError, type Stage } from '../errors.js';

const EXITS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

type Signal = keyof typeof EXITS;
const SIGNALS = Object.keys(EXITS) as Signal[];

/** Listens until a command does. */
let early: ((name: NodeJS.Signals) => void) | undefined;

/** A command that has not begun yet only looks at its words, and at what they name. @param end ends the process */
export function endBeforeBegun(end: (error: RealmliftError) => void): void {
  early = (name) => { end(stoppedBy(name as Signal, { stage: 'usage', left: () => 'nothing was begun', hint: () => 'run it again' })); };
  for (const each of SIGNALS) process.on(each, early);
}

/** What a command says when it was stopped, or ended by what may pass. */
export interface StopWords {
  readonly stage: Stage;
  /** What is left of it, looked up when it has stopped. */
  readonly left: () => string;
  /** The same where it did not come to its end in the time that it has to tidy up; default: the same. */
  readonly leftUntidied?: () => string;
  /** How to go on. */
  readonly hint: () => string;
}

/**
 * @param work is given a signal that aborts with the error to end with
 * @throws what `work` throws, where that can be tried again with how to do so
 */
export async function withStopSignals<T>(words: StopWords, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  let stopped: Signal = 'SIGINT';
  const onSignal = (name: NodeJS.Signals): void => {
    for (const each of SIGNALS) process.off(each, onSignal);
    stopped = name as Signal;
    stop.abort(stoppedBy(stopped, words));
  };
  for (const each of SIGNALS) {
    process.on(each, onSignal);
    if (early !== undefined) process.off(each, early);
  }
  // SIGXFSZ (a file larger than `ulimit -f` allows) Node ignores, and write(2) answers EFBIG. It must not be listened to: once nobody
  // listens any more, the next write of a run that is failing ends the process without a word.
  try {
    return await work(stop.signal);
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) throw stoppedBy(stopped, words);
    const known = asRealmliftError(error);
    throw known.again ? known.ending(words.hint()) : error;
  } finally {
    for (const each of SIGNALS) process.off(each, onSignal);
  }
}

/** Milliseconds that work which is not told of a signal has to notice it at its next step, and to tidy up. */
const PATIENCE = 3000;

/**
 * Leaves work behind that has not ended so many milliseconds after the signal.
 *
 * @throws the signal's reason, after `onLeft` was told
 */
export async function leftBehind<T>(work: Promise<T>, signal: AbortSignal, patience = PATIENCE, onLeft?: () => void): Promise<T> {
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => void sleep(patience).then(() => {
      onLeft?.();
      reject(signal.reason as Error);
    }), { once: true });
  });
  return Promise.race([work, stopped]);
}

function stoppedBy(name: Signal, { stage, left, hint }: StopWords): RealmliftError {
  return new RealmliftError('STOPPED', stage, `stopped by ${name}`, { left: left(), hint: hint(), exit: EXITS[name] });
}
