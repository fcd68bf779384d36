#!/usr/bin/env node
/** argv -> call -> exit code. The only place that writes errors to stderr and ends the process. */
import { Call } from './cli/call.js';
import { endBeforeBegun } from './cli/stop-signals.js';
import { requireOpenFiles } from './cli/open-files.js';
import { streamError } from './package/stream-error.js';

// What is written holds private data: for its owner alone, whatever the caller's umask allows.
process.umask(0o077);

const call = new Call(process.argv.slice(2));

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
  await call.run();
  // Writes are made at once, but told of behind what is under way.
  await new Promise(setImmediate);
  if (unwritten !== undefined) throw streamError(unwritten);
}

/** One line on stderr. Returns the exit code. */
function report(error: unknown): number {
  const { exit, line } = call.failure(error);
  if (line !== undefined) process.stderr.write(`${line}\n`);
  return exit;
}
