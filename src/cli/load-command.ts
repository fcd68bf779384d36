/** `realmlift load`: words of the command line -> one call. */
import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { uploadPlace } from '../backup/upload-place.js';
import { loadExport } from '../load.js';
import type { LoadResult } from '../load/load-request.js';
import { avatarSalt } from '../plan/zulip-server-files.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { withStopSignals } from './stop-signals.js';
import { thousands } from './summary.js';
import { wholeNumber } from './whole-number.js';

interface LoadArguments {
  readonly targetUrl: string;
  readonly subdomain: string;
  readonly realmName?: string;
  readonly jobs: number;
  readonly dryRun?: true;
  readonly resume?: true;
  readonly undo?: true;
  readonly uploadsDir?: string;
  readonly zulipSecrets?: string;
  readonly fileJobs: number;
}

export function loadCommand(): Command {
  return new Command('load')
    .description("Load a finished export into a new server's database, with new ids, and its files to that server's uploads.")
    .argument('<directory>', 'a finished export')
    .requiredOption('--target-url <url>', "the new server's database")
    .requiredOption('--subdomain <name>', 'the subdomain of the realm there')
    .option('--realm-name <text>', "the name of the realm there (default: the subdomain, as Zulip's import names it)")
    .option('--jobs <n>', 'sessions that load at once', wholeNumber(1), availableParallelism())
    .option('--uploads-dir <dir>', "the new server's LOCAL_UPLOADS_DIR (with files/ and avatars/); else its S3 buckets are used")
    .option('--zulip-secrets <file>', 'zulip-secrets.conf of the new server (else ZULIP_AVATAR_SALT), for the names of avatars')
    .option('--file-jobs <n>', 'files copied at once', wholeNumber(1), 32)
    .option('--dry-run', 'check everything and write nothing')
    .addOption(new Option('--resume', 'go on with a load that stopped half-way').conflicts(['undo', 'dryRun']))
    .addOption(new Option('--undo', 'remove every row and file of a load that stopped half-way').conflicts('dryRun'))
    .action(async (directory: string, options: LoadArguments) => {
      const started = performance.now();
      const target = connectionSettings(options.targetUrl, { PGPASSFILE: process.env.PGPASSFILE });
      const salt = avatarSalt({ secretsFile: options.zulipSecrets, env: process.env });
      const files = uploadPlace(options.uploadsDir, process.env);
      const result = await withStopSignals((stop) => loadExport(directory, {
        target, subdomain: options.subdomain, realmName: options.realmName, jobs: options.jobs, dryRun: options.dryRun === true, resume: options.resume === true,
        files, fileJobs: options.fileJobs, fromBuckets: undefined, salt, onEvent: () => undefined,
      }, stop));
      process.stderr.write(summary(result, (performance.now() - started) / 1000));
    });
}

function summary({ subdomain, rows }: LoadResult, seconds: number): string {
  const total = [...rows.values()].reduce((sum, each) => sum + each, 0);
  return `${subdomain}: ${thousands(total)} rows loaded in ${seconds.toFixed(1)} s\n`;
}
