/** `realmlift merge`: words of the command line -> one call. */
import { Command, Option } from 'commander';
import { mergeExports, type MergeResult } from '../merge/merge-exports.js';
import { thousands } from './summary.js';

interface MergeArguments {
  readonly output: string;
  readonly onConflict: 'later' | 'fail';
  readonly verify: boolean;
}

export function mergeCommand(): Command {
  return new Command('merge')
    .description('Join exports of one realm of one server, made at different moments or for different people, to one.')
    .argument('<directory...>', 'finished exports')
    .requiredOption('--output <dir>', 'directory to make')
    .addOption(new Option('--on-conflict <what>', 'where exports differ: the later snapshot wins, or the merge stops').choices(['later', 'fail']).default('later'))
    .option('--no-verify', 'do not read the result again before it is published')
    .addHelpText('after', `
Example:
  realmlift merge monday/acme tuesday/acme --output acme

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 these exports cannot be joined.`)
    .action(async (directories: string[], options: MergeArguments) => {
      const started = performance.now();
      const result = await mergeExports(directories, options);
      process.stderr.write(summary(result, directories.length, (performance.now() - started) / 1000));
    });
}

function summary({ directory, header, rows, files }: MergeResult, count: number, seconds: number): string {
  const total = [...rows.values()].reduce((sum, each) => sum + each, 0);
  const records = [...files.values()].reduce((sum, each) => sum + each, 0);
  return `${header.realm}: ${count} exports joined to ${directory} in ${seconds.toFixed(1)} s: ${thousands(total)} rows, ${thousands(records)} files\n  report.json names each difference\n`;
}
