/** `realmlift pipe`: words of the command line -> one call. */
import { Command } from 'commander';
import { writeNdjson } from '../pipe/ndjson.js';
import { thousands } from './summary.js';
import { addQuiet, narrate, type NarrationOptions } from './narrate.js';

export function pipeCommand(): Command {
  return addQuiet(new Command('pipe')
    .argument('<directory>', 'a finished export')
    .option('--files-dir <dir>', 'where the files go that its lines name'))
    .addHelpText('after', `
Example:
  realmlift pipe out/acme --files-dir files | node load.js acme.sqlite

The first line is a header, the last a trailer with counts and the SHA-256 of all lines before it: without it the stream was cut.
\`realmlift export --format ndjson --output -\` writes the same lines.
Exit codes: 0 done; 1 failed, or the reader went away; 2 wrong usage.`)
    .action(async (directory: string, { filesDir, quiet }: { filesDir?: string } & NarrationOptions) => {
      const { rows, files } = await narrate({ ...(quiet && { quiet }) }, () => writeNdjson(directory, process.stdout, { filesDirectory: filesDir }));
      if (quiet !== true) process.stderr.write(`${thousands(Object.values(rows).reduce((sum, each) => sum + each, 0))} rows, ${thousands(files)} files\n`);
    });
}
