/** `--upload` and `--output s3://…`: the finished exports, or their tarballs, go to S3. */
import { createReadStream, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Option, type Command } from 'commander';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import type { ExportOptions } from '../commands/export.js';
import { directoryOf, placedAt, type Made, type Outcome } from '../export/outcome.js';
import { s3Settings } from '../files/s3/s3-settings.js';
import type * as Upload from '../files/upload/upload-export.js';
import type { UploadTarget } from '../files/upload/upload-target.js';
import { tellPhase } from '../narration.js';
import { sum } from '../numbers.js';
import { MANIFEST } from '../package/manifest.js';
import { parseRunManifest, readRunManifest, RUN_MANIFEST } from '../package/run-manifest.js';
import { REPORT_PAGE } from '../package/side-files.js';
import type { Target } from '../plan/targets.js';
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

async function exportAndStore(options: UploadOptions, target: UploadTarget, under: Under, output: string, work: (destination: Destination) => Promise<Outcome[]>): Promise<Outcome[]> {
  const storing = new Storing(options, target, under, output, await import('../files/upload/upload-export.js'));
  const exported = await work({
    output, stored: storing.meanwhile, checkTargets: (targets) => storing.check(targets),
    // Below TMPDIR nothing of it stays.
    ...(options.upload === undefined && { placeOf: (name: string) => inBucket(storing.placeOf(name), target.connection.endpoint) }),
  });
  tellPhase('upload', 'bytes', await storing.bytesOf(exported));
  const outcomes: Outcome[] = [];
  for (const outcome of exported) outcomes.push('error' in outcome ? outcome : await storing.store(outcome));
  const there = new Set(outcomes.flatMap((outcome) => ('error' in outcome ? [] : [outcome.target.directory])));
  // A run that made nothing leaves what an earlier one stored; what it could not store it tells.
  if (outcomes.length > 1 && there.size > 0 && outcomes.every((outcome, index) => !('error' in outcome) || exported[index] === outcome)) await storing.storeIndex(there);
  return outcomes;
}

/** Stores what a run has made. */
class Storing {
  readonly #options: UploadOptions;
  readonly #target: UploadTarget;
  readonly #under: Under;
  readonly #output: string;
  readonly #upload: typeof Upload;
  /** Where workers store while they make it. */
  readonly meanwhile: UploadTarget | undefined;
  readonly #resumed: boolean;

  constructor(options: UploadOptions, target: UploadTarget, under: Under, output: string, upload: typeof Upload) {
    [this.#options, this.#target, this.#under, this.#output, this.#upload] = [options, target, under, output, upload];
    this.meanwhile = options.upload === undefined && options.queue !== undefined ? target : undefined;
    this.#resumed = target.resume === true && target.overwrite !== true;
  }

  /** URL of an export. */
  placeOf(name: string): string {
    const { bucket, prefix } = this.#target;
    return `s3://${bucket}/${prefix === '' ? '' : `${prefix}/`}${this.#options.tarball === true ? `${name}.tar.gz` : name}`;
  }

  /** @throws RealmliftError UPLOAD_EXISTS where another export is in the way, and what else would keep the exports from being stored */
  async check(targets: readonly Target[]): Promise<void> {
    const several = targets.length > 1;
    const names = this.meanwhile !== undefined ? [] : targets.flatMap(({ directory }) => (this.#options.tarball === true ? tarballOf(directory) : [`${directory}/`]));
    await this.#upload.checkUpload(this.#target, several ? [...names, REPORT_PAGE, RUN_MANIFEST] : names, this.#under.signal);
    if (!this.#resumed) return;
    const directories = new Set(targets.map(({ directory }) => directory));
    for (const directory of directories) await this.#isWhole(directory);
    const bound = parseRunManifest(several ? await this.#upload.storedText(this.#target, RUN_MANIFEST, this.#under.signal) ?? '' : '');
    if (bound.some(({ directory }) => directory !== null && !directories.has(directory))) throw (await import('../files/upload/upload-target.js')).taken(this.#target, RUN_MANIFEST);
  }

  /** Of all that is to be stored. */
  async bytesOf(exported: readonly Outcome[]): Promise<number> {
    const { bytesBelow } = await import('../package/tarball.js');
    const directories = exported.flatMap((outcome) => ('error' in outcome ? [] : [directoryOf(outcome)]));
    return sum(directories.map((directory) => (this.#options.tarball === true ? statSync(`${directory}.tar.gz`).size : bytesBelow(directory))));
  }

  /** @returns the outcome, which is a failure where it cannot be stored @throws RealmliftError where the run was stopped */
  async store(made: Made): Promise<Outcome> {
    const { signal } = this.#under;
    const { upload } = this.#options;
    const directory = directoryOf(made);
    const place = this.placeOf(basename(directory));
    try {
      await this.#storeFiles(basename(directory), made);
      return upload === undefined ? placedAt(made, place, inBucket(place, this.#target.connection.endpoint)) : placedAt(made, `${directory} and ${place}`, { directory });
    } catch (error) {
      const known = asRealmliftError(error);
      const whole = `${directory} is whole; what was stored of it has no manifest: run again with --resume to store it`;
      if (signal.aborted) throw upload === undefined ? error : known.with({ stage: 'files', hint: whole, again: false });
      return { target: made.target, error: upload === undefined ? known : known.ending(whole) };
    }
  }

  /** It binds the others: last, and only where all that it names are there. */
  async storeIndex(there: ReadonlySet<string>): Promise<void> {
    const missing = readRunManifest(this.#output).flatMap(({ directory }) => (directory === null || there.has(directory) ? [] : [directory]));
    if (missing.length > 0) this.#under.onEvent({ target: '', kind: 'warning', text: `${join(this.#output, RUN_MANIFEST)} is not stored: it binds exports that this run did not store (${missing.join(', ')})` });
    else for (const name of [REPORT_PAGE, RUN_MANIFEST]) await this.#storeFile(name, () => undefined);
  }

  async #storeFiles(name: string, made: Made): Promise<void> {
    if (this.#resumed && await this.#isWhole(name)) return;
    const onStored: Upload.OnStored = (more) => this.#under.onEvent({ target: made.target.name, kind: 'stored', ...more });
    if (this.#options.tarball === true) for (const each of tarballOf(name)) await this.#storeFile(each, onStored);
    else await this.#upload[this.meanwhile === undefined ? 'uploadDirectory' : 'uploadRest'](this.#target, name, directoryOf(made), MANIFEST, this.#under.signal, onStored);
  }

  async #storeFile(name: string, onStored: Upload.OnStored): Promise<void> {
    const path = join(this.#output, name);
    await this.#upload.uploadStream(this.#target, name, createReadStream(path), (await stat(path)).size, this.#under.signal, onStored);
  }

  async #isWhole(name: string): Promise<boolean> {
    const mark = this.#options.tarball === true ? tarballOf(name)[1] : `${name}/${MANIFEST}`;
    return this.#upload.isStored(this.#target, mark, join(this.#output, mark), this.#under.signal);
  }
}

/** The checksum comes last. */
function tarballOf(name: string): [string, string] {
  return [`${name}.tar.gz`, `${name}.tar.gz.sha256`];
}
