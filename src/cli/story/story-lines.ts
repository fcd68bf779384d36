/** A story as lines: the most important first, for a narrow terminal cuts the end. */
import { counted, rounded, size, thousands, time, timeLeft } from '../../numbers.js';
import type { Step, Story } from './story.js';

/** The shortest time left that is worth to be told, in seconds. */
const SOON = 1;
const BAR = 20;

/** Of the whole: `43%  12 min left  [#########-----------]  4 min so far  snapshot 5 min old`. @param note what else is to be known */
export function headline(story: Story, note: string): string {
  const { share, left } = story.overall();
  const bar = share === undefined ? [] : [`[${'#'.repeat(Math.floor(share * BAR)).padEnd(BAR, '-')}]`];
  return [...shareAndLeft(share, left).map((text, index) => (index === 0 ? text.padStart(4) : text)), ...bar, `${time(story.seconds)} so far`, ...(note === '' ? [] : [note])].join('  ');
}

/** One line a step, in order: done, under way, ahead. */
export function stepLines(story: Story): string[] {
  const width = Math.max(...story.steps.map(({ name }) => name.length));
  return story.steps.map((step) => {
    const told = step.ended !== undefined ? [amount(step), time((step.ended - (step.began ?? step.ended)) / 1000)] : step.began === undefined ? [] : underWay(step);
    const mark = step.ended !== undefined ? 'done' : step.began === undefined ? '    ' : 'now ';
    return `  ${mark}  ${step.name.padEnd(width)}  ${told.filter((text) => text !== '').join('  ')}`.trimEnd();
  });
}

/** In a log: `43%, 12 min left; rows 41%, 1.2 GiB of 3.0 GiB, 45.0 MiB/s; snapshot 5 min old`. */
export function logLine(story: Story, note: string): string {
  const { share, left } = story.overall();
  const steps = story.underWay().map((step) => [step.name, underWay(step).filter((text) => text !== '').join(', ')].filter((text) => text !== '').join(' '));
  return [shareAndLeft(share, left).join(', '), ...steps, note].filter((text) => text !== '').join('; ');
}

function shareAndLeft(share: number | undefined, left: number | undefined): string[] {
  return [...(share === undefined ? [] : [percent(share)]), ...(left === undefined || left < SOON ? [] : [`${timeLeft(left)} left`])];
}

function underWay(step: Step): string[] {
  const { units, bytes } = step.rate();
  const share = step.share === undefined ? '' : percent(step.share);
  const rate = bytes >= 1 ? `${size(bytes)}/s` : step.unit !== 'bytes' && units >= 1 && step.unit !== 'steps' && step.unit !== 'checks' ? `${rounded(units)}/s` : '';
  return [share, amount(step), step.unit !== 'bytes' && step.bytes > 0 ? size(step.bytes) : '', rate];
}

/** A total may be too low: avatars come on top of the files that rows name. */
function amount({ name, unit, done, total }: Step): string {
  const told = (count: number): string => (unit === 'bytes' ? size(count) : name === unit ? thousands(count) : counted(count, unit.slice(0, -1)));
  if (total !== undefined && done < total) return `${unit === 'bytes' ? size(done) : thousands(done)} of ${told(total)}`;
  return done === 0 ? '' : told(done);
}

/** 100% is said when all is done, and not before. */
export function percent(share: number): string {
  return `${share >= 1 ? 100 : Math.min(99, Math.floor(share * 100))}%`;
}
