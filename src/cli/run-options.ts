/** Options that `export` and `export-user` share, and how they become the call's. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Option, type Command } from 'commander';
import type { ExportOptions } from '../commands/export.js';
import type { OrphanChoice } from '../files/pull-files.js';
import { directoryOf, type Outcome } from '../export/outcome.js';
import { tellPhase, tellProgress } from '../narration.js';
import { avatarSalt } from '../plan/release/zulip-server-files.js';
import type { Target } from '../plan/targets.js';
import { inStream } from '../report/place.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { addFilesOptions, filesStore, type FilesOptions } from './options/files-options.js';
import { conclude, resultOf } from './story/conclude.js';
import { NO_FILES } from '../files/no-files.js';
import { refuseContradictions } from './options/contradictions.js';
import { duration } from './options/duration.js';
import { addLockOptions, type LockOptions } from './options/lock-options.js';
import { addNarrationOptions, tellResult, type NarrationOptions } from './story/narrate.js';
import { withProgress } from './story/progress.js';
import { refuseTerminal } from './refuse-terminal.js';
import { progressMode } from './story/show-story.js';
import { addSchemaOptions, decisionsOf, type SchemaOptions } from './options/schema-options.js';
import type { StreamFormat } from './standard-output.js';
import { withStopSignals, type StopWords } from './stop-signals.js';
import { addUploadOptions, withUpload, type Destination, type UploadOptions } from './upload.js';
import { addQueueOptions, queueOf, refuseIdleTimeout, type QueueOption } from './options/queue-option.js';
import { jobCount } from './options/whole-number.js';

export interface RunArguments extends FilesOptions, SchemaOptions, LockOptions, NarrationOptions, Omit<UploadOptions, 'caFile' | 'fileTimeout'>, QueueOption {
  readonly format?: StreamFormat;
  readonly filesDir?: string;
  readonly jobs: number;
  readonly resume?: true;
  readonly snapshot?: string;
  /** Of `export` alone. */
  readonly base?: string;
  readonly maxSnapshotAge?: number;
  readonly strict?: true;
  readonly verify: boolean;
  readonly avatars: boolean;
  /** False of an export of rows alone. */
  readonly files: 'approved' | 'all' | boolean;
  readonly zulipDir?: string;
  readonly zulipSecrets?: string;
  readonly migrationStatus?: string;
  readonly randomSeed?: string;
  readonly orphans?: OrphanChoice;
}

export function addRunOptions(command: Command): Command {
  command
    .optionsGroup('Where to:')
    .option('--output <dir>', 'directory under which one directory a realm is made; - streams tar to standard output while the export is made; s3://BUCKET/PREFIX stores it there (made below TMPDIR; with --queue workers store it)', 'out')
    .option('--tarball', 'also write NAME.tar.gz, and its SHA-256 beside it')
    .optionsGroup('Running:')
    .option('--jobs <n>', 'sessions that copy at once', jobCount, availableParallelism())
    .option('--resume', 'go on with a run that stopped half-way')
    .option('--snapshot <id>', 'export out of the snapshot that `realmlift snapshot` holds')
    .option('--max-snapshot-age <duration>', 'stop, so that --resume can go on, when the snapshot is older than this (90s, 30m, 6h, 2d)', duration);
  addQueueOptions(command, 'it done')
    .option('--strict', 'exit with 4 when something that should travel was lost')
    .option('--no-verify', 'do not read the finished export again to check it');
  addSchemaOptions(addLockOptions(command).optionsGroup('What the database does not say:'))
    .option('--zulip-dir <dir>', "the server's source tree, for migration_status.json")
    .option('--migration-status <file>', 'a migration_status.json to use as it is')
    .option('--zulip-secrets <file>', 'zulip-secrets.conf, for the avatar_salt (else ZULIP_AVATAR_SALT)')
    .optionsGroup('Files:')
    .option('--no-files', 'export rows alone: no uploaded files, avatars, emoji and icons, and no rows of attachments, which the import refuses without their files')
    .option('--no-avatars', 'leave the avatars out, when the salt is not known')
    .optionsGroup('Where to:')
    .addOption(new Option('--format <format>', 'with --output -: a tar of the directory, or one line of JSON a row').choices(['directory', 'ndjson']))
    .option('--files-dir <dir>', 'with --format ndjson: where the files go that its lines name')
    .optionsGroup('Running:')
    .addOption(new Option('--random-seed <text>', 'make random colours and addresses repeatable'));
  addNarrationOptions(command);
  addFilesOptions(command)
    .addOption(new Option('--orphans <what>', 'files of the realm that no row claims: name them in report.json, copy them to orphans/ (full exports), or do not look (default: report)').choices(['report', 'copy', 'ignore']));
  return addUploadOptions(command);
}

type SharedOptions = Omit<ExportOptions, 'targets' | 'mode' | 'approvedFilesOnly' | 'consentMessage' | 'force' | 'signal' | 'onEvent' | 'archive' | keyof Destination>;

