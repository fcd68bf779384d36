#!/usr/bin/env node
/** argv -> call -> exit code. The only place that writes errors to stderr and ends the process. */
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { realmliftCommand } from './cli/commands.js';
import { errorJson } from './cli/story/error-json.js';
import { endBeforeBegun } from './cli/stop-signals.js';
import { requireOpenFiles } from './cli/open-files.js';
import { refuseWords, usageError } from './cli/usage-error.js';
import { asRealmliftError, EXIT, RealmliftError } from './errors.js';
import { streamError } from './package/stream-error.js';
import { removeAbandoned } from './temporary-directory.js';

// What is written holds private data: for its owner alone, whatever the caller's umask allows.
process.umask(0o077);

const words = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const named = (words[0] === 'help' ? words[1] : words[0]) ?? '';
let program: Command | undefined;

// Node ends the process with a stack where nobody listens. What cannot be told on standard error is told by the exit code.
let unwritten: Error | undefined;
process.stdout.on('error', (error) => { unwritten ??= error; });
process.stderr.on('error', () => undefined);

endBeforeBegun((error) => process.exit(report(error)));

// A process that has nothing to wait for any more ends, also in the midst of a command: that is no success.
let ended = false;
process.once('beforeExit', () => { if (!ended) process.exitCode = report(new Error('the command came to its end before its work')); });

run().then(async () => {
  ended = true;
  // Node would tidy up before it ends by itself, for a twentieth of a small export's time. What was written is written first.
  for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write('', resolve));
  process.exit();
}, (error: unknown) => {
  // At once: what is still under way would only be resumed.
  process.exit(report(error));
});

async function run(): Promise<void> {
  requireOpenFiles();
  program = await realmliftCommand(named);
  program.hook('preAction', (_, command) => { refuseWords(command); });
  program.hook('preAction', removeAbandoned);
  // The one line that says what is wrong comes from report().
  for (const command of [program, ...program.commands]) command.exitOverride().configureOutput({ outputError: () => undefined });
  // The help of what is no command would be that of all, as if it had been asked for.
  const asked = words[0] === 'help' && named !== '' && program.commands.length > 1 ? [named] : process.argv.slice(2);
  await program.parseAsync(asked, { from: 'user' }).catch((error: unknown) => {
    // The help and the version are an output like any other.
    if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
  });
  // Writes are made at once, but told of behind what is under way.
  await new Promise(setImmediate);
  if (unwritten !== undefined) throw streamError(unwritten);
}

/** One line on stderr, never a row's content; the stack only under --debug. Returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Without any word the help itself was printed.
    if (error.code !== 'commander.help') tell(usageError(error, program === undefined || program.commands.length > 1 ? '' : named), process.argv.includes('--json'));
    return EXIT.usage;
  }
  const known = asRealmliftError(error);
  if (known.code === 'OUTPUT_CLOSED') return known.exit;
  const json = program?.commands.some((command) => command.opts<{ json?: true }>().json === true);
  tell(known, json === true, process.argv.includes('--debug') ? chain(error) : undefined);
  return known.exit;
}

function tell(error: RealmliftError, json: boolean, trace?: string): void {
  process.stderr.write(`${json ? errorJson(error) : trace ?? error.line}\n`);
}

function chain(error: unknown): string {
  const lines: string[] = [];
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    lines.push(each instanceof RealmliftError ? `${each.line}\n${each.stack ?? ''}` : (each.stack ?? each.message));
  }
  return lines.join('\ncaused by: ');
}
