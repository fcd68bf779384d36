/** `realmlift split`: words of the command line -> one call. */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import type { UploadPlace } from '../files/upload/upload-place.js';
import { EXIT, RealmliftError } from '../errors.js';
import { s3Settings } from '../files/s3/s3-settings.js';
import { streamError } from '../package/stream-error.js';
import { avatarSalt } from '../plan/release/zulip-server-files.js';
import { counted, size } from '../numbers.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { withScriptFile, writerOf } from '../split/script-file.js';
import { leftBy, splitRealms, type Reached, type SplitRequest, type SplitResult } from '../commands/split.js';
import type { Left } from '../split/unfinished-split.js';
import { collect } from './options/collect.js';
import { refuseContradictions, refuseIdle } from './options/contradictions.js';
import { addFilesOptions, FILE_JOBS, filesStore, type FilesOptions } from './options/files-options.js';
import { addLockOptions, lockPatience, type LockOptions } from './options/lock-options.js';
import { longCommand } from './long-command.js';
import { addNarrationOptions, tellResult, type NarrationOptions } from './story/narrate.js';
import { printable } from './story/printable.js';
import { newServerSettings } from './options/new-server.js';
import { addPeopleOptions, peopleOf, type PeopleOptions } from './options/people-options.js';
import { addSchemaOptions, decisionsOf, type SchemaOptions } from './options/schema-options.js';
import { refuseTerminal } from './refuse-terminal.js';
import type { StopWords } from './stop-signals.js';
import { jobCount } from './options/whole-number.js';

interface SplitArguments extends FilesOptions, SchemaOptions, LockOptions, PeopleOptions, NarrationOptions {
  readonly realm: string[];
  readonly targetUrl?: string;
  readonly output?: string;
  readonly restart?: true;
  readonly filesDir?: string;
  readonly targetUploadsBucket?: string;
  readonly targetAvatarsBucket?: string;
  readonly zulipSecrets?: string;
  readonly targetZulipSecrets?: string;
  readonly avatars: boolean;
  readonly jobs: number;
  readonly pgDump: string;
}

export function splitCommand(): Command {
  const command = new Command('split')
    .optionsGroup('Whom:')
    .requiredOption('--realm <name>', 'subdomain of the realm; may be repeated', collect)
    .optionsGroup('What:');
  addPeopleOptions(command, 'split')
    .optionsGroup('Where to:')
    .option('--target-url <url>', 'the empty database')
    .option('--output <file>', 'instead: a script that psql loads into one; - writes it to standard output')
    .option('--restart', 'first remove what a split that was stopped or killed left there')
    .option('--files-dir <dir>', 'also copy the uploaded files, into files/ and avatars/ below it; alone: the files without the database')
    .option('--target-uploads-bucket <name>', 'instead of --files-dir: the bucket of uploads of the new server, by the S3 settings, or those of the same names with TARGET_ before them')
    .option('--target-avatars-bucket <name>', 'its bucket of avatars, emoji and icons')
    .option('--target-zulip-secrets <file>', "the new server's zulip-secrets.conf: avatars get the names that they have there; without it, that server must take over avatar_salt")
    .optionsGroup('What the database does not say:')
    .option('--zulip-secrets <file>', "zulip-secrets.conf of this server, for the avatar_salt (else ZULIP_AVATAR_SALT)")
    .option('--no-avatars', 'leave the avatars out, when the salt is not known')
    .optionsGroup('Running:')
    .option('--jobs <n>', 'sessions that copy at once', jobCount, availableParallelism())
    .option('--pg-dump <program>', 'the pg_dump that writes the schema', 'pg_dump');
  addFilesOptions(addLockOptions(command)).optionsGroup('What the database does not say:');
  addNarrationOptions(addSchemaOptions(command));
  command.addHelpText('after', `
Examples:
  realmlift split --realm acme --target-url postgresql://zulip@new.example/zulip --uploads-dir /home/zulip/uploads --files-dir /srv/acme-uploads \\
    --zulip-secrets /etc/zulip/zulip-secrets.conf
  realmlift split --realm acme --target-url postgresql://zulip@new.example/zulip --target-uploads-bucket new-uploads --target-avatars-bucket new-avatars
  realmlift split --realm acme --output - | ssh new psql --no-psqlrc --dbname zulip

Exit codes: 0 done; 1 failed, or the target is not empty: a database that was begun says so, --restart begins anew; 2 wrong usage; 3 unknown realm, or refused before anything was written; 4 done, but for files that are named.`);
  return command.action(async (options: SplitArguments) => {
    const started = performance.now();
    const request = requestOf(command, options);
    let reached: Reached = 'nothing';
    const onReached = (now: Reached): void => { reached = now; };
    const result = await longCommand(options, stopWords(options, () => reached), (signal) => withDestination(options, (to) => splitRealms({ ...request, to, signal, onReached })));
    const seconds = Math.round(performance.now() - started) / 1000;
    const lost = result.files?.lost ?? 0;
    if (options.json === true) tellResult({ ...result, seconds }, options.output === '-');
    else if (options.quiet !== true || lost > 0) process.stderr.write(summary(result, seconds));
    if (lost > 0) process.exitCode = EXIT.losses;
  });
}

