/**
 * The files stage: pulls what the database wants out of the store into the export's directory, and writes each area's
 * records.json. One file that cannot be had never ends the run: it is told as an event, and the export goes on.
 */
import { setMaxListeners } from 'node:events';
import { ExportDirectory, NameTaken, diskFault } from './export-directory.js';
import type { AreaTally, EarlierFile, FilesResult, LossReason, OnFileEvent } from './file-events.js';
import { emptyTally } from './file-events.js';
import type { Candidate, FileStore } from './file-store.js';
import type { FilesTarget } from './files-target.js';
import { Lost, untilLost } from './file-store.js';
import { reconcile } from './orphans.js';
import { inOrder } from './ordered-pool.js';
import type { FileRecord } from './records.js';
import { writeRecords } from './records.js';
import { unsafe } from './safe-path.js';
import { AREAS, type Area } from '../package/export-files.js';
import type { WantedFiles } from './wanted-files.js';

/** Records that wait for a slower file before them: some 500 bytes each, so 10 MB. */
const WINDOW = 20_000;

/** An earlier export, whose files are taken over where the store has them as they were. */
export interface FilesOfBase {
  /** What it has at a path of the export. */
  readonly find: (path: string) => EarlierFile | undefined;
  /** Puts it at `partial`; false when it is damaged there. */
  readonly take: (path: string, partial: string, file: EarlierFile) => Promise<boolean>;
}

/** What becomes of files below the realm's prefixes that no row claims: `copy` also puts them in `orphans/`. */
export type OrphanChoice = 'report' | 'copy' | 'ignore';

export interface PullOptions {
  /** Files under way at once. Default 32. */
  readonly jobs?: number | undefined;
  /** What the journal of an earlier run says of a path such as `uploads/2/ab/x.png`; given, the run resumes. */
  readonly done?: ((path: string) => EarlierFile | undefined) | undefined;
  readonly base?: FilesOfBase | undefined;
  /** Default `report`. */
  readonly orphans?: OrphanChoice | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default: the export's directory. */
  readonly target?: FilesTarget | undefined;
}

/**
 * @param directory the export's directory, which exists; files go to `directory/AREA/…`
 * @throws RealmliftError when nothing more can be pulled (store gone, credentials refused, disk full)
 */
export async function pullFiles(store: FileStore, wanted: WantedFiles, directory: string, options: PullOptions, onEvent: OnFileEvent): Promise<FilesResult> {
  const target = options.target ?? await ExportDirectory.open(directory, options.done !== undefined);
  const result = await new Pull(store, wanted, target, options, onEvent).run(directory);
  await target.close();
  return result;
}

