/** `realmlift report DIR`: the page of an export that is there. */
import { Command } from 'commander';
import { EXIT } from '../errors.js';
import { counted } from '../numbers.js';
import { writeNamed } from '../package/own-path.js';
import { diskError } from '../package/part-file.js';
import { writePage } from '../report/finish-report.js';
import { realmPage } from '../report/realm-page.js';
import { readFacts } from '../report/realm-facts.js';
import { verifyExport } from '../verify/verify-export.js';
import { longSteps, nothingLeft } from './long-command.js';
import { addNarrationOptions, tellResult, type NarrationOptions } from './story/narrate.js';
import { refuseTerminal } from './refuse-terminal.js';

interface ReportArguments extends NarrationOptions {
  readonly names?: true;
  readonly output?: string;
}

export function reportCommand(): Command {
  return addNarrationOptions(new Command('report')
    .argument('<directory>', 'an export, unpacked (also one that Zulip wrote)')
    .optionsGroup('What:')
    .option('--names', 'show what people called things: the realm, its channels, its largest files')
    .optionsGroup('Where to:')
    .option('-o, --output <file>', 'where the page goes (default: report.html in the directory); - is standard output'))
    .addHelpText('after', `
Examples:
  realmlift report out/acme && xdg-open out/acme/report.html
  realmlift report out/acme --names --output /tmp/acme.html

The page is one file that fetches nothing. Without --names no addresses, names or contents are on it.
Exit codes: 0 done; 1 the export is damaged, or the page cannot be written; 2 no such export.`)
    .action(async (directory: string, { names, output, ...told }: ReportArguments) => {
      if (output === '-') refuseTerminal('a page', 'give a file with --output, or redirect it: > report.html');
      const { verified, page } = await longSteps(told, nothingLeft('verify'), async () => {
        const verified = await verifyExport(directory);
        const request = { verified, names: names === true, place: { directory } };
        if (output === undefined) return { verified, page: await writePage(directory, request) };
        const text = realmPage(await readFacts(directory, request));
        if (output === '-') process.stdout.write(text);
        else await writeNamed(output, text).catch((error: unknown) => { throw diskError(error, output); });
        return { verified, page: output };
      });
      const result = { page, errors: verified.totals.errors };
      if (told.json === true) tellResult(result, output === '-');
      else if (told.quiet !== true && output === undefined) process.stdout.write(`${page}\n`);
      if (verified.totals.errors === 0) return;
      process.exitCode = EXIT.failed;
      if (told.json !== true) process.stderr.write(`realmlift: the export is damaged: ${counted(verified.totals.errors, 'error')}, which realmlift verify names\n`);
    });
}