function stopWords({ targetUrl, output }: SplitArguments, reached: () => Reached): StopWords {
  const left = (): Left => leftBy(targetUrl !== undefined ? 'database' : output !== undefined ? 'script' : undefined, reached());
  return { stage: 'split', left: () => left().left, hint: () => left().hint };
}

function requestOf(command: Command, options: SplitArguments): Omit<SplitRequest, 'to' | 'signal'> {
  const { env } = process;
  const { targetUrl, output, filesDir, targetUploadsBucket: uploads, targetAvatarsBucket: avatars, targetZulipSecrets } = options;
  const files = filesDir !== undefined || uploads !== undefined;
  refuseContradictions([
    { when: targetUrl !== undefined && output !== undefined, message: 'a split goes either into a database or into a script', hint: 'give --target-url URL or --output FILE' },
    { when: targetUrl === undefined && output === undefined && !files, message: 'it is not said where the split goes', hint: 'give --target-url URL or --output FILE' },
    { when: (uploads === undefined) !== (avatars === undefined), message: '--target-uploads-bucket and --target-avatars-bucket go together', hint: 'name both buckets of the new server' },
    { when: filesDir !== undefined && uploads !== undefined, message: 'files go either into a directory or into buckets', hint: 'leave out --files-dir, or the buckets' },
    { when: targetZulipSecrets !== undefined && !files, message: '--target-zulip-secrets is for the names of avatars', hint: 'add --files-dir DIR or the buckets, or leave it out' },
  ]);
  refuseIdle(command, !files, ['uploadsDir', 'copyMode', 'fileJobs', 'partSize', 'fileTimeout', 'caFile', 'opaqueEtags', 'zulipSecrets', 'avatars', 'files'], 'is about uploaded files, and none are asked for', 'add --files-dir DIR or the buckets of the new server, or leave it out');
  if (output === '-') refuseTerminal('a script', 'pipe it on: --output - | psql --dbname NAME');
  const { approved, allowUnknown, ...people } = peopleOf(command, options, 'split');
  return {
    settings: connectionSettings(env.DATABASE_URL, env),
    targets: { realms: options.realm, exclude: [], users: undefined, approved, allowUnknown },
    ...people, avatars: options.avatars,
    decisions: decisionsOf(options), zulipVersion: options.zulipVersion, jobs: options.jobs, pgDump: options.pgDump, patience: lockPatience(options),
    files: files ? filesRequest(options) : undefined,
  };
}

