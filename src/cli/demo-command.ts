/** `realmlift demo`. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { RealmliftError } from '../errors.js';
import { REPORT_PAGE } from '../package/side-files.js';

export function demoCommand(): Command {
  return new Command('demo')
    .option('--output <dir>', 'directory under which acme is made', 'realmlift-demo')
    .addHelpText('after', `
Examples:
  npx realmlift demo && xdg-open realmlift-demo/acme/report.html

Exit codes: 0 done; 1 failed; 2 wrong usage.`)
    .action(async ({ output }: { output: string }) => {
      const made = join(output, 'acme');
      if (existsSync(made)) throw new RealmliftError('OUTPUT_EXISTS', 'usage', `${made} is there already`, { hint: `look at ${join(made, REPORT_PAGE)}, or choose another --output` });
      const { runDemo } = await import('../demo/demo.js');
      const code = await runDemo(output, (text) => { process.stderr.write(`demo: ${text}\n`); });
      if (code === 0) process.stdout.write(`file://${resolve(made, REPORT_PAGE)}\n`);
      else process.exitCode = code;
    });
}
