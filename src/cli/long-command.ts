/** A command that may take long: what it does is narrated, and ^C ends it with what is left and how to go on. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { asRealmliftError, type Stage } from '../errors.js';
import { narrate, type NarrationOptions } from './story/narrate.js';
import { leftBehind, withStopSignals, type StopWords } from './stop-signals.js';

/** Milliseconds that work which was stopped has to tidy up: what it waits for may not answer any more. */
const TIDYING = 10_000;

/** Runs `work`, which listens to the signal. */
export function longCommand<T>(options: NarrationOptions, words: StopWords, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const { left, leftUntidied = left } = words;
  let untidied = false;
  return withStopSignals({ ...words, left: () => (untidied ? leftUntidied() : left()) }, (stop) => narrate(options, () => leftBehind(work(stop), stop, TIDYING, () => { untidied = true; })));
}

/** Runs `work`, which notices at its next step that it was stopped. */
export function longSteps<T>(options: NarrationOptions, words: StopWords, work: () => Promise<T>): Promise<T> {
  return withStopSignals(words, (stop) => narrate(options, () => leftBehind(work().catch((error: unknown) => { throw asRealmliftError(error, words.stage); }), stop), process.stderr, stop));
}

/** Of a command that writes nothing but its result. */
export function nothingLeft(stage: Stage): StopWords {
  return { stage, left: () => 'nothing was written', hint: () => 'run it again from the start' };
}

/** Of a command that makes the directory `output`. */
export function directoryLeft(stage: Stage, output: string): StopWords {
  const partial = `${resolve(output)}.partial`;
  return {
    stage, left: () => (existsSync(partial) ? `${partial} is left unfinished` : 'nothing is left of it'),
    hint: () => `run it again from the start${existsSync(partial) ? ', which replaces that directory' : ''}`,
  };
}
