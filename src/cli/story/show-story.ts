/**
 * Shows a story on standard error while work goes on: on a terminal some lines that are written over, in a log a line every ten seconds,
 * else nothing but what must be told.
 */
import { LiveBlock, type TerminalStream } from './live-block.js';
import type { Story } from './story.js';
import { headline, logLine, stepLines } from './story-lines.js';

export type ProgressMode = 'terminal' | 'log' | 'json' | 'quiet';

/** Milliseconds between two looks. */
const INTERVAL = { terminal: 250, log: 10_000 } as const;
/** Seconds from which on the steps of what is done stay on the terminal. */
const WORTH_KEEPING = 5;

export function progressMode({ quiet, json }: { readonly quiet?: true; readonly json?: true }, out: Partial<Pick<TerminalStream, 'isTTY'>> = process.stderr): ProgressMode {
  if (json === true) return 'json';
  if (quiet === true) return 'quiet';
  return out.isTTY === true && process.env.TERM !== 'dumb' ? 'terminal' : 'log';
}

export interface Shown {
  readonly mode: ProgressMode;
  readonly story: Story;
  /** What else is to be known now. */
  readonly note?: () => string;
  readonly out: TerminalStream;
}

/** @param work is given what writes a line that stays */
export async function showStory<T>({ mode, story, note = () => '', out }: Shown, work: (say: (line: string) => void) => Promise<T>): Promise<T> {
  if (mode === 'terminal') return onTerminal(story, note, out, work);
  const timer = mode === 'log' ? setInterval(() => { if (story.steps.length > 0) out.write(`realmlift: ${logLine(story, note())}\n`); }, INTERVAL.log).unref() : undefined;
  try {
    return await work((line) => { out.write(`${line}\n`); });
  } finally {
    clearInterval(timer);
  }
}

async function onTerminal<T>(story: Story, note: () => string, out: TerminalStream, work: (say: (line: string) => void) => Promise<T>): Promise<T> {
  const block = new LiveBlock(out, () => (story.steps.length === 0 ? [] : [headline(story, note()), ...stepLines(story)]));
  const timer = setInterval(block.show, INTERVAL.terminal).unref();
  let failed = true;
  try {
    const result = await work((line) => { block.print(`${line}\n`); });
    failed = false;
    return result;
  } finally {
    clearInterval(timer);
    if (!failed) for (const step of story.underWay()) step.end();
    block.end(story.seconds >= WORTH_KEEPING);
  }
}
