/** `realmlift backup`: words of the command line -> one call. */
import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { Recipients, readPassphraseFile, readRecipientsFile } from '../backup/seal/age-keys.js';
import { runBackup } from '../commands/backup.js';
import type { BackupRunResult } from '../commands/backup.js';
import { LEVELS, type Compression } from '../backup/seal/compression.js';
import { readSignKey } from '../backup/contents/signature.js';
import { uploadPlace } from '../files/upload/upload-place.js';
import { EXIT, RealmliftError } from '../errors.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { collect } from './options/collect.js';
import { etagsOf, opaqueEtags } from './options/files-options.js';
import { addLockOptions, lockPatience, type LockOptions } from './options/lock-options.js';
import { counted, size, thousands } from '../numbers.js';
import type { StopWords } from './stop-signals.js';
import { addQueueOptions, queueOf, refuseIdleTimeout, type QueueOption } from './options/queue-option.js';
import { jobCount, wholeNumber } from './options/whole-number.js';
import { longCommand } from './long-command.js';
import { addNarrationOptions, type NarrationOptions } from './story/narrate.js';
import { printable } from './story/printable.js';

interface BackupArguments extends LockOptions, NarrationOptions, QueueOption {
  readonly to: string;
  readonly recipient: readonly string[];
  readonly recipients: readonly string[];
  readonly passphraseFile?: string;
  readonly signKey?: string;
  readonly databaseUrl?: string;
  readonly pgDump: string;
  readonly jobs: number;
  readonly compress?: Compression;
  readonly uploads?: true;
  readonly uploadsDir?: string;
  readonly opaqueEtags?: true;
  readonly privateNames?: true;
  readonly keep?: number;
  readonly prove?: string | true;
}

export function backupCommand(): Command {
  const command = new Command('backup')
    .optionsGroup('What:')
    .option('--database-url <url>', 'the database (else DATABASE_URL, or the PG* variables)')
    .option('--uploads', 'also save all uploaded files: of --uploads-dir, or of S3_UPLOADS_BUCKET and S3_AVATARS_BUCKET')
    .option('--uploads-dir <dir>', "Zulip's LOCAL_UPLOADS_DIR; implies --uploads")
    .addOption(opaqueEtags())
    .optionsGroup('Whom:')
    .option('--recipient <key>', 'public key (age1…) that can open it; may be repeated', collect, [])
    .option('--recipients <file>', 'file of public keys, one per line; may be repeated', collect, [])
    .option('--passphrase-file <file>', 'a passphrase instead of keys: the first line of the file')
    .option('--sign-key <file>', 'also sign it: a secret Ed25519 key in PEM')
    .optionsGroup('Where to:')
    .requiredOption('--to <place>', 'where backups are kept: a directory, or s3://bucket/prefix; each is a directory of its own in it')
    .option('--private-names', 'names of parts do not tell those of the tables')
    .option('--keep <n>', 'then remove all but the newest n backups, if the new one is good; never the last verified one', wholeNumber(1))
    .optionsGroup('Running:')
    .option('--jobs <n>', 'sessions that copy at once', jobCount, availableParallelism());
  addQueueOptions(command, 'rows and uploaded files saved')
    .option('--compress <method>', 'gzip or zstd, with :LEVEL if not the usual one (6 of 0 to 9; 3 of 1 to 22); a number alone is a level of gzip (default: gzip:6)', compression)
    .option('--prove [url]', 'restore it into a server started for the purpose, or into the empty database of the URL, and compare every table')
    .option('--pg-dump <program>', 'the pg_dump that writes the schema', 'pg_dump');
  return addNarrationOptions(addLockOptions(command))
    .addHelpText('after', `
Examples:
  realmlift backup --to /backups --recipient age1… --keep 7
  realmlift backup --to s3://bucket/zulip --recipients keys.txt --uploads --prove

Exit codes: 0 done; 1 failed, and nothing unfinished or untested counts as a backup; 2 wrong usage;
            4 done, but for uploaded files that could not be read.`)
    .action(async (options: BackupArguments) => {
      refuseIdleTimeout(command, options);
      const started = performance.now();
      const result = await longCommand(options, STOPPED, async (stop) => runBackup({
        to: options.to, env: process.env, settings: connectionSettings(options.databaseUrl ?? process.env.DATABASE_URL, process.env),
        recipients: await recipientsOf(options), signKey: options.signKey === undefined ? undefined : await readSignKey(options.signKey), compression: options.compress ?? compression('gzip'), jobs: options.jobs, privateNames: options.privateNames === true,
        uploads: options.uploads === true || options.uploadsDir !== undefined ? uploadPlace(options.uploadsDir, process.env, etagsOf(options)) : undefined,
        pgDump: options.pgDump, patience: lockPatience(options), keep: options.keep, prove: options.prove === true ? '' : options.prove, stop,
        queue: queueOf(options, process.env),
      }));
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      if (options.quiet !== true) process.stdout.write(`${options.json === true ? JSON.stringify({ ...result, seconds }) : summary(result, seconds)}\n`);
      refuseLosses(result);
    });
}

