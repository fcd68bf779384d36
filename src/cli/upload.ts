/** `--upload` and `--output s3://…`: the finished exports, or their tarballs, go to S3. */
import { createReadStream, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Option, type Command } from 'commander';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import type { ExportOptions } from '../commands/export.js';
import { directoryOf, placedAt, type Made, type Outcome } from '../export/outcome.js';
import { s3Settings } from '../files/s3/s3-settings.js';
import type { UploadTarget } from '../files/upload/upload-target.js';
import { tellPhase } from '../narration.js';
import { MANIFEST } from '../package/manifest.js';
import { parseRunManifest, readRunManifest, RUN_MANIFEST } from '../package/run-manifest.js';
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
    connection: { ...s3Settings(process.env), caFile: options.caFile, timeout: options.fileTimeout }, ...parseS3Url(url), overwrite: options.overwrite, resume: options.upload !== undefined && options.resume,
    ...(options.sse === undefined ? {} : { encryption: { kind: options.sse, keyId: options.sseKmsKeyId } }),
  };
  if (options.upload !== undefined) return exportAndStore(options, target, under, options.output, work);
  return withTemporaryDirectory('upload', (directory) => exportAndStore(options, target, under, directory, work));
}

/** Where to store; undefined when that was not asked for. */
function destinationUrl({ output, upload, overwrite, sse, sseKmsKeyId, resume, queue }: UploadOptions): string | undefined {
  const refuse = (what: string, hint: string): never => { throw new RealmliftError('USAGE', 'usage', what, { hint, exit: EXIT.usage }); };
  if (sseKmsKeyId !== undefined && sse !== 'aws:kms') return refuse('--sse-kms-key-id names a key of KMS', 'add --sse aws:kms');
  // A slip such as S3:// is told by who reads the URL: no directory is meant.
  if (/^s3:/i.test(output)) {
    if (upload !== undefined) return refuse('both --output and --upload name a bucket', 'give one of them');
    return resume === true && queue === undefined ? refuse('what --output s3://… made is gone when it stops', 'give a directory with --output, and --upload') : output;
  }
  if (upload === undefined && (overwrite ?? sse) !== undefined) return refuse('--overwrite and --sse are for exports that go to S3', 'add --upload s3://BUCKET/PREFIX');
  return upload;
}

async function exportAndStore(options: UploadOptions, target: UploadTarget, { signal, onEvent }: Under, output: string, work: (destination: Destination) => Promise<Outcome[]>): Promise<Outcome[]> {
  const { checkUpload, isStored, storedText, uploadDirectory, uploadRest, uploadStream } = await import('../files/upload/upload-export.js');
  const { taken } = await import('../files/upload/upload-target.js');
  const { bytesBelow } = await import('../package/tarball.js');
  const prefix = `s3://${target.bucket}/${target.prefix === '' ? '' : `${target.prefix}/`}`;
  const placed = (name: string): string => `${prefix}${options.tarball === true ? `${name}.tar.gz` : name}`;
  const resumed = target.resume === true && target.overwrite !== true;
  const isWhole = (name: string): Promise<boolean> => {
    const mark = options.tarball === true ? tarballOf(name)[1] : `${name}/${MANIFEST}`;
    return isStored(target, mark, join(output, mark), signal);
  };
  // By workers, while they make it.
  const stored = options.upload === undefined && options.queue !== undefined ? target : undefined;
  const exported = await work({
    output, stored,
    // Below TMPDIR nothing of it stays.
    ...(options.upload === undefined && { placeOf: (name: string) => inBucket(placed(name)) }),
    checkTargets: async (targets) => {
      const names = stored !== undefined ? [] : targets.flatMap(({ directory }) => (options.tarball === true ? tarballOf(directory) : [`${directory}/`]));
      await checkUpload(target, targets.length > 1 ? [...names, REPORT_PAGE, RUN_MANIFEST] : names, signal);
      if (!resumed) return;
      const directories = new Set(targets.map(({ directory }) => directory));
      for (const directory of directories) await isWhole(directory);
      const bound = parseRunManifest(targets.length > 1 ? await storedText(target, RUN_MANIFEST, signal) ?? '' : '');
      if (bound.some(({ directory }) => directory !== null && !directories.has(directory))) throw taken(target, RUN_MANIFEST);
    },
  });
  const file = async (name: string, onStored: Parameters<typeof uploadStream>[5]): Promise<void> =>
    uploadStream(target, name, createReadStream(join(output, name)), (await stat(join(output, name))).size, signal, onStored);
  const store = async (name: string, made: Made): Promise<void> => {
    if (resumed && await isWhole(name)) return;
    const onStored = (more: { readonly objects: number; readonly bytes: number }): void => onEvent({ target: made.target.name, kind: 'stored', ...more });
    if (options.tarball === true) for (const each of tarballOf(name)) await file(each, onStored);
    else await (stored === undefined ? uploadDirectory : uploadRest)(target, name, directoryOf(made), MANIFEST, signal, onStored);
  };
  const bytes = exported.flatMap((outcome) => ('error' in outcome ? [] : [options.tarball === true ? statSync(`${directoryOf(outcome)}.tar.gz`).size : bytesBelow(directoryOf(outcome))])).reduce((sum, each) => sum + each, 0);
  tellPhase('upload', 'bytes', bytes);
  const outcomes: Outcome[] = [];
  for (const outcome of exported) {
    if ('error' in outcome) {
      outcomes.push(outcome);
      continue;
    }
    const directory = directoryOf(outcome);
    const name = basename(directory);
    const place = placed(name);
    try {
      await store(name, outcome);
      outcomes.push(placedAt(outcome, options.upload === undefined ? place : `${directory} and ${place}`));
    } catch (error) {
      const known = asRealmliftError(error);
      const whole = `${directory} is whole; what was stored of it has no manifest: run again with --resume to store it`;
      if (signal.aborted) throw options.upload === undefined ? error : new RealmliftError(known.code, 'files', known.message, { hint: whole, exit: known.exit, cause: known });
      outcomes.push({ target: outcome.target, error: options.upload === undefined ? known : known.ending(whole) });
    }
  }
  const there = new Set(outcomes.flatMap((outcome) => ('error' in outcome ? [] : [outcome.target.directory])));
  // A run that made nothing leaves what an earlier one stored; what it could not store it tells.
  if (outcomes.length < 2 || there.size === 0 || outcomes.some((outcome, index) => 'error' in outcome && exported[index] !== outcome)) return outcomes;
  // It binds the others: last, and only where all that it names are there.
  const missing = readRunManifest(output).flatMap(({ directory }) => (directory === null || there.has(directory) ? [] : [directory]));
  if (missing.length > 0) onEvent({ target: '', kind: 'warning', text: `${join(output, RUN_MANIFEST)} is not stored: it binds exports that this run did not store (${missing.join(', ')})` });
  else for (const name of [REPORT_PAGE, RUN_MANIFEST]) await file(name, () => undefined);
  return outcomes;
}

/** The checksum comes last. */
function tarballOf(name: string): [string, string] {
  return [`${name}.tar.gz`, `${name}.tar.gz.sha256`];
}