class Pull {
  readonly #store: FileStore;
  readonly #wanted: WantedFiles;
  readonly #target: FilesTarget;
  readonly #options: PullOptions;
  readonly #onEvent: OnFileEvent;
  readonly #areas = Object.fromEntries(AREAS.map((area) => [area, emptyTally()])) as Record<Area, AreaTally>;
  /** One error ends all: what else is under way must not go on behind it. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;

  constructor(store: FileStore, wanted: WantedFiles, target: FilesTarget, options: PullOptions, onEvent: OnFileEvent) {
    this.#store = store;
    this.#wanted = wanted;
    this.#target = target;
    this.#options = options;
    this.#onEvent = onEvent;
    this.#signal = options.signal === undefined ? this.#stop.signal : AbortSignal.any([this.#stop.signal, options.signal]);
    // Each request under way listens.
    setMaxListeners(0, this.#signal);
  }

  async run(directory: string): Promise<FilesResult> {
    const { jobs = 32, orphans = 'report' } = this.#options;
    for (const area of this.#wanted.areas) {
      const records = inOrder(this.#candidates(area), jobs, WINDOW, async (candidate) => this.#pull(candidate));
      this.#areas[area].records = await writeRecords(directory, area, present(records));
    }
    if (orphans !== 'ignore') {
      await reconcile({
        store: this.#store, wanted: this.#wanted, areas: this.#areas, target: orphans === 'copy' ? this.#target : undefined,
        done: this.#options.done, jobs, signal: this.#signal, onEvent: this.#onEvent,
      });
    }
    return { areas: this.#areas };
  }

  #candidates(area: Area): AsyncGenerator<Candidate> {
    return untilLost(this.#store.candidates(area, this.#wanted, this.#signal, this.#options.base !== undefined), async ({ reason, message }) => {
      this.#areas[area].failed += 1;
      await this.#onEvent({ kind: 'lost', area, key: `${this.#wanted.realmId}/`, reason, detail: message });
    });
  }

  /** @returns the file's record; undefined when it is not in the export, which has been told */
  async #pull(candidate: Candidate): Promise<FileRecord | undefined> {
    try {
      this.#signal.throwIfAborted();
      if (candidate.refused === 'owner') return await this.#skip(candidate);
      if (candidate.refused === 'absent') throw new Lost('absent', 'there is no such file');
      const problem = unsafe(candidate.path) ?? (candidate.path === 'records.json' ? 'the key is that of the records' : undefined);
      if (problem !== undefined) throw new Lost('unsafe-name', problem);
      return (await this.#resumed(candidate)) ?? (await this.#takenOver(candidate)) ?? (await this.#fetched(candidate)) ?? (await this.#skip(candidate));
    } catch (error) {
      // What fails once the run is being stopped fails for that reason.
      if (this.#signal.aborted) throw this.#signal.reason;
      if (error instanceof NameTaken) return this.#lose(candidate, 'collision', error.message);
      if (error instanceof Lost) return error.reason === 'absent' && candidate.optional === true ? undefined : this.#lose(candidate, error.reason, error.message);
      this.#stop.abort(diskFault(error) ?? error);
      throw this.#signal.reason;
    }
  }

  /** Takes the file of an earlier run, if the store's is still the same and the file on disk is what the journal says. */
  async #resumed(candidate: Candidate): Promise<FileRecord | undefined> {
    const path = pathOf(candidate);
    const earlier = this.#options.done?.(path);
    if (earlier === undefined) return undefined;
    const trusted = (await this.#store.unchanged(candidate, earlier.record)) && (await this.#target.holds(path, earlier));
    return trusted ? this.#tell(candidate, earlier, true) : undefined;
  }

  /** Takes the file of the base, if the store's is that very file. */
  async #takenOver(candidate: Candidate): Promise<FileRecord | undefined> {
    const { base } = this.#options;
    const path = pathOf(candidate);
    const earlier = base?.find(path);
    if (base === undefined || earlier === undefined) return undefined;
    const verdict = await this.#store.stillThere(candidate, earlier);
    if (verdict === undefined) return undefined;
    const partial = this.#target.partial(path);
    if (!(await base.take(path, partial, earlier))) return undefined;
    const etag = await this.#target.publish(partial, path);
    const { size, sha256, identity } = earlier;
    return this.#tell(candidate, { size, sha256, identity, etag, record: verdict.record, oddMetadata: verdict.oddMetadata, base: true }, false);
  }

  /** @returns undefined when the object's owner may not travel */
  async #fetched(candidate: Candidate): Promise<FileRecord | undefined> {
    const path = pathOf(candidate);
    const partial = this.#target.partial(path);
    const fetched = await this.#store.fetch(candidate, partial, this.#signal);
    if (!fetched.taken) return undefined;
    const etag = await this.#target.publish(partial, path);
    const { size, sha256, identity, verdict: { record, oddMetadata } } = fetched;
    return this.#tell(candidate, { size, sha256, record, oddMetadata, identity, etag }, false);
  }

  async #tell(candidate: Candidate, { size, sha256, record, oddMetadata, identity, etag, base = false }: EarlierFile, resumed: boolean): Promise<FileRecord> {
    const { area, key, upload } = candidate;
    const tally = this.#areas[area];
    tally.found += 1;
    tally.bytes += size;
    if (resumed) tally.resumed += 1;
    if (oddMetadata !== undefined) {
      tally.metadata[oddMetadata.problem] += 1;
      await this.#onEvent({ kind: 'metadata', area, key, ...oddMetadata });
    }
    if (upload !== undefined && upload.size !== null && upload.size !== size) {
      tally.otherSize += 1;
      await this.#onEvent({ kind: 'other-size', area, key, row: upload.size, file: size, attachmentId: upload.attachmentId });
    }
    await this.#onEvent({ kind: 'file', area, path: pathOf(candidate), size, sha256, record, oddMetadata, identity, etag, base, resumed });
    return record;
  }

  async #skip({ area, key, upload }: Candidate): Promise<undefined> {
    this.#areas[area].skipped += 1;
    await this.#onEvent({ kind: 'skipped', area, key, attachmentId: upload?.attachmentId });
    return undefined;
  }

  async #lose({ area, key, upload }: Candidate, reason: LossReason, detail: string): Promise<undefined> {
    this.#areas[area][reason === 'absent' ? 'missing' : 'failed'] += 1;
    await this.#onEvent({ kind: 'lost', area, key, reason, attachmentId: upload?.attachmentId, detail });
    return undefined;
  }
}

/** Relative to the export's directory. */
function pathOf({ area, path }: Candidate): string {
  return `${area}/${path}`;
}

async function* present(records: AsyncIterable<FileRecord | undefined>): AsyncGenerator<FileRecord> {
  for await (const record of records) if (record !== undefined) yield record;
}
