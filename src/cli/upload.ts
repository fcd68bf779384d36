/** `--upload` and `--output s3://…`: the finished exports, or their tarballs, go to S3. */
import { createReadStream, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Option, type Command } from 'commander';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import type { ExportOptions } from '../commands/export.js';
import type { ExportResult, Outcome } from '../export/outcome.js';
import { s3Settings } from '../files/s3/s3-settings.js';
import type { UploadTarget } from '../files/upload/upload-target.js';
import { tellPhase } from '../narration.js';
import { MANIFEST } from '../package/manifest.js';
import { RUN_MANIFEST } from '../package/run-manifest.js';
import { REPORT_PAGE } from '../package/side-files.js';
import { inBucket } from '../report/place.js';
import { withTemporaryDirectory } from '../temporary-directory.js';

export interface UploadOptions {
  readonly output: string;
  readonly upload?: string;
  readonly overwrite?: true;
  readonly sse?: 'AES256' | 'aws:kms';
  readonly sseKmsKeyId?: string;
  readonly tarball?: true;
  readonly resume?: true;
  readonly queue?: string | true;
  readonly caFile?: string;
  readonly fileTimeout?: number;
}

export function addUploadOptions(command: Command): Command {
  return command
    .optionsGroup('Where to:')
    .option('--upload <url>', 'also store the finished export below s3://BUCKET/PREFIX, its manifest last; with --tarball the tarball alone')
    .option('--overwrite', 'in S3: remove what is in the way')
    .addOption(new Option('--sse <how>', 'encryption that S3 is to apply').choices(['AES256', 'aws:kms']))
    .option('--sse-kms-key-id <id>', 'with --sse aws:kms: the key, else the account\'s default');
}

/** How an export runs: where its output goes, and what may refuse its targets. */
export type Destination = Required<Pick<ExportOptions, 'output'>> & Pick<ExportOptions, 'checkTargets' | 'placeOf' | 'stored'>;

type Under = Pick<ExportOptions, 'onEvent'> & { readonly signal: AbortSignal };

/**
 * Runs `work`, which exports, and stores what it made where the options say.
 *
 * @returns the outcomes: an export that could not be stored is a failure
 * @throws RealmliftError USAGE, UPLOAD_URL, STOPPED, and what `work` throws
 */
export async function withUpload(options: UploadOptions, under: Under, work: (destination: Destination) => Promise<Outcome[]>): Promise<Outcome[]> {
  const url = destinationUrl(options);
  if (url === undefined) return work({ output: options.output });
  // The SDK takes 0.2 s to load: only who needs it waits.
  const { parseS3Url } = await import('../files/upload/upload-target.js');
  const target: UploadTarget = {
    connection: { ...s3Settings(process.env), caFile: options.caFile, timeout: options.fileTimeout }, ...parseS3Url(url), overwrite: options.overwrite,
    ...(options.sse === undefined ? {} : { encryption: { kind: options.sse, keyId: options.sseKmsKeyId } }),
  };
  if (options.upload !== undefined) return exportAndStore(options, target, under, options.output, work);
  return withTemporaryDirectory('upload', (directory) => exportAndStore(options, target, under, directory, work));
}

/** Where to store; undefined when that was not asked for. */
function destinationUrl({ output, upload, overwrite, sse, sseKmsKeyId, resume, queue }: UploadOptions): string | undefined {
  const refuse = (what: string, hint: string): never => { throw new RealmliftError('USAGE', 'usage', what, { hint, exit: EXIT.usage }); };
  if (sseKmsKeyId !== undefined && sse !== 'aws:kms') return refuse('--sse-kms-key-id names a key of KMS', 'add --sse aws:kms');
  if (output.startsWith('s3://')) {
    if (upload !== undefined) return refuse('both --output and --upload name a bucket', 'give one of them');
    return resume === true && queue === undefined ? refuse('what --output s3://… made is gone when it stops', 'give a directory with --output, and --upload') : output;
  }
  if (upload === undefined && (overwrite ?? sse) !== undefined) return refuse('--overwrite and --sse are for exports that go to S3', 'add --upload s3://BUCKET/PREFIX');
  return upload;
}

