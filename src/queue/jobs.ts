/** What the jobs of a run say, and what is said of them when they are done. Paths are relative to the output directory, which every machine has elsewhere. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../export/segments/row-query.js';
import type { FinishedPart } from '../export/segments/finished-part.js';
import type { Segment } from '../export/segments/segment.js';
import type { AnySetSegment, DealtRows } from '../export/segments/set-segments.js';
import { sendable, type SentError } from '../export/segments/sent-error.js';
import type { PendingObject } from '../files/upload/export-bucket.js';
import type { Candidate, Fetched, ObjectInfo } from '../files/file-store.js';
import { diskError } from '../package/part-file.js';
import type { SentSetSegment } from './set-jobs.js';

/** Where a job's files go. */
export interface JobPlaces {
  /** Directory of the export; in a bucket its name, below which objects are named. */
  readonly finished: string;
  /** Directory in which each attempt makes one of its own; in a bucket there is none. */
  readonly attempts: string;
}

/** A segment of the rows. */
export interface RowsJob {
  readonly segment: Exclude<Segment, AnySetSegment> | SentSetSegment;
  readonly schema: string;
  readonly places: JobPlaces;
}

export interface MadePart {
  readonly part: FinishedPart;
  /** An earlier run had finished it. */
  readonly kept: boolean;
  /** Where it was stored in a bucket. */
  readonly stored?: PendingObject | undefined;
}

export interface RowsDone {
  /** Name of the attempt's directory. */
  readonly attempt: string;
  readonly parts: readonly MadePart[];
  readonly damaged: readonly string[];
  readonly progress: readonly Progress[];
  /** Of a set, whose spools are and stay in the attempt's directory. */
  readonly dealt?: DealtRows | undefined;
  /** Of a set: a row of one realm is at fault, wherever it is tried. */
  readonly fault?: SentError | undefined;
}

/** A batch of files. */
export interface FilesJob {
  readonly files: readonly Pick<Candidate, 'area' | 'key' | 'path'>[];
  readonly places: JobPlaces;
}

/** A file that was fetched, and lies in the attempt's directory under its number among the job's. */
export interface FetchedFile extends Pick<Extract<Fetched, { taken: true }>, 'size' | 'sha256' | 'identity'> {
  readonly info: ObjectInfo;
  /** Where it was stored in a bucket. */
  readonly stored?: PendingObject | undefined;
}

export interface FilesDone {
  readonly attempt: string;
  /** In the order of the job; null for one that could not be had. */
  readonly files: readonly (FetchedFile | null)[];
}

export interface JobFailed {
  readonly error: SentError;
}

/** What may be told of an error: a stack names this machine's files. */
export function jobFailed(error: unknown): JobFailed {
  return { error: { ...sendable(error), stack: undefined } };
}

/** Among the run's own files. */
export const ATTEMPTS_DIRECTORY = 'attempts';

/** Where one attempt at a job writes: whoever does the same job at the same time writes elsewhere. */
export class Attempt {
  readonly name = randomUUID();
  readonly directory: string;

  /**
   * @param attempts the directory of all, which is gone when the run has ended
   * @throws RealmliftError as diskError
   */
  constructor(attempts: string) {
    this.directory = join(attempts, this.name);
    try {
      mkdirSync(this.directory, { mode: 0o700 });
    } catch (error) {
      throw diskError(error, this.directory);
    }
  }

  /** Removes it with what it wrote. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
