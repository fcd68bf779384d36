/** ^C and `kill`: the run stops cleanly and can be resumed. A second signal ends the process at once. */
import { EXIT, RealmliftError } from '../errors.js';

const EXITS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** @param work is given a signal that aborts with the error to end with */
export async function withStopSignals<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const names = Object.keys(EXITS) as (keyof typeof EXITS)[];
  const onSignal = (name: NodeJS.Signals): void => {
    for (const each of names) process.off(each, onSignal);
    stop.abort(new RealmliftError('STOPPED', 'copy', `stopped by ${name}; nothing half-written is at its final path`, {
      hint: 'run again with --resume to go on', exit: EXITS[name as keyof typeof EXITS],
    }));
  };
  for (const each of names) process.on(each, onSignal);
  // A file larger than `ulimit -f` allows would else end the process without a word: write(2) then answers EFBIG.
  process.on('SIGXFSZ', ignore);
  try {
    return await work(stop.signal);
  } finally {
    for (const each of names) process.off(each, onSignal);
    process.off('SIGXFSZ', ignore);
  }
}

function ignore(): void {
  // The write that was refused says why.
}