/** Of an unfinished backup all parts are removed; of one that is whole the run says so itself. */
const STOPPED: StopWords = {
  stage: 'backup', left: () => 'nothing is left of the unfinished backup, and older ones are as they were', hint: () => 'run it again from the start',
  leftUntidied: () => 'what is left of the unfinished backup does not count, and the next one removes it; older ones are as they were',
};

/** Lost files told by name; the sealed list of the backup has more. */
const SHOWN = 20;

/** @throws RealmliftError LOSSES: the backup is there and counts, without these files */
function refuseLosses({ lostFiles = 0, lost = [] }: BackupRunResult): void {
  if (lostFiles === 0) return;
  for (const { name, reason, detail } of lost.slice(0, SHOWN)) process.stderr.write(`realmlift: lost: ${name === '' ? 'all files' : printable(name)}: ${reason}: ${detail}\n`);
  if (lostFiles > SHOWN) process.stderr.write(`realmlift: lost: and ${thousands(lostFiles - SHOWN)} more\n`);
  throw new RealmliftError('LOSSES', 'files', `the backup is complete but for ${lostFiles === 1 ? 'an uploaded file or directory' : `${thousands(lostFiles)} uploaded files or directories`} that could not be read`, { hint: 'mend what the lines above say, and run again', exit: EXIT.losses });
}

/** As pg_dump takes it: METHOD, METHOD:LEVEL, METHOD:level=LEVEL, or a level of gzip. */
function compression(value: string): Compression {
  const [, method, level] = /^(?:(gzip|zstd)(?=:|$))?:?(?:level=)?(\d+)?$/.exec(value) ?? [];
  if (method === undefined && (level === undefined || !/^\d/.test(value))) throw new InvalidArgumentError('it is gzip or zstd, with :LEVEL, or a level of gzip.');
  const chosen = (method ?? 'gzip') as Compression['method'];
  const { least, most, usual } = LEVELS[chosen];
  const given = level === undefined ? usual : Number(level);
  if (given < least || given > most) throw new InvalidArgumentError(`levels of ${chosen} are ${least} to ${most}.`);
  return { method: chosen, level: given };
}

async function recipientsOf({ recipient, recipients, passphraseFile }: BackupArguments): Promise<Recipients> {
  const keys = [...recipient, ...(await Promise.all(recipients.map(readRecipientsFile))).flat()];
  if (passphraseFile === undefined) return Recipients.of(keys);
  if (keys.length > 0) throw new RealmliftError('RECIPIENT_INVALID', 'usage', 'a backup is either for keys or under a passphrase', { hint: 'leave out --passphrase-file, or the recipients', exit: EXIT.usage });
  return Recipients.ofPassphrase(await readPassphraseFile(passphraseFile));
}

function summary(result: BackupRunResult, seconds: number): string {
  const notes = [
    ...(result.proved ? ['restored and compared'] : []),
    ...((result.vanishedFiles ?? 0) > 0 ? [`${counted(result.vanishedFiles ?? 0, 'file')} deleted meanwhile`] : []),
    ...(result.removed.length > 0 ? [`${result.removed.length} old removed`] : []),
    ...(result.unfinished.length > 0 ? [`${result.unfinished.length} unfinished removed`] : []),
  ];
  const files = result.files === undefined ? '' : ` ${counted(result.files, 'file')},`;
  const counts = `${counted(result.tables, 'table')}, ${counted(result.rows, 'row')},${files} ${size(result.bytes)} in ${counted(result.parts, 'part')}`;
  return `backup of ${result.takenAt.slice(0, 19)}Z: ${counts}, ${seconds} s${notes.map((note) => `, ${note}`).join('')}: ${result.location}`;
}
