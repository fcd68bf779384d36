/** `realmlift split`: words of the command line -> one call. */
import { once } from 'node:events';
import { constants, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Writable } from 'node:stream';
import { Command, Option } from 'commander';
import { EXIT, RealmliftError } from '../errors.js';
import { ioReason } from '../io-reason.js';
import { readUserList } from '../plan/user-list.js';
import { avatarSalt } from '../plan/zulip-server-files.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { splitRealms, type SplitRequest, type SplitResult } from '../split/split-run.js';
import type { Write } from '../split/into-script.js';
import { collect } from './collect.js';
import { addFilesOptions, filesStore, type FilesOptions } from './files-options.js';
import { addLockOptions, lockPatience, type LockOptions } from './lock-options.js';
import { addSchemaOptions, decisionsOf, type SchemaOptions } from './schema-options.js';
import { longCommand } from './long-command.js';
import { addNarrationOptions, jsonLine, type NarrationOptions } from './narrate.js';
import { refuseTerminal } from './refuse-terminal.js';
import type { StopWords } from './stop-signals.js';
import { size, thousands } from '../numbers.js';
import { wholeNumber } from './whole-number.js';

interface SplitArguments extends FilesOptions, SchemaOptions, LockOptions, NarrationOptions {
  readonly realm: string[];
  readonly targetUrl?: string;
  readonly output?: string;
  readonly filesDir?: string;
  readonly mode: 'full' | 'consent' | 'public';
  readonly users?: string;
  readonly files: 'approved' | 'all';
  readonly allowUnknown?: true;
  readonly consentMessage?: number;
  readonly force?: true;
  readonly zulipSecrets?: string;
  readonly newZulipSecrets?: string;
  readonly avatars: boolean;
  readonly jobs: number;
  readonly pgDump: string;
}

export function splitCommand(): Command {
  const command = new Command('split')
    .optionsGroup('Whom:')
    .requiredOption('--realm <name>', 'subdomain of the realm; may be repeated', collect)
    .optionsGroup('What:')
    .addOption(new Option('--mode <mode>', 'whose private data travels, as for export').choices(['full', 'consent', 'public']).default('full'))
    .option('--users <file>', 'users whose transfer was approved: as under consent')
    .addOption(new Option('--files <which>', 'with --users: files that these users own, or of everybody').choices(['approved', 'all']).default('approved'))
    .option('--allow-unknown', 'skip users that the realm does not have')
    .option('--consent-message <id>', 'consent is a reaction to this message (before Zulip 10)', wholeNumber(1))
    .option('--force', 'split although nobody could administer the result')
    .optionsGroup('Where to:')
    .option('--target-url <url>', 'the empty database')
    .option('--output <file>', 'instead: a script that psql loads into one; - writes it to standard output')
    .optionsGroup('Files:')
    .option('--files-dir <dir>', 'also copy the uploaded files, into files/ and avatars/ below it')
    .option('--zulip-secrets <file>', "zulip-secrets.conf of this server, for the avatar_salt (else ZULIP_AVATAR_SALT)")
    .option('--new-zulip-secrets <file>', 'that of the new server: avatars get the names that they have there; else it must take over avatar_salt')
    .option('--no-avatars', 'leave the avatars out, when the salt is not known')
    .optionsGroup('Running:')
    .option('--jobs <n>', 'sessions that copy at once', wholeNumber(1), availableParallelism())
    .option('--pg-dump <program>', 'the pg_dump that writes the schema', 'pg_dump');
  addFilesOptions(addLockOptions(command)).optionsGroup('What the database does not say:');
  addNarrationOptions(addSchemaOptions(command));
  command.addHelpText('after', `
Examples:
  realmlift split --realm acme --target-url postgresql://zulip@new.example/zulip --uploads-dir /home/zulip/uploads --files-dir /srv/acme-uploads \\
    --zulip-secrets /etc/zulip/zulip-secrets.conf
  realmlift split --realm acme --output - | ssh new psql --no-psqlrc --dbname zulip

Exit codes: 0 done; 1 failed: a database is unfinished and says so, create it anew; 2 wrong usage; 3 unknown realm, or refused; 4 done, but for files that are named.`);
  return command.action(async (options: SplitArguments) => {
    const started = performance.now();
    if (options.output === '-') refuseTerminal('a script', 'pipe it on: --output - | psql --dbname NAME');
    const result = await longCommand(options, stopWords(options), (signal) => withDestination(options, (to) => splitRealms({ ...requestOf(options), to, signal })));
    const seconds = (performance.now() - started) / 1000;
    if (options.json === true) tellJson({ ...result, seconds }, options.output === '-');
    else if (options.quiet !== true || (result.files?.lost.length ?? 0) > 0) process.stderr.write(summary(result, seconds));
    if ((result.files?.lost.length ?? 0) > 0) process.exitCode = EXIT.losses;
  });
}

