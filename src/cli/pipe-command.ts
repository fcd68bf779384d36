/** `realmlift pipe`: words of the command line -> one call. */
import { Command } from 'commander';
import { counted, sum } from '../numbers.js';
import { writeNdjson } from '../pipe/ndjson.js';
import { longSteps } from './long-command.js';
import { addNarrationOptions, tellResult, type NarrationOptions } from './story/narrate.js';
import { refuseTerminal } from './refuse-terminal.js';
import type { StopWords } from './stop-signals.js';

/** Its reader sees that it was cut. */
const STOPPED: StopWords = { stage: 'copy', left: () => 'the stream has no trailer, so that its reader knows that it was cut', hint: () => 'run it again from the start' };

export function pipeCommand(): Command {
  const command = new Command('pipe')
    .argument('<directory>', 'a finished export')
    .optionsGroup('Where to:')
    .option('--files-dir <dir>', 'where the files go that its lines name');
  return addNarrationOptions(command)
    .addHelpText('after', `
Examples:
  realmlift pipe out/acme | head -1
  realmlift pipe out/acme --files-dir files | node load.js acme.sqlite

The first line is a header, the last a trailer with counts and the SHA-256 of all lines before it: without it the stream was cut.
\`realmlift export --format ndjson --output -\` writes the same lines. With --json the result is the last object on standard error.
Exit codes: 0 done; 1 failed, or the reader went away; 2 wrong usage.`)
    .action(async (directory: string, { filesDir, ...options }: { filesDir?: string } & NarrationOptions) => {
      refuseTerminal('a stream of rows', `pipe it on: realmlift pipe ${directory} | less`);
      const { rows, files } = await longSteps(options, STOPPED, () => writeNdjson(directory, process.stdout, { filesDirectory: filesDir }));
      if (options.json === true) tellResult({ rows, files }, true);
      else if (options.quiet !== true) process.stderr.write(`${counted(sum(Object.values(rows)), 'row')}, ${counted(files, 'file')}\n`);
    });
}
