/** `realmlift restore`: words of the command line -> one call. */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { findBackup, openBackup } from '../backup/find-backup.js';
import { restoreDatabase } from '../backup/restore.js';
import { restoreAndProve } from '../backup/restore-run.js';
import { mark } from '../backup/verified-marks.js';
import { EXIT, RealmliftError } from '../errors.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { wholeNumber } from './whole-number.js';

interface RestoreArguments {
  readonly identity?: string;
  readonly passphraseFile?: string;
  readonly databaseUrl?: string;
  readonly jobs: number;
  readonly createRoles?: true;
  readonly prove?: true;
  readonly json?: true;
}

export function restoreCommand(): Command {
  return new Command('restore')
    .description('Restore a backup into an empty database; run again, it goes on where it stopped.')
    .argument('<backup>', 'a backup, or the place where backups are kept (the newest is taken): a directory or s3://bucket/prefix')
    .option('--identity <file>', 'the secret key, as age-keygen wrote it')
    .option('--passphrase-file <file>', 'the passphrase, where the backup is under one')
    .option('--database-url <url>', 'the empty database to restore into')
    .option('--jobs <n>', 'sessions that load rows and build indexes at once', wholeNumber(1), availableParallelism())
    .option('--create-roles', 'create the roles that the schema names and the server lacks, without login')
    .option('--prove', 'then read every table back and compare it with the source; without --database-url on a server started for the purpose')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', '\nExit codes: 0 done; 1 failed: the database is unfinished and says so until the restore is run again to its end; 2 wrong usage.')
    .action(async (location: string, options: RestoreArguments) => {
      const started = performance.now();
      const signal = new AbortController().signal;
      const settings = options.databaseUrl === undefined ? undefined : connectionSettings(options.databaseUrl, process.env);
      const backup = await openBackup(await findBackup(location, process.env), { identityFile: options.identity, passphraseFile: options.passphraseFile }, signal);
      const request = { backup, jobs: options.jobs, createRoles: options.createRoles === true };

      const result = options.prove === true ? await restoreAndProve({ ...request, settings }, signal) : await restoreDatabase({ ...request, settings: needed(settings) }, signal);
      if (options.prove === true && backup.kept !== undefined) await mark(backup.kept.collection, backup.kept.name, 'restored').catch(() => undefined);
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      for (const warning of result.warnings) process.stderr.write(`realmlift: ${warning}\n`);
      const { tables, rows, resumed } = result;
      const text = `restored ${backup.store.description}: ${tables} tables, ${rows.toLocaleString('en-US')} rows, ${seconds} s${resumed > 0 ? `, ${resumed} steps were done before` : ''}${options.prove === true ? ', equal to the source' : ''}`;
      process.stdout.write(`${options.json === true ? JSON.stringify({ ...result, location: backup.store.description, takenAt: backup.contents.takenAt, proved: options.prove === true, seconds }) : text}\n`);
    });
}

/** DATABASE_URL is not asked: it names the source on many a machine, and a restore writes. */
function needed<T>(settings: T | undefined): T {
  if (settings !== undefined) return settings;
  throw new RealmliftError('DATABASE_URL', 'usage', 'it is not said into which database to restore', { hint: 'create an empty one and name it with --database-url', exit: EXIT.usage });
}
