/** `realmlift export`: words of the command line -> one call. */
import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { runExport } from '../export.js';
import { avatarSalt } from '../plan/zulip-server-files.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { collect } from './collect.js';
import { addFilesOptions, filesStore, type FilesOptions } from './files-options.js';
import { conclude } from './conclude.js';
import { wholeNumber } from './whole-number.js';

interface ExportArguments extends FilesOptions {
  readonly realm: string[];
  readonly mode: 'full' | 'consent' | 'public';
  readonly output: string;
  readonly jobs: number;
  readonly resume?: true;
  readonly force?: true;
  readonly strict?: true;
  readonly avatars: boolean;
  readonly strip: string[];
  readonly keep: string[];
  readonly consentMessage?: number;
  readonly zulipVersion?: string;
  readonly zulipDir?: string;
  readonly zulipSecrets?: string;
  readonly migrationStatus?: string;
  readonly randomSeed?: string;
}

export function exportCommand(): Command {
  const command = new Command('export')
    .description('Export realms as the directory that manage.py import reads.')
    .requiredOption('--realm <name>', 'subdomain of the realm', collect)
    .addOption(new Option('--mode <mode>', 'whose private data travels').choices(['full', 'consent', 'public']).default('full'))
    .option('--output <dir>', 'directory under which DIR/REALM is made', 'out')
    .option('--jobs <n>', 'sessions that copy at once', wholeNumber(1), availableParallelism())
    .option('--resume', 'go on with a run that stopped half-way')
    .option('--force', 'export although nobody could administer the result')
    .option('--strict', 'exit with 4 when something that should travel was lost')
    .option('--strip <table.column>', 'leave a column out', collect, [])
    .option('--keep <table.column>', 'export a column although its name looks like a secret', collect, [])
    .option('--consent-message <id>', 'consent is a reaction to this message (before Zulip 10)', wholeNumber(1))
    .option('--zulip-version <version>', 'the version of the server, if the database misleads')
    .option('--zulip-dir <dir>', "the server's source tree, for migration_status.json")
    .option('--migration-status <file>', 'a migration_status.json to use as it is')
    .option('--zulip-secrets <file>', 'zulip-secrets.conf, for the avatar_salt (else ZULIP_AVATAR_SALT)')
    .option('--no-avatars', 'leave the avatars out, when the salt is not known')
    .option('--random-seed <text>', 'make random colours and addresses repeatable');
  addFilesOptions(command);
  return command.action(async (options: ExportArguments) => {
    const started = performance.now();
    const outcomes = await runExport({
      settings: connectionSettings(process.env.DATABASE_URL, process.env),
      targets: { realms: options.realm, exclude: [], users: undefined }, mode: options.mode, output: options.output, jobs: options.jobs,
      resume: options.resume === true, force: options.force === true,
      decisions: { strip: new Set(options.strip), keep: new Set(options.keep) },
      consentMessage: options.consentMessage, zulipVersion: options.zulipVersion,
      migrationStatus: { file: options.migrationStatus, zulipDir: options.zulipDir },
      openStore: filesStore(options, process.env), fileJobs: options.fileJobs,
      salt: avatarSalt({ secretsFile: options.zulipSecrets, env: process.env }), avatars: options.avatars, randomSeed: options.randomSeed,
      onEvent: (event) => { if (event.kind === 'warning') process.stderr.write(`realmlift: ${event.text}\n`); },
    });
    conclude(outcomes, (performance.now() - started) / 1000, options.strict === true);
  });
}