async function exportAndStore(options: UploadOptions, target: UploadTarget, { signal, onEvent }: Under, output: string, work: (destination: Destination) => Promise<Outcome[]>): Promise<Outcome[]> {
  const { checkUpload, uploadDirectory, uploadRest, uploadStream } = await import('../files/upload/upload-export.js');
  const { bytesBelow } = await import('../package/tarball.js');
  const prefix = `s3://${target.bucket}/${target.prefix === '' ? '' : `${target.prefix}/`}`;
  const placed = (name: string): string => `${prefix}${options.tarball === true ? `${name}.tar.gz` : name}`;
  // By workers, while they make it.
  const stored = options.upload === undefined && options.queue !== undefined ? target : undefined;
  const exported = await work({
    output, stored,
    // Below TMPDIR nothing of it stays.
    ...(options.upload === undefined && { placeOf: (name: string) => inBucket(placed(name)) }),
    checkTargets: async (targets) => {
      const names = stored !== undefined ? [] : targets.flatMap(({ directory }) => (options.tarball === true ? tarballOf(directory) : [`${directory}/`]));
      await checkUpload(target, targets.length > 1 ? [...names, REPORT_PAGE, RUN_MANIFEST] : names, signal);
    },
  });
  const file = async (name: string, onStored: Parameters<typeof uploadStream>[5]): Promise<void> =>
    uploadStream(target, name, createReadStream(join(output, name)), (await stat(join(output, name))).size, signal, onStored);
  const store = async (name: string, result: ExportResult): Promise<void> => {
    const onStored = (more: { readonly objects: number; readonly bytes: number }): void => onEvent({ target: result.target, kind: 'stored', ...more });
    if (options.tarball === true) for (const each of tarballOf(name)) await file(each, onStored);
    else await (stored === undefined ? uploadDirectory : uploadRest)(target, name, result.directory, MANIFEST, signal, onStored);
  };
  const bytes = exported.flatMap((outcome) => ('result' in outcome ? [options.tarball === true ? statSync(`${outcome.result.directory}.tar.gz`).size : bytesBelow(outcome.result.directory)] : [])).reduce((sum, each) => sum + each, 0);
  tellPhase('upload', 'bytes', bytes);
  const outcomes: Outcome[] = [];
  for (const outcome of exported) {
    if (!('result' in outcome)) {
      outcomes.push(outcome);
      continue;
    }
    const { result } = outcome;
    const name = basename(result.directory);
    const place = placed(name);
    try {
      await store(name, result);
      outcomes.push({ ...outcome, result: { ...result, directory: options.upload === undefined ? place : `${result.directory} and ${place}` } });
    } catch (error) {
      const known = asRealmliftError(error);
      const whole = `${result.directory} is whole; what was stored of it has no manifest`;
      if (signal.aborted) throw options.upload === undefined ? error : new RealmliftError(known.code, 'files', known.message, { hint: whole, exit: known.exit, cause: known });
      outcomes.push({ target: outcome.target, error: options.upload === undefined ? known : known.ending(whole) });
    }
  }
  // It binds the others: last, and only where all that it names are there. A run that made nothing leaves what an earlier one stored.
  if (outcomes.length > 1 && outcomes.some((outcome) => !('error' in outcome)) && outcomes.every((outcome, index) => 'result' in outcome || exported[index] === outcome)) for (const name of [REPORT_PAGE, RUN_MANIFEST]) await file(name, () => undefined);
  return outcomes;
}

/** The checksum comes last. */
function tarballOf(name: string): string[] {
  return [`${name}.tar.gz`, `${name}.tar.gz.sha256`];
}
