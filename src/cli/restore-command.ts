/** `realmlift restore`: words of the command line -> one call. */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { findBackup, openBackup } from '../backup/contents/find-backup.js';
import type { OpenBackup } from '../backup/contents/find-backup.js';
import { restoreDatabase } from '../backup/restore.js';
import type { RestoreResult } from '../backup/restore.js';
import { restoreAndProve, tellRestoreAhead } from '../commands/restore.js';
import { restoreUploads } from '../backup/restore/restore-uploads.js';
import { uploadTarget } from '../backup/uploads/open-uploads.js';
import { uploadPlace } from '../files/upload/upload-place.js';
import { mark } from '../backup/store/verified-marks.js';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { counted } from '../numbers.js';
import { originText, verifyKeyOf } from './options/verify-key.js';
import { jobCount } from './options/whole-number.js';
import { longCommand } from './long-command.js';
import { addNarrationOptions, type NarrationOptions } from './story/narrate.js';
import { leftBehind, type StopWords } from './stop-signals.js';

interface RestoreArguments extends NarrationOptions {
  readonly identity?: string;
  readonly passphraseFile?: string;
  readonly verifyKey?: string;
  readonly databaseUrl?: string;
  readonly jobs: number;
  readonly createRoles?: true;
  readonly owner: boolean;
  readonly privileges: boolean;
  readonly uploads?: true;
  readonly uploadsDir?: string;
  readonly prove?: true;
}

export function restoreCommand(): Command {
  const command = new Command('restore')
    .argument('<backup>', 'a backup, or the place where backups are kept (the newest is taken, if all are of one database): a directory or s3://bucket/prefix')
    .optionsGroup('What:')
    .option('--identity <file>', 'the secret key, as age-keygen wrote it')
    .option('--passphrase-file <file>', 'the passphrase, where the backup is under one')
    .option('--verify-key <file>', 'refuse what was not signed with the secret key that belongs to this public one (Ed25519, PEM)')
    .option('--no-owner', 'all objects belong to the role that restores, which need not be a superuser')
    .option('--no-privileges', 'rights on objects (GRANT, REVOKE) are not restored')
    .optionsGroup('Where to:')
    .option('--database-url <url>', 'the empty database to restore into')
    .option('--create-roles', 'create the roles that the schema names and the server lacks, without login')
    .optionsGroup('Files:')
    .option('--uploads', 'restore the uploaded files: into --uploads-dir, or S3_UPLOADS_BUCKET and S3_AVATARS_BUCKET, which must be empty')
    .option('--uploads-dir <dir>', 'the empty directory for the uploaded files; implies --uploads')
    .optionsGroup('Running:')
    .option('--jobs <n>', 'sessions that load rows and build indexes at once', jobCount, availableParallelism())
    .option('--prove', 'then read every table back and compare it with the source; without --database-url on a server started for the purpose');
  return addNarrationOptions(command)
    .addHelpText('after', `
Examples:
  realmlift restore /backups --identity key.txt --database-url postgresql://localhost/empty
  realmlift restore /backups --identity key.txt --prove

Exit codes: 0 done; 1 failed: the database is unfinished and says so until the restore is run again to its end; 2 wrong usage;
            4 restored, but for what stderr names.`)
    .action(async (location: string, options: RestoreArguments) => {
      const started = performance.now();
      const settings = options.databaseUrl === undefined ? undefined : connectionSettings(options.databaseUrl, process.env);
      const files = options.uploads === true || options.uploadsDir !== undefined ? await uploadTarget(uploadPlace(options.uploadsDir, process.env)) : undefined;
      let reached: Reached = 'nothing';
      const words = stopWords(settings, files !== undefined, () => reached);
      const { backup, database, uploads } = await longCommand(options, words, async (signal) => {
        const keys = { identityFile: options.identity, passphraseFile: options.passphraseFile };
        // There is nothing to tidy up yet.
        const found = await leftBehind(verifyKeyOf(options.verifyKey).then((verifyKey) => findBackup(location, process.env, verifyKey, keys)), signal, 0);
        const backup = await openBackup(found, keys, signal);
        const proof = options.prove === true;
        tellRestoreAhead(backup, { rows: settings !== undefined || proof, files: files !== undefined, proof });
        const database = await restoredDatabase(backup, settings, files !== undefined, options, signal, (now) => { reached = now; });
        reached = settings === undefined ? 'begun' : 'database';
        const uploads = files === undefined ? undefined : await restoreUploads(backup, files, options.jobs, signal).catch((error: unknown) => {
          throw signal.aborted || settings === undefined ? error : asRealmliftError(error, 'restore').ending(`${words.left()}: ${words.hint()}`);
        });
        return { backup, database, uploads };
      });
      const result = { location: backup.store.description, takenAt: backup.contents.takenAt, proved: options.prove === true, originProved: backup.originProved, ...database, ...uploads };
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      for (const warning of database?.warnings ?? []) process.stderr.write(`realmlift: ${warning}\n`);
      const lost = files === undefined ? 0 : backup.contents.files?.lost ?? 0;
      if ((database?.warnings ?? []).length > 0 || lost > 0) process.exitCode = EXIT.losses;
      if (lost > 0) process.stderr.write(`realmlift: ${counted(lost, 'uploaded file')} not in the backup: unreadable when it was taken\n`);
      if (settings !== undefined && files === undefined && backup.contents.files !== undefined) process.stderr.write('realmlift: the uploaded files in the backup were not restored (--uploads does that)\n');
      if (options.quiet !== true) process.stdout.write(`${options.json === true ? JSON.stringify({ ...result, seconds }) : summary(result, seconds)}\n`);
    });
}

