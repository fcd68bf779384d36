/** What is seen of an export while it works, on standard error: its steps, or with --json each event as an object. Warnings are told in every mode. */
import type { ExportEvent } from '../../export/events.js';
import { ExportStory, type StepsAsked } from './export-story.js';
import type { TerminalStream } from './live-block.js';
import { waitingLine } from '../options/lock-options.js';
import { jsonLine, narrateInto } from './narrate.js';
import { showStory, type ProgressMode } from './show-story.js';

/**
 * Runs `work` and shows what it tells.
 * @param out where it is shown; standard error
 */
export async function withProgress<T>(mode: ProgressMode, asked: StepsAsked, work: (onEvent: (event: ExportEvent) => void) => Promise<T>, out: TerminalStream = process.stderr): Promise<T> {
  if (mode === 'json') return work((event) => { out.write(`${jsonLine(withoutRecord(event))}\n`); });
  const story = new ExportStory(asked);
  return showStory({ mode, story, note: () => story.note(), out }, (say) => narrateInto(story, {
    begun: () => undefined,
    warning: (text) => say(`realmlift: ${text}`),
    waiting: (wait) => { if (mode !== 'quiet') say(waitingLine(wait)); },
  }, (teller) => work((event) => {
    if (event.kind === 'warning') teller.warning(event.text);
    else if (event.kind === 'waiting') teller.waiting(event);
    else story.take(event);
  })));
}

/** A file's record holds addresses, which are of no use here. */
function withoutRecord(event: ExportEvent): Record<string, unknown> {
  return event.kind === 'file' && event.event.kind === 'file' ? { ...event, event: { ...event.event, record: undefined } } : { ...event };
}
