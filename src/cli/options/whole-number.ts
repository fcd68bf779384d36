import { InvalidArgumentError } from 'commander';

/** Threads or sessions of one command: each takes memory here and a place on the server, which seldom has as many. */
const MOST_JOBS = 256;

/** An option's value as a whole number of at least `least`, and at most `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < least) throw new InvalidArgumentError(`a whole number of at least ${least} is needed.`);
    if (number > most) throw new InvalidArgumentError(`at most ${most} are possible.`);
    return number;
  };
}

/** The value of --jobs. */
export const jobCount = wholeNumber(1, MOST_JOBS);
