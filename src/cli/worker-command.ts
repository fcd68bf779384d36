/** `realmlift worker`: words of the command line -> one call. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { s3Settings } from '../files/s3/s3-settings.js';
import { uploadPlace } from '../files/upload/upload-place.js';
import { avatarSalt } from '../plan/release/zulip-server-files.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { withTemporaryDirectory } from '../temporary-directory.js';
import { addFilesOptions, etagsOf, FILE_JOBS, filesStore, type FilesOptions } from './options/files-options.js';
import { refuseContradictions } from './options/contradictions.js';
import { withStopSignals, type StopWords } from './stop-signals.js';
import { queueSettings } from './options/queue-option.js';
import { jobCount } from './options/whole-number.js';

interface WorkerArguments extends FilesOptions {
  readonly queue?: string;
  readonly output?: string;
  readonly jobs: number;
  readonly oneRun?: true;
  readonly zulipSecrets?: string;
}

const STOPPED: StopWords = { stage: 'queue', left: () => 'what it had not finished is given to other workers', hint: () => 'run it again for more' };

export function workerCommand(): Command {
  return addFilesOptions(new Command('worker')
    .addOption(new Option('--queue <url>', "the queue's database, the same as that of the export or backup").env('QUEUE_URL'))
    .option('--output <dir>', 'the directory that all share, as this machine sees it (default: the path that the export or backup was given); not for what goes into a bucket')
    .option('--jobs <n>', 'sessions that copy at once', jobCount, availableParallelism())
    .option('--one-run', 'end when a run that it took part in is finished (one that stopped or failed may be resumed)')
    .option('--zulip-secrets <file>', 'zulip-secrets.conf, whose avatar_salt must be that of the export (else ZULIP_AVATAR_SALT)'))
    .addHelpText('after', `
Examples:
  DATABASE_URL=postgresql://zulip@db.example/zulip QUEUE_URL=postgresql://queue@db2.example/realmlift_queue \\
  realmlift worker --uploads-dir /home/zulip/uploads --output /mnt/exports

Works for every export and backup that is run with the same --queue, until ^C or SIGTERM: it may be started before the first, and any
number of machines may. Where the source, the files and S3 are, each machine is told by its own settings, which must lead to the same
database, role and files as those of the run; a worker that has others says so and takes no part. It encrypts what it saves of a backup
for whom the backup is, by their public keys, and needs no other.

Exit codes: 0 the one run is finished; 1 failed; 2 wrong usage; 130, 143 stopped by ^C or SIGTERM.`)
    .action(async (options: WorkerArguments) => {
      const { env } = process;
      refuseContradictions([{ when: options.output?.startsWith('s3://') === true, message: 'the --output of a worker is a directory that all share', hint: 'leave it out for what goes into a bucket: the export or backup says which' }]);
      const queue = queueSettings(options.queue ?? true, env);
      const { workForQueue } = await import('../queue/worker-machine.js');
      await withStopSignals(STOPPED, (signal) => withTemporaryDirectory('worker', (temporary) => workForQueue({
        queue, source: connectionSettings(env.DATABASE_URL, env), jobs: options.jobs, fileJobs: options.fileJobs ?? FILE_JOBS,
        openStore: async () => filesStore(options, env)(), uploads: () => uploadPlace(options.uploadsDir, env, etagsOf(options)), env, salt: avatarSalt({ secretsFile: options.zulipSecrets, env }),
        output: options.output === undefined ? undefined : resolve(options.output), oneRun: options.oneRun === true, signal, temporary,
        s3: { ...s3Settings(env), caFile: options.caFile, timeout: options.fileTimeout },
        onEvent: (text) => process.stderr.write(`realmlift worker: ${text}\n`),
      })));
    });
}
