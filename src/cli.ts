#!/usr/bin/env node
/** argv -> call -> exit code. The only place that writes errors to stderr and ends the process. */
import { Command, CommanderError } from 'commander';
import { errorJson } from './cli/conclude.js';
import { asRealmliftError, EXIT, RealmliftError } from './errors.js';
import { VERSION } from './version.js';

/** Definitions by name, in the order of the help. Only the command at hand is loaded: all together take half a second. */
const COMMANDS = new Map<string, () => Promise<Command>>([
  ['export', async () => (await import('./cli/export-command.js')).exportCommand()],
  ['export-user', async () => (await import('./cli/export-user-command.js')).exportUserCommand()],
  ['plan', async () => (await import('./cli/plan-command.js')).planCommand()],
  ['verify', async () => (await import('./cli/verify-command.js')).verifyCommand()],
  ['report', async () => (await import('./cli/report-command.js')).reportCommand()],
  ['merge', async () => (await import('./cli/merge-command.js')).mergeCommand()],
  ['remap', async () => (await import('./cli/remap-command.js')).remapCommand()],
  ['pipe', async () => (await import('./cli/pipe-command.js')).pipeCommand()],
  ['load', async () => (await import('./cli/load-command.js')).loadCommand()],
  ['import-check', async () => (await import('./cli/import-check-command.js')).importCheckCommand()],
  ['snapshot', async () => (await import('./cli/snapshot-command.js')).snapshotCommand()],
  ['install', async () => (await import('./cli/install-command.js')).installCommand()],
  ['backup', async () => (await import('./cli/backup-command.js')).backupCommand()],
  ['restore', async () => (await import('./cli/restore-command.js')).restoreCommand()],
]);

// What is written holds private data: for its owner alone, whatever the caller's umask allows.
process.umask(0o077);

const program = new Command('realmlift')
  .description('Lifts realms off a multi-realm Zulip server: one consistent snapshot, secrets stripped, packaged as the export that manage.py import reads.')
  .version(VERSION)
  .option('--debug', 'print stack traces of errors')
  .addHelpText('after', `
Connection settings are those of psql: DATABASE_URL, or PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD (or ~/.pgpass), PGSSLMODE, PGSERVICE.
Files: --uploads-dir DIR, or S3_ENDPOINT, S3_REGION, S3_UPLOADS_BUCKET, S3_AVATARS_BUCKET, S3_ADDRESSING_STYLE
(path, virtual or auto) and the AWS SDK's own credentials. --upload s3://BUCKET/PREFIX goes by the same.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 nothing exported (unknown realm, or refused);
            4 finished, but with losses that the report names and --strict forbids;
            130, 143 stopped by ^C or SIGTERM, to be resumed.`);
const named = process.argv.slice(2).find((word) => !word.startsWith('-')) ?? '';
const only = COMMANDS.get(named);
for (const define of only === undefined ? COMMANDS.values() : [only]) program.addCommand(await define());

// The one line that says what is wrong comes from report().
for (const command of [program, ...program.commands]) command.exitOverride().configureOutput({ outputError: () => undefined });

try {
  await program.parseAsync();
} catch (error) {
  // At once: what is still under way would only be resumed.
  process.exit(report(error));
}

/** One line on stderr, never a row's content; the stack only under --debug. Returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.done;
    // Without any word the help itself was printed.
    if (error.code !== 'commander.help') process.stderr.write(`${usageError(error).line}\n`);
    return EXIT.usage;
  }
  const known = asRealmliftError(error);
  if (known.code === 'OUTPUT_CLOSED') return known.exit;
  const json = named.startsWith('export') && program.commands.some((command) => command.opts<{ json?: true }>().json === true);
  process.stderr.write(`${json ? errorJson(known) : process.argv.includes('--debug') ? chain(error) : known.line}\n`);
  return known.exit;
}

function usageError({ message }: CommanderError): RealmliftError {
  return new RealmliftError('USAGE', 'usage', message.replace(/^error: /, ''), { hint: `realmlift ${only === undefined ? '' : `${named} `}--help explains` });
}

function chain(error: unknown): string {
  const lines: string[] = [];
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    lines.push(each instanceof RealmliftError ? `${each.line}\n${each.stack ?? ''}` : (each.stack ?? each.message));
  }
  return lines.join('\ncaused by: ');
}