/** @throws RealmliftError USAGE, CONNECTION_STRING, FILES_UNKNOWN, SECRETS_FILE */
export function sharedOptions(command: Command, options: RunArguments): SharedOptions {
  const { env } = process;
  const files = options.files !== false;
  refuseContradictions([
    { when: !files && options.orphans === 'copy', message: '--no-files exports no files, and --orphans copy would', hint: 'leave out one of them' },
    { when: !files && options.queue !== undefined, message: 'workers of a queue fetch files, and --no-files exports none', hint: 'leave out one of them' },
  ]);
  refuseIdleTimeout(command, options);
  return {
    settings: connectionSettings(env.DATABASE_URL, env),
    queue: queueOf(options, env),
    jobs: options.jobs, resume: options.resume === true,
    snapshot: options.snapshot, maxSnapshotAge: options.maxSnapshotAge, lockTimeout: options.lockTimeout,
    decisions: decisionsOf(options),
    zulipVersion: options.zulipVersion,
    migrationStatus: { file: options.migrationStatus, zulipDir: options.zulipDir },
    openStore: files ? filesStore(options, env) : () => Promise.resolve(NO_FILES), fileJobs: options.fileJobs, orphans: files ? options.orphans : 'ignore', withoutFiles: !files,
    salt: files ? avatarSalt({ secretsFile: options.zulipSecrets, env }) : undefined, avatars: files && options.avatars, verify: options.verify, randomSeed: options.randomSeed,
  };
}

type Run = (under: Pick<ExportOptions, 'signal' | 'onEvent' | 'archive'> & Destination) => Promise<Outcome[]>;

/** Runs exports so that ^C stops them cleanly, shows their progress, and sums up what became of them. */
export async function runAndConclude(options: RunArguments, run: Run): Promise<void> {
  const started = performance.now();
  const streams = options.output === '-';
  refuseDestination(options, streams);
  const asked = { verify: options.verify && !streams, tarball: options.tarball === true, upload: options.upload !== undefined || options.output.startsWith('s3://') };
  const words = stopWords(options);
  const outcomes = await withStopSignals(words, (signal) => withProgress(progressMode(options), asked, async (onEvent) => {
    // Tar is loaded for those who want it.
    if (streams) return (await import('./standard-output.js')).exportToStandardOutput(options.format ?? 'directory', options.filesDir, (into) => run({ signal, onEvent, placeOf: inStream, ...into }));
    return runIntoPlace(options, run, { signal, onEvent });
  }));
  const seconds = (performance.now() - started) / 1000;
  if (options.json === true) tellResult(resultOf(outcomes, seconds), streams);
  conclude(outcomes, seconds, options.strict === true, options.json === true ? 'events' : options.quiet === true ? 'losses' : 'summary', words.hint());
}

/** @throws RealmliftError where standard output, a queue or a tarball is asked for what it cannot do */
function refuseDestination(options: RunArguments, streams: boolean): void {
  refuseContradictions([
    { when: options.format !== undefined && !streams, message: `--format ${options.format} writes to standard output`, hint: 'add --output -' },
    { when: options.filesDir !== undefined && options.format !== 'ndjson', message: '--files-dir takes the files that lines of JSON name', hint: 'add --output - --format ndjson, or leave out --files-dir' },
    { when: options.upload !== undefined && streams, message: 'what goes to standard output is not stored', hint: 'give a directory with --output, or leave out --upload' },
    { when: options.tarball === true && streams, message: 'what goes to standard output is a tar already, and no file is written', hint: 'give a directory with --output, or leave out --tarball' },
    { when: options.queue !== undefined && streams, message: '--queue needs a place that all machines reach, and --output - is none', hint: 'give a directory that they share, or s3://BUCKET/PREFIX, with --output' },
    { when: options.queue !== undefined && options.output.startsWith('s3://') && options.tarball === true, message: 'workers store the files of the export one by one, and --tarball would need them all here', hint: 'leave out --tarball, or give a directory that all machines share with --output' },
    { when: options.resume === true && streams, message: 'what went to standard output cannot be gone on with', hint: 'give a directory with --output, or leave out --resume' },
  ]);
  if (streams) refuseTerminal(options.format === 'ndjson' ? 'a stream of rows' : 'an archive', `pipe it on: --output - | ${options.format === 'ndjson' ? 'less' : 'ssh new tar x'}`);
}

/** Into directories, of which tarballs are made where that is asked for, or into a bucket. */
function runIntoPlace(options: RunArguments, run: Run, under: { readonly signal: AbortSignal; readonly onEvent: ExportOptions['onEvent'] }): Promise<Outcome[]> {
  return withUpload(options, under, async (destination) => {
    const checkTargets = async (targets: readonly Target[]): Promise<void> => {
      if (options.tarball === true) {
        const { refuseTarball } = await import('../package/tarball.js');
        for (const { directory } of targets) refuseTarball(join(destination.output, directory), options.resume === true);
      }
      await destination.checkTargets?.(targets);
    };
    const done = await run({ ...under, ...destination, checkTargets, archive: undefined });
    if (options.tarball === true) await writeTarballs(done);
    return done;
  });
}

function stopWords({ output, queue }: RunArguments): StopWords {
  const again = 'run it again from the start';
  if (output === '-') return { stage: 'copy', left: () => 'the stream is cut', hint: () => again };
  // Workers of a queue keep what they stored.
  if (output.startsWith('s3://') && queue === undefined) return { stage: 'copy', left: () => 'what was stored has no manifest', hint: () => `${again}; what is there is replaced with --overwrite` };
  return { stage: 'copy', left: () => 'nothing half-written is at its final path', hint: () => 'run again with --resume to go on' };
}

async function writeTarballs(outcomes: readonly Outcome[]): Promise<void> {
  const { bytesBelow, writeTarball } = await import('../package/tarball.js');
  const directories = outcomes.flatMap((outcome) => ('error' in outcome ? [] : [directoryOf(outcome)]));
  tellPhase('tarball', 'bytes', directories.reduce((sum, directory) => sum + bytesBelow(directory), 0));
  for (const directory of directories) await writeTarball(directory, tellProgress);
}
