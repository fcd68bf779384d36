/** A directory that the coordinator and all workers see: a worker writes into a directory of its attempt, whose files the coordinator renames. */
import { rmSync, writeFileSync } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { RealmliftError } from '../../errors.js';
import { endOf, type Spool } from '../../export/spools/spool-format.js';
import type { FinishedPart } from '../../export/segments/finished-part.js';
import type { Segment } from '../../export/segments/segment.js';
import { RUN_DIRECTORY } from '../../package/output-directory.js';
import { isMessagesPath } from '../../package/export-files.js';
import { diskError, isIntact } from '../../package/part-file.js';
import type { Expected } from '../runs/expected.js';
import { LIGHT } from '../runs/job-board.js';
import { newProbe, probeName } from '../runs/probe.js';
import { ATTEMPTS_DIRECTORY } from './attempt.js';
import type { FetchedFile, JobPlaces, MadePart } from './export-jobs.js';
import type { DoneBy, RunOutput } from './run-output.js';
import { receivedSpool } from './set-jobs.js';

export class SharedDirectory implements RunOutput {
  readonly #output: string;
  /** By the directory of the unfinished export. */
  readonly #places = new Map<string, Promise<JobPlaces>>();

  constructor(output: string) {
    this.#output = resolve(output);
  }

  async announce(run: string): Promise<Pick<Expected, 'output' | 'bucket' | 'probe'>> {
    await mkdir(this.#output, { recursive: true, mode: 0o700 });
    const { name, content, probe } = newProbe(run);
    try {
      writeFileSync(join(this.#output, name), content, { mode: 0o600 });
    } catch (error) {
      throw diskError(error, join(this.#output, name));
    }
    return { output: this.#output, bucket: null, probe };
  }

  withdraw(run: string): Promise<void> {
    rmSync(join(this.#output, probeName(run)), { force: true });
    return Promise.resolve();
  }

  begin(): Promise<void> {
    return Promise.resolve();
  }

  /** A hundred small tables are copied while workers have the messages, sooner than they would go to these and come back. */
  doneBy({ kind }: Segment, weight: number): DoneBy {
    return kind === 'table' && weight < LIGHT ? 'own first' : 'workers';
  }

  places(directory: string): Promise<JobPlaces> {
    const places = this.#places.get(directory) ?? this.#prepare(directory);
    this.#places.set(directory, places);
    return places;
  }

  checked(segment: Segment): Promise<Segment> {
    return Promise.resolve(segment);
  }

  async takePart({ part }: MadePart, directory: string, attempt: string): Promise<FinishedPart> {
    const made = join(directory, RUN_DIRECTORY, ATTEMPTS_DIRECTORY, attempt, part.path);
    // What a table's part holds goes into another file, whose digest is taken here; a messages file has that which the worker tells, as if it had been written here.
    if (!isMessagesPath(part.path) && !(await isIntact(made, part))) throw new RealmliftError('PART_NOT_THERE', 'queue', `${made} is not what a worker says that it wrote`, { hint: ALIKE });
    await accept(made, join(directory, part.path), part.size);
    return part;
  }

  takeSpools(spools: readonly Spool[], directory: string, attempt: string): Promise<Spool[]> {
    return Promise.all(spools.map(async (each) => {
      const spool = receivedSpool(each, join(directory, RUN_DIRECTORY, ATTEMPTS_DIRECTORY, attempt));
      const found = await stat(spool.path).catch(() => undefined);
      if (found === undefined || found.size < endOf(spool)) throw new RealmliftError('PART_NOT_THERE', 'queue', `${spool.path} is not what a worker says that it wrote`, { hint: ALIKE });
      return spool;
    }));
  }

  takeFile({ size }: FetchedFile, index: number, attempt: string, attempts: string, partial: string): Promise<void> {
    return accept(join(this.#output, attempts, attempt, String(index)), partial, size);
  }

  forget(attempt: string, attempts: string): Promise<void> {
    return rm(join(this.#output, attempts, attempt), { recursive: true, force: true });
  }

  filesTarget(): undefined {
    return undefined;
  }

  check(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  remember(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #prepare(directory: string): Promise<JobPlaces> {
    const attempts = join(directory, RUN_DIRECTORY, ATTEMPTS_DIRECTORY);
    await mkdir(attempts, { recursive: true, mode: 0o700 }).catch((error: unknown) => { throw diskError(error, attempts); });
    return { finished: relative(this.#output, directory), attempts: relative(this.#output, attempts) };
  }
}

const ALIKE = 'the output directory must be one that all machines share, and see alike';

/** Gives a file that an attempt made the name that it is to have. @throws RealmliftError PART_NOT_THERE, as diskError */
async function accept(made: string, name: string, size: number): Promise<void> {
  const found = await stat(made).catch(() => undefined);
  if (found?.size !== size) {
    throw new RealmliftError('PART_NOT_THERE', 'queue', `a worker says that it wrote ${size} bytes to ${made}, and here ${found === undefined ? 'there is no such file' : `it has ${found.size}`}`, { hint: ALIKE });
  }
  await rename(made, name).catch((error: unknown) => { throw diskError(error, name); });
}
