/**
 * What is seen of a long command but export, on standard error: on a terminal one line that is written over, with the share and
 * the time left first, and a line for each step that is done; in a log a line every ten seconds; with --json an object as each step begins and each second after that.
 */
import { Option, type Command } from 'commander';
import { withNarrator, type Narrator, type Unit } from '../narration.js';
import { progressMode, time, type ProgressMode } from './progress.js';
import { size, thousands } from './summary.js';

export interface NarrationOptions {
  readonly quiet?: true;
  readonly json?: true;
}

/** Milliseconds between two looks. */
const INTERVAL: Readonly<Record<ProgressMode, number>> = { bars: 250, log: 10_000, json: 1000, quiet: Infinity };
/** A rate looks so far back. */
const LOOK_BACK = 30_000;

/** An option of its own for each command: the heading that it stands under in the help becomes part of it. */
export function quietOption(): Option {
  return new Option('--quiet', 'tell nothing while it works, and nothing when all is well').conflicts('json');
}

export function addQuiet(command: Command): Command {
  return command.addOption(quietOption());
}

/** Runs `work` and shows what it tells. @param out where; standard error */
export async function narrate<T>(options: NarrationOptions, work: () => Promise<T>, out: NodeJS.WriteStream = process.stderr): Promise<T> {
  const mode = progressMode(options);
  if (mode === 'quiet') return work();
  const story = new Story();
  story.onBegin = () => { if (mode === 'json') show(story, mode, out); };
  story.onDone = (step) => { if (mode === 'bars') out.write(`\r\x1b[2K${fit(`${step.name}: ${amount(step)} in ${time(step.seconds)}`, out)}\n`); };
  const timer = setInterval(() => { show(story, mode, out); }, INTERVAL[mode]).unref();
  try {
    return await withNarrator(story, work);
  } finally {
    clearInterval(timer);
    if (mode === 'bars') {
      story.end();
      out.write('\r\x1b[2K');
    }
  }
}

function show(story: Story, mode: ProgressMode, out: NodeJS.WriteStream): void {
  const step = story.step;
  if (step === undefined) return;
  if (mode === 'json') out.write(`${JSON.stringify({ time: new Date().toISOString(), kind: 'progress', step: step.name, unit: step.unit, done: step.done, total: step.total })}\n`);
  else if (mode === 'log') out.write(`realmlift: ${line(step)}\n`);
  else out.write(`\r\x1b[2K${fit(line(step), out)}`);
}

/** The most important first: a narrow terminal cuts the end. */
export function line(step: Step): string {
  const { rate, left } = step.pace();
  const share = step.total === undefined || step.total === 0 ? undefined : `${Math.min(100, Math.floor(step.done / step.total * 100))}%`;
  return [step.name, ...(share === undefined ? [] : [share]), ...(left === undefined ? [] : [`${time(left)} left`]), amount(step), ...(step.unit === 'bytes' && rate >= 1 ? [`${size(rate)}/s`] : [])].join('  ');
}

function amount({ unit, done, total }: Step): string {
  const told = (count: number): string => (unit === 'bytes' ? size(count) : thousands(count));
  return `${total === undefined ? told(done) : `${told(done)} of ${told(total)}`}${unit === 'bytes' ? '' : ` ${unit}`}`;
}

/** Nothing may wrap: the line that is written over must be one. */
function fit(text: string, out: NodeJS.WriteStream): string {
  const columns = out.columns ?? 80;
  return text.length < columns ? text : `${text.slice(0, Math.max(0, columns - 2))}…`;
}

export class Step {
  readonly name: string;
  readonly unit: Unit;
  readonly total: number | undefined;
  done = 0;
  readonly #began = performance.now();
  #samples: { readonly at: number; readonly done: number }[] = [];

  constructor(name: string, unit: Unit, total: number | undefined) {
    [this.name, this.unit, this.total] = [name, unit, total];
  }

  get seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  /** Of late: units a second, and the seconds that are left at that pace. */
  pace(now = performance.now()): { readonly rate: number; readonly left: number | undefined } {
    this.#samples = [...this.#samples.filter(({ at }) => now - at <= LOOK_BACK), { at: now, done: this.done }];
    const first = this.#samples[0] ?? { at: now, done: this.done };
    const from = this.#samples.length > 1 ? first : { at: this.#began, done: 0 };
    const rate = now === from.at ? 0 : (this.done - from.done) / ((now - from.at) / 1000);
    const left = this.total === undefined || rate <= 0 || this.done === 0 ? undefined : Math.max(0, this.total - this.done) / rate;
    return { rate, left };
  }
}

class Story implements Narrator {
  step: Step | undefined;
  onBegin: () => void = () => undefined;
  onDone: (step: Step) => void = () => undefined;

  phase(name: string, unit: Unit, total: number | undefined): void {
    this.end();
    this.step = new Step(name, unit, total);
    this.onBegin();
  }

  advance(count: number): void {
    if (this.step !== undefined) this.step.done += count;
  }

  end(): void {
    if (this.step !== undefined) this.onDone(this.step);
    this.step = undefined;
  }
}
