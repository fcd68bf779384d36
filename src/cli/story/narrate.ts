/**
 * What is seen of a long command, on standard error: its steps on a terminal, a line every ten seconds in a log; with --json an object
 * as each step begins and each second after that, and warnings as objects too; with --quiet warnings alone.
 */
import { Option, type Command } from 'commander';
import { withNarrator, type Narrator, type StepAhead, type Unit } from '../../narration.js';
import type { LockWait } from '../../snapshot/lock-watch.js';
import { waitingLine } from '../options/lock-options.js';
import type { TerminalStream } from './live-block.js';
import { printable } from './printable.js';
import { progressMode, showStory } from './show-story.js';
import { Story, type Step } from './story.js';

export interface NarrationOptions {
  readonly quiet?: true;
  readonly json?: true;
}

/** Milliseconds between two objects of --json. */
const JSON_INTERVAL = 1000;

export function addNarrationOptions(command: Command): Command {
  return command
    .optionsGroup('Running:')
    .addOption(new Option('--quiet', 'tell nothing while it works, and nothing when all is well').conflicts('json'))
    .option('--json', 'tell progress as JSON on standard error, one object a line, and the result as one on standard output');
}

/** Runs `work` and shows what it tells. @param out where; standard error @param stop ends the work at its next step */
export async function narrate<T>(options: NarrationOptions, work: () => Promise<T>, out: TerminalStream = process.stderr, stop?: AbortSignal): Promise<T> {
  const story = new Story();
  const mode = progressMode(options, out);
  const tell = (object: Record<string, unknown>): void => { out.write(`${jsonLine(object)}\n`); };
  if (mode !== 'json') {
    return showStory({ mode, story, out }, (say) => narrateInto(story, {
      begun: () => undefined, warning: (text) => say(`realmlift: ${text}`), waiting: (wait) => { if (mode !== 'quiet') say(waitingLine(wait)); },
    }, work, stop));
  }
  const timer = setInterval(() => { for (const step of story.underWay()) tell(progressOf(story, step)); }, JSON_INTERVAL).unref();
  try {
    return await narrateInto(story, { begun: (step) => tell(progressOf(story, step)), warning: (text) => tell({ kind: 'warning', text }), waiting: (wait) => tell({ kind: 'waiting', ...wait }) }, work, stop);
  } finally {
    clearInterval(timer);
  }
}

/** What a story does not keep. */
export interface Heard {
  begun(step: Step): void;
  warning(text: string): void;
  waiting(wait: LockWait): void;
}

/** Runs `work`; what it tells becomes the story's, or is heard. @param stop what is told throws once it has aborted */
export function narrateInto<T>(story: Story, heard: Heard, work: (teller: Narrator) => Promise<T>, stop?: AbortSignal): Promise<T> {
  const teller = new Teller(story, heard, stop);
  return withNarrator(teller, () => work(teller));
}

/** What is told as it happens, with the moment. Names that others gave may not move the cursor: JSON escapes them. */
export function jsonLine(object: Record<string, unknown>): string {
  return JSON.stringify({ time: new Date().toISOString(), ...object });
}

/** The result of a command, as --json tells it: one object on standard output, or beside it where that is taken. */
export function tellResult(result: Readonly<Record<string, unknown>>, streamed: boolean): void {
  if (streamed) process.stderr.write(`${jsonLine({ kind: 'result', ...result })}\n`);
  else process.stdout.write(`${JSON.stringify(result)}\n`);
}

function progressOf(story: Story, step: Step): Record<string, unknown> {
  const { share, left } = story.overall();
  const { name, unit, done, total, bytes } = step;
  return {
    kind: 'progress', step: name, unit, done, total: total ?? null, ...(unit === 'bytes' || bytes === 0 ? {} : { bytes }),
    percent: share === undefined ? null : Math.floor(share * 100), seconds_left: left === undefined ? null : Math.round(left),
  };
}

class Teller implements Narrator {
  readonly #story: Story;
  readonly #heard: Heard;
  readonly #stop: AbortSignal | undefined;
  #step: Step | undefined;

  constructor(story: Story, heard: Heard, stop: AbortSignal | undefined) {
    [this.#story, this.#heard, this.#stop] = [story, heard, stop];
  }

  ahead(steps: readonly StepAhead[]): void {
    this.#story.ahead(steps);
  }

  phase(name: string, unit: Unit, total: number | undefined): void {
    this.#stop?.throwIfAborted();
    if (this.#step?.name !== name) this.#step?.end();
    this.#step = this.#story.begin(name, unit);
    if (total !== undefined) this.#step.expect(total);
    this.#heard.begun(this.#step);
  }

  total(name: string, total: number): void {
    const step = this.#story.find(name);
    if (step !== undefined) step.total = total;
  }

  advance(count: number, bytes: number): void {
    this.#stop?.throwIfAborted();
    if (this.#step === undefined) return;
    this.#step.done += count;
    this.#step.bytes += bytes;
  }

  warning(text: string): void {
    this.#heard.warning(printable(text));
  }

  waiting(wait: LockWait): void {
    this.#heard.waiting(wait);
  }
}
