/**
 * What is seen of an export while it works, on standard error: bars on a terminal, a line every ten seconds in a log, JSON
 * objects, or nothing.
 */
import { MultiBar, type SingleBar } from 'cli-progress';
import type { ExportEvent } from '../export/events.js';
import { ProgressTally, type ClassProgress } from './progress-tally.js';
import { size, thousands } from './summary.js';
import { waitingLine } from './lock-options.js';

export type ProgressMode = 'bars' | 'log' | 'json' | 'quiet';

/** Milliseconds between two lines in a log, and between two looks of the bars. */
const LOG_INTERVAL = 10_000;
const BAR_INTERVAL = 250;

interface Display {
  /** Called now and then. */
  show(tally: ProgressTally): void;
  warn(text: string): unknown;
  stop(): void;
}

export function progressMode({ quiet, json }: { readonly quiet?: true; readonly json?: true }): ProgressMode {
  if (json === true) return 'json';
  if (quiet === true) return 'quiet';
  return process.stderr.isTTY ? 'bars' : 'log';
}

/**
 * Runs `work` and shows what it tells. Warnings are shown in every mode.
 * @param out where it is shown; standard error
 */
export async function withProgress<T>(mode: ProgressMode, work: (onEvent: (event: ExportEvent) => void) => Promise<T>, out: NodeJS.WritableStream = process.stderr): Promise<T> {
  if (mode === 'json') return work((event) => out.write(`${json(event)}\n`));
  const tally = new ProgressTally();
  const display = mode === 'bars' ? bars(out) : log(out);
  const timer = mode === 'quiet' ? undefined : setInterval(() => display.show(tally), mode === 'bars' ? BAR_INTERVAL : LOG_INTERVAL).unref();
  try {
    return await work((event) => {
      if (event.kind === 'warning') display.warn(`realmlift: ${event.text}\n`);
      else if (event.kind === 'waiting') display.warn(waitingLine(event));
      else tally.take(event);
    });
  } finally {
    clearInterval(timer);
    if (mode === 'bars') display.show(tally);
    display.stop();
  }
}

/** One event on one line. A file's record holds addresses, which are of no use here. */
function json(event: ExportEvent): string {
  const told = event.kind === 'file' && event.event.kind === 'file' ? { ...event, event: { ...event.event, record: undefined } } : event;
  return JSON.stringify({ time: new Date().toISOString(), ...told });
}

function bars(stream: NodeJS.WritableStream): Display {
  const multi = new MultiBar({ format: '{name} [{bar}] {percentage}% {detail}', stream, barsize: 10, autopadding: true, hideCursor: null, emptyOnZero: true });
  const shown = new Map<string, SingleBar>();
  const line = multi.create(1, 0, { detail: '' }, { format: '{detail}' });
  return {
    show(tally) {
      for (const each of tally.classes()) {
        const { name, done, total } = each;
        const bar = shown.get(name) ?? multi.create(0, 0, {}, total === undefined ? { format: '{name} {detail}' } : {});
        shown.set(name, bar);
        bar.setTotal(total ?? 0);
        bar.update(Math.min(done, total ?? 0), { name: name.padEnd(13), detail: detail(each) });
      }
      line.update(0, { detail: ageText(tally) });
    },
    warn: (text) => multi.log(text),
    stop: () => multi.stop(),
  };
}

function log(out: NodeJS.WritableStream): Display {
  return {
    show(tally) {
      const parts = tally.classes().map((each) => `${each.name} ${detail(each)}`);
      out.write(`realmlift: ${[...parts, ageText(tally)].filter((part) => part !== '').join('; ')}\n`);
    },
    warn: (text) => out.write(text),
    stop: () => undefined,
  };
}

function detail({ unit, done, total, rows, bytes, rate, left }: ClassProgress): string {
  return [
    `${thousands(done)}${total === undefined ? '' : ` of ${thousands(total)}`} ${unit}`,
    // Within 80 columns, whatever is cut behind it.
    ...(left !== undefined && left >= 1 ? [`${time(left)} left`] : []),
    ...(rows > 0 ? [`${thousands(rows)} rows`] : []),
    ...(bytes > 0 ? [size(bytes)] : []),
    ...(rate >= 1 ? [`${size(rate)}/s`] : []),
  ].join(', ');
}

function ageText(tally: ProgressTally): string {
  const age = tally.age();
  return age === undefined ? '' : `snapshot ${time(age)} old`;
}

/** Seconds in words: `45 s`, `12 min`, `3 h 20 min`. */
export function time(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
