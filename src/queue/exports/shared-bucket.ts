/**
 * A bucket that the coordinator and all workers reach. A worker stores its files under their final names, and the coordinator completes them: see
 * ExportBucket. What is put together in the end, and how far the run has come, lies in a directory of the coordinator's own, in which an empty
 * file stands for each that is stored; the journal is stored too, so that another coordinator can go on.
 */
import { setMaxListeners } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { RealmliftError } from '../../errors.js';
import type { FinishedPart } from '../../export/segments/finished-part.js';
import type { Spool } from '../../export/spools/spool-format.js';
import type { Segment } from '../../export/segments/segment.js';
import type { EarlierFile } from '../../files/file-events.js';
import { ExportBucket, type PendingObject } from '../../files/upload/export-bucket.js';
import { ExportDirectory } from '../../files/export-directory.js';
import type { FilesTarget } from '../../files/files-target.js';
import { beginUpload } from '../../files/upload/upload-export.js';
import type { UploadTarget } from '../../files/upload/upload-target.js';
import type { Journal } from '../../package/journal.js';
import { MANIFEST } from '../../package/manifest.js';
import { runDirectory } from '../../package/output-directory.js';
import { diskError } from '../../package/part-file.js';
import type { Expected } from '../runs/expected.js';
import { newProbe, probeName } from '../runs/probe.js';
import type { FetchedFile, JobPlaces, MadePart } from './export-jobs.js';
import type { DoneBy, RunOutput } from './run-output.js';
import { StoredJournal } from './stored-journal.js';

export class SharedBucket implements RunOutput {
  readonly #bucket: ExportBucket;
  readonly #output: string;
  readonly #signal: AbortSignal;
  readonly #journals = new Map<string, StoredJournal>();
  /** Files that workers have stored, by the partial file that stands for each. */
  readonly #stored = new Map<string, PendingObject>();

  /** @param output the coordinator's own directory */
  constructor(target: UploadTarget, output: string, signal: AbortSignal) {
    this.#bucket = new ExportBucket(target);
    this.#output = resolve(output);
    this.#signal = signal;
    // Each request under way listens.
    setMaxListeners(0, signal);
  }

  async announce(run: string): Promise<Pick<Expected, 'output' | 'bucket' | 'probe'>> {
    const { bucket, prefix, encryption = null } = this.#bucket.target;
    const { name, content, probe } = newProbe(run);
    await this.#bucket.write(name, content, this.#signal);
    return { output: '', bucket: { bucket, prefix, encryption }, probe };
  }

  withdraw(run: string): Promise<void> {
    return this.#bucket.remove(probeName(run));
  }