function filesRequest(options: SplitArguments): SplitRequest['files'] {
  const { env } = process;
  const salt = options.avatars ? avatarSalt({ secretsFile: options.zulipSecrets, env }) : undefined;
  if (options.avatars && salt === undefined) {
    throw new RealmliftError('SALT_MISSING', 'usage', 'the names of avatars are salted hashes, and the salt is not known', { hint: 'give --zulip-secrets FILE or ZULIP_AVATAR_SALT, or leave avatars out with --no-avatars', exit: EXIT.usage });
  }
  return {
    openStore: filesStore(options, env), place: placeOf(options, env), salt, jobs: options.fileJobs ?? FILE_JOBS,
    newSalt: options.targetZulipSecrets === undefined ? undefined : avatarSalt({ secretsFile: options.targetZulipSecrets, env: {} }),
  };
}

/** Settings of the buckets' server, each of which TARGET_… replaces. */
const S3 = ['S3_ENDPOINT', 'S3_REGION', 'S3_ADDRESSING_STYLE'] as const;

function placeOf({ uploadsDir, filesDir, targetUploadsBucket: uploads, targetAvatarsBucket: avatars, caFile, fileTimeout }: SplitArguments, env: NodeJS.ProcessEnv): UploadPlace {
  if (filesDir !== undefined) return { kind: 'directory', directory: filesDir };
  const own = s3Settings(Object.fromEntries(S3.map((name) => [name, env[`TARGET_${name}`] ?? env[name]])));
  const { TARGET_AWS_ACCESS_KEY_ID: accessKeyId, TARGET_AWS_SECRET_ACCESS_KEY: secretAccessKey, TARGET_AWS_SESSION_TOKEN: sessionToken } = env;
  const sameServer = uploadsDir === undefined && own.endpoint === s3Settings(env).endpoint;
  refuseContradictions([{
    when: sameServer && [uploads, avatars].some((bucket) => bucket === env.S3_UPLOADS_BUCKET || bucket === env.S3_AVATARS_BUCKET),
    message: 'the buckets of the new server are those of this one', hint: 'name others; a server that shares the buckets finds the files under the names that they have',
  }]);
  return {
    kind: 'buckets', uploads: uploads as string, avatars: avatars as string,
    connection: { ...own, caFile, timeout: fileTimeout, ...(accessKeyId === undefined || secretAccessKey === undefined ? {} : { credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) } }) },
  };
}

async function withDestination({ targetUrl, output, restart }: SplitArguments, work: (to: SplitRequest['to']) => Promise<SplitResult>): Promise<SplitResult> {
  if (targetUrl !== undefined) return work({ kind: 'database', settings: newServerSettings(targetUrl), restart: restart === true });
  if (output === undefined) return work(undefined);
  if (output === '-') return work({ kind: 'script', write: writerOf(process.stdout, (error) => streamError(error) as Error), finish: () => Promise.resolve() });
  return withScriptFile(output, restart === true, (write, finish) => work({ kind: 'script', write, finish }));
}

function summary({ realms, database, files }: SplitResult, seconds: number): string {
  const rows = database === undefined ? [] : [`${counted(database.rows, 'row')} in ${counted(database.tables, 'table')}`];
  const copied = files === undefined ? [] : [`${counted(files.files, 'file')} (${size(files.bytes)})`];
  const lines = [`${realms.join(', ')}: split in ${seconds.toFixed(1)} s: ${[...rows, ...copied].join(', ')}`];
  for (const { table, column, referenced, how, rows: count } of database?.cut ?? []) lines.push(`  ${counted(count, 'row')} of ${table}: ${column} refers to rows of ${referenced} that stayed: ${how}`);
  for (const warning of database?.warnings ?? []) lines.push(`  ${warning}`);
  const { lost, lostNames } = files ?? { lost: 0, lostNames: [] };
  for (const each of lostNames) lines.push(`  LOST ${printable(each)}`);
  if (lost > lostNames.length) lines.push(`  LOST and ${counted(lost - lostNames.length, 'more file')}`);
  return `${lines.join('\n')}\n`;
}