/** What has been written. */
type Reached = 'nothing' | 'begun' | 'restored' | 'database';

/** Where a restore stops, it can be gone on with; a server that was started for a proof is gone, and a database that is complete would be refused as one that is not empty. */
function stopWords(settings: ConnectionSettings | undefined, files: boolean, reached: () => Reached): StopWords {
  if (settings === undefined && !files) return { stage: 'restore', left: () => 'the server of the proof is removed', hint: () => 'run it again from the start' };
  const left: Readonly<Record<Reached, string>> = {
    nothing: 'nothing was written yet', begun: `${settings === undefined ? 'the place of the files' : 'the database'} is unfinished and says so`, restored: 'the database is complete, and was not compared to the end', database: 'the database is complete, the files are not',
  };
  const again = 'run the same command again: it goes on where it stopped';
  const hints: Readonly<Record<Reached, string>> = {
    nothing: again, begun: again, restored: 'to prove it, drop the database and run again into a new one', database: 'run again without --database-url, which restores the files alone',
  };
  return {
    stage: 'restore', left: () => left[reached()],
    hint: () => hints[reached()],
  };
}

async function restoredDatabase(backup: OpenBackup, settings: ConnectionSettings | undefined, filesAlone: boolean, options: RestoreArguments, signal: AbortSignal, reach: (now: Reached) => void): Promise<RestoreResult | undefined> {
  const request = { backup, jobs: options.jobs, createRoles: options.createRoles === true, leftOut: { owners: !options.owner, privileges: !options.privileges }, onBegun: () => reach('begun'), onRestored: () => reach('restored') };
  if (options.prove === true) {
    const result = await restoreAndProve({ ...request, settings }, signal);
    // A note for rotation; a backup that can only be read is as good without it.
    if (backup.kept !== undefined) await mark(backup.kept.collection, backup.kept.name, 'restored').catch(() => undefined);
    return result;
  }
  return settings === undefined && filesAlone ? undefined : restoreDatabase({ ...request, settings: needed(settings) }, signal);
}

function summary(result: { location: string; proved: boolean; originProved: boolean; files?: number } & Partial<RestoreResult>, seconds: number): string {
  const { location, tables, rows, files, resumed = 0, proved, originProved } = result;
  const counts = [
    ...(tables === undefined || rows === undefined ? [] : [counted(tables, 'table'), counted(rows, 'row')]),
    ...(files === undefined ? [] : [counted(files, 'file')]),
    `${seconds} s`, ...(resumed > 0 ? [`${counted(resumed, 'step')} done before`] : []), ...(proved ? ['equal to the source'] : []), originText(originProved),
  ];
  return `restored ${location}: ${counts.join(', ')}`;
}

/** DATABASE_URL is not asked: it names the source on many a machine, and a restore writes. */
function needed<T>(settings: T | undefined): T {
  if (settings !== undefined) return settings;
  throw new RealmliftError('DATABASE_URL', 'usage', 'it is not said into which database to restore', { hint: 'create an empty one and name it with --database-url', exit: EXIT.usage });
}
