/** The end of an export on the command line: a summary of each target, and the exit code that the worst of them asks for. */
import { EXIT, RealmliftError } from '../../errors.js';
import { filesOf, lossesOf, rowsOf, type Outcome } from '../../export/outcome.js';
import { counted, thousands } from '../../numbers.js';
import { moment } from '../../report/moment.js';
import { errorJson } from './error-json.js';
import { earlierSummary, lossLines, summary } from './summary.js';

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
    lost += lossesOf(outcome);
    if ('error' in outcome) {
      const { error } = outcome;
      if (json) process.stderr.write(`${errorJson(error, outcome.target.name)}\n`);
      else process.stderr.write(`${outcome.target.name}: ${error.line}\n`);
    } else if (told === 'losses') {
      for (const line of lossLines('earlier' in outcome ? outcome.earlier.files : outcome.result.files.areas)) process.stderr.write(`${outcome.target.name}: ${line}\n`);
    } else if (told === 'summary' && outcomes.length <= SUMMARIES) {
      process.stderr.write('earlier' in outcome ? earlierSummary(outcome.target.name, outcome.earlier) : summary(outcome.result, seconds));
    }
  }
  if (told === 'summary' && outcomes.length > SUMMARIES) process.stderr.write(`${table([...outcomes].sort((a, b) => rowsOf(b) - rowsOf(a)))}${totals(outcomes, seconds)}`);
  else if (told === 'summary' && outcomes.length > 1) process.stderr.write(table(outcomes));
  if (failed.length > 0) {
    throw new RealmliftError('TARGETS_FAILED', 'package', `${failed.length} of ${outcomes.length} exports failed: ${failed.slice(0, NAMED).map((each) => each.target.name).join(', ')}${failed.length > NAMED ? ` and ${failed.length - NAMED} more` : ''}`, {
      hint: failed.length < outcomes.length ? `the others are complete; ${how}` : how,
    });
  }
  if (strict && lost > 0) {
    throw new RealmliftError('LOSSES', 'files', `${lost} files that should travel were lost, or have another size than their rows say`, { hint: 'report.json names each', exit: EXIT.losses });
  }
}

/** The one object that --json makes of a run: what became of each export. */
export function resultOf(outcomes: readonly Outcome[], seconds: number): Record<string, unknown> {
  return {
    exports: outcomes.map((outcome) => {
      if ('error' in outcome) return { target: outcome.target.name, error: outcome.error.code };
      const counts = { files: filesOf(outcome), lost: lossesOf(outcome) };
      if ('earlier' in outcome) {
        const { directory, rows, verified, snapshot } = outcome.earlier;
        return { target: outcome.target.name, directory, rows, ...counts, verified, finished_before: snapshot.takenAt };
      }
      const { directory, rows, verified } = outcome.result;
      return { target: outcome.target.name, directory, rows: Object.fromEntries(rows), ...counts, verified: verified !== undefined };
    }), seconds,
  };
}

/** One line a target, for runs of several. */
function table(outcomes: readonly Outcome[]): string {
  const width = Math.max(...outcomes.map(({ target }) => target.name.length));
  return outcomes.map((outcome) => {
    const name = outcome.target.name.padEnd(width);
    if ('error' in outcome) return `! ${name}  failed\n`;
    const before = 'earlier' in outcome ? `  finished before: ${moment(outcome.earlier.snapshot.takenAt)}` : '';
    return `${lossesOf(outcome) > 0 ? '!' : ' '} ${name}  ${thousands(rowsOf(outcome)).padStart(14)} rows  ${thousands(filesOf(outcome)).padStart(9)} files  ${counted(lossesOf(outcome), 'loss', 'losses')}${before}\n`;
  }).join('');
}

function totals(outcomes: readonly Outcome[], seconds: number): string {
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const before = sum((each) => Number('earlier' in each));
  return `${thousands(sum((each) => Number('result' in each)))} of ${thousands(outcomes.length)} exported in ${seconds.toFixed(1)} s${before === 0 ? '' : `, ${thousands(before)} finished before`}: ${thousands(sum(rowsOf))} rows, ${thousands(sum(filesOf))} files, ${counted(sum(lossesOf), 'loss', 'losses')}; what stayed is in each report.json, and report.html is the page to look at\n`;
}
