/** What realmlift can do: the definitions of which --help, the pages of docs/, man pages and completions are made. */
import { Command } from 'commander';
import { VERSION } from '../version.js';

interface Definition {
  readonly name: string;
  /** Its heading in the help. */
  readonly group: string;
  readonly define: () => Promise<Command>;
}

/** In the order of the help. Only the command at hand is loaded: all together take half a second. */
const DEFINITIONS = ([
  ['plan', 'Out of a server', async () => (await import('./plan-command.js')).planCommand()],
  ['export', 'Out of a server', async () => (await import('./export-command.js')).exportCommand()],
  ['export-user', 'Out of a server', async () => (await import('./export-user-command.js')).exportUserCommand()],
  ['snapshot', 'Out of a server', async () => (await import('./snapshot-command.js')).snapshotCommand()],
  ['install', 'Out of a server', async () => (await import('./install-command.js')).installCommand()],
  ['verify', 'Of exports that are there', async () => (await import('./verify-command.js')).verifyCommand()],
  ['report', 'Of exports that are there', async () => (await import('./report-command.js')).reportCommand()],
  ['merge', 'Of exports that are there', async () => (await import('./merge-command.js')).mergeCommand()],
  ['remap', 'Of exports that are there', async () => (await import('./remap-command.js')).remapCommand()],
  ['pipe', 'Of exports that are there', async () => (await import('./pipe-command.js')).pipeCommand()],
  ['import-check', 'Onto a server', async () => (await import('./import-check-command.js')).importCheckCommand()],
  ['load', 'Onto a server', async () => (await import('./load-command.js')).loadCommand()],
  ['split', 'Onto a server', async () => (await import('./split-command.js')).splitCommand()],
  ['backup', 'Whole databases', async () => (await import('./backup-command.js')).backupCommand()],
  ['restore', 'Whole databases', async () => (await import('./restore-command.js')).restoreCommand()],
  ['demo', 'Help', async () => (await import('./demo-command.js')).demoCommand()],
  ['completion', 'Help', async () => (await import('./completion-command.js')).completionCommand()],
] satisfies [string, string, () => Promise<Command>][]).map(([name, group, define]): Definition => ({ name, group, define }));

/** The program with the command that `named` names, or with all. */
export async function realmliftCommand(named: string): Promise<Command> {
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
  const only = DEFINITIONS.filter(({ name }) => name === named);
  for (const { group, define } of only.length > 0 ? only : DEFINITIONS) program.addCommand((await define()).helpGroup(`${group}:`));
  return program;
}