  async begin(names: readonly string[], resume: boolean): Promise<void> {
    const taken: string[] = [];
    for (const name of names) {
      const journal = new StoredJournal(this.#bucket, name, runDirectory(this.#output, name));
      if (!resume || !(await journal.restore(this.#signal))) taken.push(name);
      this.#journals.set(name, journal);
    }
    await beginUpload(this.#bucket.target, taken, MANIFEST, this.#signal);
    // Nothing comes any more of what was under way when an earlier run ended.
    for (const name of names) await this.#bucket.giveUpAll(`${name}/`);
  }

  /** What is put together in the end. */
  doneBy({ kind }: Segment): DoneBy {
    return kind === 'messages' ? 'workers' : 'own';
  }

  places(directory: string): Promise<JobPlaces> {
    return Promise.resolve({ finished: this.#name(directory), attempts: '' });
  }

  async checked(segment: Segment, directory: string, onDamaged: (path: string) => void): Promise<Segment> {
    if (segment.kind !== 'messages') return segment;
    const files = await Promise.all(segment.files.map(async (file) => {
      const { path, earlier } = file;
      if (earlier === undefined || await this.#bucket.holds(`${this.#name(directory)}/${path}`, earlier.size, earlier.etag, this.#signal)) return file;
      onDamaged(path);
      return { ...file, earlier: undefined };
    }));
    return { ...segment, files };
  }

  async takePart({ part, stored }: MadePart, directory: string): Promise<FinishedPart> {
    const etag = stored === undefined ? part.etag : await this.#complete(stored, `${this.#name(directory)}/${part.path}`, part.size);
    standIn(join(directory, part.path));
    return { ...part, etag };
  }

  takeSpools(spools: readonly Spool[], directory: string): Promise<Spool[]> {
    // Realms whose exports go into a bucket are no set.
    return Promise.reject(notStored(`${directory} (${spools.length} spools)`));
  }

  takeFile({ stored }: FetchedFile, _index: number, _attempt: string, _attempts: string, partial: string): Promise<void> {
    if (stored === undefined) throw notStored(partial);
    this.#stored.set(partial, stored);
    standIn(partial);
    return Promise.resolve();
  }

  forget(): Promise<void> {
    return Promise.resolve();
  }

  async filesTarget(directory: string, resumed: boolean): Promise<FilesTarget> {
    const here = await ExportDirectory.open(directory, resumed);
    const name = (path: string): string => `${this.#name(directory)}/${path}`;
    return {
      partial: (path) => here.partial(path),
      publish: async (partial, path) => {
        const stored = this.#stored.get(partial);
        this.#stored.delete(partial);
        try {
          await here.publish(partial, path);
        } catch (error) {
          if (stored !== undefined) await this.#bucket.giveUp(stored);
          throw error;
        }
        if (stored !== undefined) return this.#complete(stored, name(path), stored.size);
        const own = await this.#bucket.put(name(path), join(directory, path), this.#signal);
        const etag = await this.#bucket.complete(own, this.#signal);
        await truncate(join(directory, path));
        return etag;
      },
      holds: async (path: string, { size, etag }: Pick<EarlierFile, 'size' | 'etag'>) => {
        if (!(await this.#bucket.holds(name(path), size, etag, this.#signal))) return false;
        standIn(join(directory, path));
        return true;
      },
      close: () => here.close(),
    };
  }

  /** The bucket's list says it of a thousand objects at a time; what it does not say is asked for one by one. */
  async check(directory: string, journal: Journal): Promise<number> {
    const name = this.#name(directory);
    let there = 0;
    for await (const { key, size, etag } of this.#bucket.list(`${name}/`, this.#signal)) {
      const part = journal.get(key);
      if (part?.etag !== undefined && part.etag === etag && part.size === size) there += 1;
    }
    let stored = 0;
    for await (const { etag } of journal.finished()) if (etag !== undefined) stored += 1;
    if (there === stored) return stored;
    for await (const { path, size, etag } of journal.finished()) {
      if (etag !== undefined && !(await this.#bucket.holds(`${name}/${path}`, size, etag, this.#signal))) throw this.#changed(`${name}/${path}`, stored - there);
    }
    return stored;
  }

  async remember(): Promise<void> {
    await Promise.all([...this.#journals.values()].map((journal) => journal.save(this.#signal)));
  }

  async close(): Promise<void> {
    // Of a server that does not answer for one it is not asked for the others.
    for (const name of this.#journals.keys()) if (!(await this.#bucket.giveUpAll(`${name}/`))) break;
    this.#bucket.close();
  }

  async #complete(stored: PendingObject, name: string, size: number): Promise<string> {
    if (stored.name !== name || stored.size !== size) throw notStored(name);
    return this.#bucket.complete(stored, this.#signal);
  }

  #changed(name: string, count: number): RealmliftError {
    const { bucket, prefix } = this.#bucket.target;
    return new RealmliftError('STORED_CHANGED', 'files', `${count === 1 ? 'an object that was stored is' : `${count} objects that were stored are`} not there any more, or changed: ${name} below s3://${bucket}/${prefix}`, {
      hint: 'does somebody else write there, or a rule of the bucket remove objects? Run again with --resume: what is missing is stored anew',
    });
  }

  #name(directory: string): string {
    return relative(this.#output, directory).replace(/\.partial$/, '');
  }
}

/** Puts an empty file where another machine has stored one. */
function standIn(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, '', { mode: 0o600 });
  } catch (error) {
    throw diskError(error, path);
  }
}

function notStored(name: string): RealmliftError {
  return new RealmliftError('PART_NOT_THERE', 'queue', `a worker has not stored ${name} as it was to`, { hint: 'use the same version of realmlift everywhere' });
}
