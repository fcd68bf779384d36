/** The end of an export on the command line: a summary of each target, and the exit code that the worst of them asks for. */
import { EXIT, RealmliftError } from '../../errors.js';
import type { ExportResult, Outcome } from '../../export/outcome.js';
import { counted, thousands } from '../../numbers.js';
import { errorJson } from './error-json.js';
import { lossLines, summary } from './summary.js';

/** Exports of one run of which each is summed up; of more there is a line each. */
const SUMMARIES = 8;

/** Failed exports that the last line names. */
const NAMED = 10;

/**
 * @param told what standard error gets: a summary, with --quiet only what was lost, with --json the events alone
 * @param how to go on with what failed
 * @throws RealmliftError what the only target failed with; TARGETS_FAILED; LOSSES under --strict
 */
export function conclude(outcomes: readonly Outcome[], seconds: number, strict: boolean, told: 'summary' | 'losses' | 'events', how: string): void {
  const json = told === 'events';
  const failed = outcomes.filter((each) => 'error' in each);
  if (outcomes.length === 1 && failed[0] !== undefined) throw failed[0].error.again ? failed[0].error.ending(how) : failed[0].error;
  let lost = 0;
  for (const outcome of outcomes) {
    if ('result' in outcome) {
      if (told === 'summary' && outcomes.length <= SUMMARIES) process.stderr.write(summary(outcome.result, seconds));
      if (told === 'losses') for (const line of lossLines(outcome.result)) process.stderr.write(`${outcome.target.name}: ${line}\n`);
      lost += lossesOf(outcome.result);
    } else {
      const { error } = outcome;
      if (json) process.stderr.write(`${errorJson(error, outcome.target.name)}\n`);
      else process.stderr.write(`${outcome.target.name}: ${error.line}\n`);
    }
  }
  if (told === 'summary' && outcomes.length > SUMMARIES) process.stderr.write(`${table([...outcomes].sort((a, b) => rowsOf(b) - rowsOf(a)))}${totals(outcomes, seconds)}`);
  else if (told === 'summary' && outcomes.length > 1) process.stderr.write(table(outcomes));
  if (failed.length > 0) {
    throw new RealmliftError('TARGETS_FAILED', 'package', `${failed.length} of ${outcomes.length} exports failed: ${failed.slice(0, NAMED).map((each) => each.target.name).join(', ')}${failed.length > NAMED ? ` and ${failed.length - NAMED} more` : ''}`, {
      hint: `the others are complete; ${how}`,
    });
  }
  if (strict && lost > 0) {
    throw new RealmliftError('LOSSES', 'files', `${lost} files that should travel were lost, or have another size than their rows say`, { hint: 'report.json names each', exit: EXIT.losses });
  }
}

/** Files that are not whole in the export. One with odd metadata is, and one whose owner may not travel is not meant to be. */
function lossesOf({ losses }: ExportResult): number {
  return losses.filter(({ kind }) => kind === 'lost' || kind === 'other-size').length;
}

/** The one object that --json makes of a run: what became of each export. */
export function resultOf(outcomes: readonly Outcome[], seconds: number): Record<string, unknown> {
  return {
    exports: outcomes.map((outcome) => {
      if ('error' in outcome) return { target: outcome.target.name, error: outcome.error.code };
      const { directory, rows, files, verified } = outcome.result;
      const found = Object.values(files.areas).reduce((sum, area) => sum + area.found, 0);
      return { target: outcome.target.name, directory, rows: Object.fromEntries(rows), files: found, lost: lossesOf(outcome.result), verified: verified !== undefined };
    }), seconds,
  };
}

/** One line a target, for runs of several. */
function table(outcomes: readonly Outcome[]): string {
  const width = Math.max(...outcomes.map(({ target }) => target.name.length));
  return outcomes.map((outcome) => {
    const name = outcome.target.name.padEnd(width);
    if ('error' in outcome) return `! ${name}  failed\n`;
    const { rows, files } = outcome.result;
    const count = (numbers: Iterable<number>): string => thousands([...numbers].reduce((sum, each) => sum + each, 0));
    return `${lossesOf(outcome.result) > 0 ? '!' : ' '} ${name}  ${count(rows.values()).padStart(14)} rows  ${count(Object.values(files.areas).map(({ found }) => found)).padStart(9)} files  ${counted(lossesOf(outcome.result), 'loss', 'losses')}\n`;
  }).join('');
}

function rowsOf(outcome: Outcome): number {
  return 'error' in outcome ? 0 : [...outcome.result.rows.values()].reduce((sum, each) => sum + each, 0);
}

function totals(outcomes: readonly Outcome[], seconds: number): string {
  const done = outcomes.flatMap((each) => ('result' in each ? [each.result] : []));
  const sum = (of: (result: ExportResult) => number): number => done.reduce((total, result) => total + of(result), 0);
  const files = sum((result) => Object.values(result.files.areas).reduce((total, { found }) => total + found, 0));
  return `${thousands(done.length)} of ${thousands(outcomes.length)} exported in ${seconds.toFixed(1)} s: ${thousands(outcomes.reduce((total, each) => total + rowsOf(each), 0))} rows, ${thousands(files)} files, ${counted(sum(lossesOf), 'loss', 'losses')}; what stayed is in each report.json, and report.html is the page to look at\n`;
}