function stopWords({ targetUrl, output }: SplitArguments): StopWords {
  const left = targetUrl !== undefined ? 'the database is unfinished and says so' : output === '-' ? 'the script has no COMMIT, so that nothing of it is kept' : `there is no ${output ?? 'script'}`;
  return { stage: 'restore', left: () => left, hint: () => (targetUrl === undefined ? 'run it again from the start' : 'create the database anew, and run it again') };
}

/** What went to standard output is told beside it. */
function tellJson(result: Readonly<Record<string, unknown>>, streamed: boolean): void {
  if (streamed) process.stderr.write(`${jsonLine({ kind: 'result', ...result })}\n`);
  else process.stdout.write(`${JSON.stringify(result)}\n`);
}

function requestOf(options: SplitArguments): Omit<SplitRequest, 'to' | 'signal'> {
  const { env } = process;
  const approved = options.users === undefined ? undefined : readUserList(options.users);
  const salt = options.avatars ? avatarSalt({ secretsFile: options.zulipSecrets, env }) : undefined;
  if (options.filesDir !== undefined && options.avatars && salt === undefined) {
    throw new RealmliftError('SALT_MISSING', 'usage', 'the names of avatars are salted hashes, and the salt is not known', { hint: 'give --zulip-secrets FILE or ZULIP_AVATAR_SALT, or leave avatars out with --no-avatars', exit: EXIT.usage });
  }
  return {
    settings: connectionSettings(env.DATABASE_URL, env),
    targets: { realms: options.realm, exclude: [], users: undefined, approved, allowUnknown: options.allowUnknown === true },
    mode: approved === undefined ? options.mode : 'consent', consentMessage: options.consentMessage, force: options.force === true,
    decisions: decisionsOf(options), zulipVersion: options.zulipVersion, jobs: options.jobs, pgDump: options.pgDump, patience: lockPatience(options),
    files: options.filesDir === undefined ? undefined : {
      openStore: filesStore(options, env), directory: options.filesDir, salt, approvedFilesOnly: options.files === 'approved', jobs: options.fileJobs ?? 32,
      newSalt: options.newZulipSecrets === undefined ? undefined : avatarSalt({ secretsFile: options.newZulipSecrets, env: {} }),
    },
  };
}

/** A script gets its name when it is whole. */
async function withDestination(options: SplitArguments, work: (to: SplitRequest['to']) => Promise<SplitResult>): Promise<SplitResult> {
  const { targetUrl, output } = options;
  if ((targetUrl === undefined) === (output === undefined)) {
    throw new RealmliftError('USAGE', 'usage', 'a split goes either into a database or into a script', { hint: 'give --target-url URL or --output FILE', exit: EXIT.usage });
  }
  // The PG* variables of the environment are those of the server that is left.
  if (targetUrl !== undefined) return work({ kind: 'database', settings: connectionSettings(targetUrl, { PGPASSFILE: process.env.PGPASSFILE }) });
  if (output === '-') return work({ kind: 'script', write: writerOf(process.stdout) });
  const partial = `${output}.partial`;
  const file = createWriteStream(partial, { mode: 0o600, flags: constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY } as unknown as Parameters<typeof createWriteStream>[1]);
  try {
    await once(file, 'open').catch((cause: unknown) => {
      throw new RealmliftError('OUTPUT_UNUSABLE', 'usage', `cannot write ${partial}: ${ioReason(cause)}`, { hint: 'what is there is not overwritten', exit: EXIT.usage, cause });
    });
    const result = await work({ kind: 'script', write: writerOf(file) });
    file.end();
    await once(file, 'close');
    await rename(partial, output as string);
    return result;
  } catch (error) {
    if (!file.pending) await rm(partial, { force: true });
    throw error;
  } finally {
    file.destroy();
  }
}

function writerOf(stream: Writable): Write {
  return (bytes) => new Promise((resolve, reject) => { stream.write(bytes, (error) => (error === null || error === undefined ? resolve() : reject(error))); });
}

/** References and files that a summary names. */
const SHOWN = 20;

function summary({ realms, tables, rows, cut, warnings, files }: SplitResult, seconds: number): string {
  const lines = [`${realms.join(', ')}: split in ${seconds.toFixed(1)} s: ${thousands(rows)} rows in ${tables} tables${files === undefined ? '' : `, ${thousands(files.files)} files (${size(files.bytes)})`}`];
  for (const { table, column, referenced, how, rows: count } of cut) lines.push(`  ${thousands(count)} rows of ${table}: ${column} refers to rows of ${referenced} that stayed: ${how}`);
  for (const warning of warnings) lines.push(`  ${warning}`);
  const lost = files?.lost ?? [];
  for (const each of lost.slice(0, SHOWN)) lines.push(`  LOST ${each.replace(/\p{Cc}/gu, '\ufffd')}`);
  if (lost.length > SHOWN) lines.push(`  LOST and ${thousands(lost.length - SHOWN)} more files`);
  return `${lines.join('\n')}\n`;
}
