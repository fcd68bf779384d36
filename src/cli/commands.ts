/** What realmlift can do: the definitions of which --help, the pages of docs/, man pages and completions are made. */
import { Command, Help } from 'commander';
import { VERSION } from '../version.js';

interface Definition {
  readonly name: string;
  /** As the help lists it: name, options, arguments. */
  readonly term: string;
  /** Its heading in the help. */
  readonly group: string;
  readonly load: () => Promise<Command>;
  readonly description: string;
}

/** In the order of the help, which needs no more than this: a command's own file is loaded when the command is called. */
const DEFINITIONS = ([
  ['plan [options]', 'Out of a server', async () => (await import('./plan-command.js')).planCommand(),
    'Tell what an export would take, by which rules, and what it would leave. Reads no message content.'],
  ['export [options]', 'Out of a server', async () => (await import('./export-command.js')).exportCommand(),
    'Export realms as the directories that manage.py import reads, all out of one snapshot.'],
  ['worker [options]', 'Out of a server', async () => (await import('./worker-command.js')).workerCommand(),
    'Work for exports and backups that other machines run with `--queue`: copy rows and fetch files for them.'],
  ['export-user [options]', 'Out of a server', async () => (await import('./export-user-command.js')).exportUserCommand(),
    "Export single users as Zulip's export_single_user does: own messages and those received directly, settings, files."],
  ['snapshot [options]', 'Out of a server', async () => (await import('./snapshot-command.js')).snapshotCommand(),
    'Hold a snapshot of the database until ^C, for `realmlift export --snapshot ID` and for resuming after that.'],
  ['install [options]', 'Out of a server', async () => (await import('./install-command.js')).installCommand(),
    "Make views of Zulip's tables without their secret columns (schema realmlift), and a role that can read nothing else."],
  ['verify [options] <directory>', 'Of exports that are there', async () => (await import('./verify-command.js')).verifyCommand(),
    'Re-read an export and check that it is whole, closed and without secrets; or check a backup.'],
  ['report [options] <directory>', 'Of exports that are there', async () => (await import('./report-command.js')).reportCommand(),
    'Write the page of an export: what it holds, what stayed and why, whether it is whole. Reads the export again.'],
  ['merge [options] <directory...>', 'Of exports that are there', async () => (await import('./merge-command.js')).mergeCommand(),
    'Join exports to one: of one realm of one server, made at different moments or for different people; or of several realms, with --remap.'],
  ['remap [options] <directory>', 'Of exports that are there', async () => (await import('./remap-command.js')).remapCommand(),
    'Write an export with the ids of another server: a new id for every row, in every place that names it.'],
  ['pipe [options] <directory>', 'Of exports that are there', async () => (await import('./pipe-command.js')).pipeCommand(),
    'Write a finished export to standard output as lines of JSON, one a row, parents before children.'],
  ['import-check [options] <directory>', 'Onto a server', async () => (await import('./import-check-command.js')).importCheckCommand(),
    "Rehearse what Zulip's import will demand of an export and of the new server. Writes nothing."],
  ['load [options] <directory>', 'Onto a server', async () => (await import('./load-command.js')).loadCommand(),
    "Load a finished export into a new server's database, with new ids, and its files to that server's uploads. Until the last step nobody sees the realm."],
  ['split [options]', 'Onto a server', async () => (await import('./split-command.js')).splitCommand(),
    "Split realms off as a database of their own, ids unchanged and without anybody's secrets: for Zulip's own upgrade, or for staging."],
  ['backup [options]', 'Whole databases', async () => (await import('./backup-command.js')).backupCommand(),
    'Save the whole database out of one snapshot, encrypted with age before it touches a disk.'],
  ['restore [options] <backup>', 'Whole databases', async () => (await import('./restore-command.js')).restoreCommand(),
    'Restore a backup into an empty database; run again, it goes on where it stopped. Uploaded files go into an empty place of theirs.'],
  ['demo [options]', 'Help', async () => (await import('./demo-command.js')).demoCommand(realmliftCommand),
    'Export a realm of a built-in sample server, to see what an export is. Needs no database.'],
  ['completion <shell>', 'Help', async () => (await import('./completion-command.js')).completionCommand(wholeProgram),
    'Print the completion of commands and options for a shell.'],
] satisfies [string, string, () => Promise<Command>, string][]).map(([term, group, load, description]): Definition => ({ name: term.split(' ')[0] as string, term, group, load, description }));

/** The program with the one command that `named` names; else with the names of all, to be listed. */
export async function realmliftCommand(named: string): Promise<Command> {
  const only = DEFINITIONS.find(({ name }) => name === named);
  return only === undefined ? programOf(DEFINITIONS.map(listed)) : programOf([await whole(only)]);
}

/** The program with every command whole, of which pages and completions are made. */
export async function wholeProgram(): Promise<Command> {
  return programOf(await Promise.all(DEFINITIONS.map(whole)));
}

async function whole({ group, load, description }: Definition): Promise<Command> {
  return (await load()).description(description).helpGroup(`${group}:`);
}

/** Stands in the list of commands, and can do nothing. */
function listed({ name, group, description }: Definition): Command {
  return new Command(name).description(description).helpGroup(`${group}:`);
}

function programOf(commands: readonly Command[]): Command {
  const terms = new Map(DEFINITIONS.map(({ name, term }) => [name, term]));
  const program = new Command('realmlift')
    .description('Lifts realms off a multi-realm Zulip server: one consistent snapshot, secrets stripped, packaged as the export that manage.py import reads.')
    .version(VERSION)
    .option('--debug', 'print stack traces of errors')
    .addHelpText('after', `
Connection settings are those of psql: DATABASE_URL, or PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD (or ~/.pgpass), PGSSLMODE, PGSERVICE.
Files: --uploads-dir DIR, or S3_ENDPOINT, S3_REGION, S3_UPLOADS_BUCKET, S3_AVATARS_BUCKET, S3_ADDRESSING_STYLE
(path, virtual or auto) and the AWS SDK's own credentials; endpoint and region too may be those of AWS_PROFILE. --upload s3://BUCKET/PREFIX goes by the same.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 nothing exported (unknown realm, or refused);
            4 finished, but with losses that the report names and --strict forbids;
            130, 143 stopped by ^C or SIGTERM, to be resumed.`);
  program.configureHelp({ subcommandTerm: (command) => terms.get(command.name()) ?? Help.prototype.subcommandTerm(command) });
  for (const command of commands) program.addCommand(command);
  return program;
}
