#!/usr/bin/env node
/** argv -> call -> exit code. The only place that writes errors to stderr and ends the process. */
import { Command, CommanderError } from 'commander';
import { errorJson } from './cli/conclude.js';
import { exportCommand } from './cli/export-command.js';
import { exportUserCommand } from './cli/export-user-command.js';
import { installCommand } from './cli/install-command.js';
import { snapshotCommand } from './cli/snapshot-command.js';
import { verifyCommand } from './cli/verify-command.js';
import { EXIT, RealmliftError } from './errors.js';
import { VERSION } from './version.js';

const exporting = [exportCommand(), exportUserCommand()];
const program = new Command('realmlift')
  .description('Lifts realms off a multi-realm Zulip server: one consistent snapshot, secrets stripped, packaged as the export that manage.py import reads.')
  .version(VERSION)
  .option('--debug', 'print stack traces of errors')
  .showHelpAfterError('(realmlift --help explains)')
  .exitOverride()
  .addHelpText('after', `
Connection settings are those of psql: DATABASE_URL, or PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD (or ~/.pgpass), PGSSLMODE, PGSERVICE.
Files: --uploads-dir DIR, or S3_ENDPOINT, S3_REGION, S3_UPLOADS_BUCKET, S3_AVATARS_BUCKET and the AWS SDK's own credentials.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 nothing exported (unknown realm, or refused);
            4 finished, but with losses that the report names and --strict forbids;
            130, 143 stopped by ^C or SIGTERM, to be resumed.`);
for (const command of exporting) program.addCommand(command);
program
  .addCommand(snapshotCommand())
  .addCommand(installCommand())
  .addCommand(verifyCommand());

for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  // At once: what is still under way would only be resumed.
  process.exit(report(error));
}

/** One line on stderr, never a row's content; the stack only under --debug. Returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  const debug = process.argv.includes('--debug');
  if (exporting.some((command) => command.opts<{ json?: true }>().json === true)) {
    process.stderr.write(`${errorJson(error)}\n`);
    return error instanceof RealmliftError ? error.exit : EXIT.failed;
  }
  if (error instanceof RealmliftError) {
    process.stderr.write(`${debug ? chain(error) : error.line}\n`);
    return error.exit;
  }
  const message = error instanceof Error ? error.message.split('\n')[0] : 'unknown error';
  process.stderr.write(`${debug ? chain(error) : `realmlift: UNEXPECTED: ${message} (--debug shows where)`}\n`);
  return EXIT.failed;
}

function chain(error: unknown): string {
  const lines: string[] = [];
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    lines.push(each instanceof RealmliftError ? `${each.line}\n${each.stack ?? ''}` : (each.stack ?? each.message));
  }
  return lines.join('\ncaused by: ');
}
