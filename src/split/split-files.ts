/**
 * The files of split realms, under the names that they have: rows name uploads by their path, and avatars lie under a hash with the
 * server's salt, which changes only where the new server has a salt of its own. They may come from a disk and go into buckets, or the other way.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import type { UploadPlace } from '../files/upload/upload-place.js';
import { Lost, untilLost, type Candidate, type FileStore } from '../files/file-store.js';
import { RealmliftError } from '../errors.js';
import { diskFault } from '../files/export-directory.js';
import { inOrder } from '../files/ordered-pool.js';
import { unsafe } from '../files/safe-path.js';
import { AREAS } from '../package/export-files.js';
import type { FileTarget } from '../load/files/file-target.js';
import { openFileTarget } from '../load/files/open-file-target.js';
import { tellPhase, tellProgress } from '../narration.js';
import { useSchema } from '../plan/search-path.js';
import type { Source } from '../plan/source.js';
import { withSession, type Snapshot } from '../snapshot/snapshot.js';
import { withTemporaryDirectory } from '../temporary-directory.js';
import type { FilePlaces, PlacedFile } from './file-places.js';
import { filesToCopy, type FilesToCopy, type Salts } from './files-to-copy.js';
import type { SplitPlan } from './plan-split.js';
import { SPLIT_FILES } from './split-progress.js';

export interface FilesRequest extends Salts {
  readonly openStore: () => Promise<FileStore>;
  /** Where they go. */
  readonly place: UploadPlace;
  /** Files under way at once. */
  readonly jobs: number;
}

export interface SplitFiles {
  readonly files: number;
  readonly bytes: number;
  readonly lost: number;
  /** The first of them: `area key: why`. */
  readonly lostNames: readonly string[];
}

/** Files that wait for a slower one before them. */
const WINDOW = 1000;

/** Lost files that are named. */
const NAMED = 20;

/** On their way beside the rows. */
export interface StartedFiles {
  /** Resolves when nothing more is asked of the database, whatever came of it. */
  readonly asked: Promise<void>;
  /** From now on they are what is narrated: while rows come they are not. */
  readonly tell: () => void;
  readonly result: Promise<SplitFiles>;
  readonly stop: (reason: unknown) => Promise<void>;
}

/** Begins to copy: the store and the new place are there and can be used, which is known before any row is copied. */
export async function startFiles(snapshot: Snapshot, source: Source, plans: readonly SplitPlan[], request: FilesRequest): Promise<StartedFiles> {
  const stopped = new AbortController();
  const signal = AbortSignal.any([snapshot.lost, stopped.signal]);
  // Each file under way listens.
  setMaxListeners(0, signal);
  const places = await openPlaces(request, signal);
  let [telling, isAsked] = [false, (): void => undefined];
  const asked = new Promise<void>((resolve) => { isAsked = resolve; });
  const result = withTemporaryDirectory('split', async (temporary) => {
    const realms = await withSession({ ...snapshot, lost: signal }, 'split', (session) => askAll(session, source, plans, request, places.store.kind, temporary));
    isAsked();
    const copying = new FilesCopy(places, request.jobs, temporary, signal, (bytes) => { if (telling) tellProgress(1, bytes); });
    for (const realm of realms) await copying.realm(realm);
    return copying.result;
  }).finally(() => {
    isAsked();
    places.store.close();
    places.target.close();
  });
  const done = result.catch(() => undefined);
  return {
    asked, result,
    tell: () => {
      telling = true;
      tellPhase(SPLIT_FILES, 'files');
    },
    stop: async (reason) => {
      stopped.abort(reason);
      await done;
    },
  };
}

interface OpenPlaces {
  readonly store: FileStore;
  readonly target: FileTarget;
}

async function openPlaces({ openStore, place, jobs }: FilesRequest, signal: AbortSignal): Promise<OpenPlaces> {
  if (place.kind === 'directory') await mkdir(place.directory, { recursive: true, mode: 0o700 }).catch(() => undefined);
  const target = await openFileTarget(place, jobs, undefined, signal);
  try {
    return { store: await openStore(), target };
  } catch (error) {
    target.close();
    throw error;
  }
}

/** One realm after the other, into a directory each. */
async function askAll(session: pg.Client, source: Source, plans: readonly SplitPlan[], request: FilesRequest, from: FileStore['kind'], temporary: string): Promise<FilesToCopy[]> {
  await useSchema(session, source.schema);
  const realms: FilesToCopy[] = [];
  for (const plan of plans) {
    const directory = join(temporary, String(plan.request.realm.id));
    await mkdir(directory);
    realms.push(await filesToCopy(session, source, plan, request, from, request.place.kind, directory));
  }
  return realms;
}

class FilesCopy {
  readonly #places: OpenPlaces;
  readonly #jobs: number;
  readonly #temporary: string;
  readonly #signal: AbortSignal;
  readonly #onFile: (bytes: number) => void;
  readonly #lostNames: string[] = [];
  #files = 0;
  #bytes = 0;
  #lost = 0;

  constructor(places: OpenPlaces, jobs: number, temporary: string, signal: AbortSignal, onFile: (bytes: number) => void) {
    [this.#places, this.#jobs, this.#temporary, this.#signal, this.#onFile] = [places, jobs, temporary, signal, onFile];
  }

  get result(): SplitFiles {
    return { files: this.#files, bytes: this.#bytes, lost: this.#lost, lostNames: this.#lostNames };
  }

  async realm({ wanted, places }: FilesToCopy): Promise<void> {
    for (const area of AREAS.filter((each) => wanted.areas.includes(each))) {
      const candidates = untilLost(this.#places.store.candidates(area, wanted, this.#signal), ({ message }) => this.#lose(`${area} ${wanted.realmId}/: ${message}`));
      for await (const sizes of inOrder(candidates, this.#jobs, WINDOW, (candidate) => this.#withSiblings(candidate, places))) {
        for (const size of sizes) {
          this.#files += 1;
          this.#bytes += size;
          this.#onFile(size);
        }
      }
    }
  }

  /** @returns the bytes of each that is taken */
  async #withSiblings(candidate: Candidate, places: FilePlaces): Promise<number[]> {
    const sizes: number[] = [];
    for (const each of [candidate, ...places.siblings(candidate)]) {
      const size = await this.#copy(each, places);
      if (size !== undefined) sizes.push(size);
    }
    return sizes;
  }

  /** @returns bytes; undefined when the file is not taken, which is told where it is a loss */
  async #copy(candidate: Candidate, places: FilePlaces): Promise<number | undefined> {
    const { store, target } = this.#places;
    const { area, key, refused, optional } = candidate;
    const partial = join(this.#temporary, randomUUID());
    try {
      this.#signal.throwIfAborted();
      if (refused === 'owner') return undefined;
      if (refused === 'absent') throw new Lost('absent', 'there is no such file');
      const problem = unsafe(key);
      if (problem !== undefined) throw new Lost('unsafe-name', problem);
      const fetched = await store.fetch(candidate, partial, this.#signal).catch((error: unknown) => {
        // It is below TMPDIR, which its store does not know.
        throw (error instanceof RealmliftError ? diskFault(error.cause ?? {}, partial) : undefined) ?? error;
      });
      if (!fetched.taken) return undefined;
      const placed: PlacedFile | undefined = places.placed(candidate, fetched.verdict.record);
      if (placed === undefined) return undefined;
      await target.put({ path: key, size: fetched.size, sha256: fetched.sha256, oldKey: undefined, image: undefined, ...placed }, partial, this.#signal);
      return fetched.size;
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      if (error.reason !== 'absent' || optional !== true) this.#lose(`${area} ${key}: ${error.message}`);
      return undefined;
    } finally {
      await rm(partial, { force: true });
    }
  }

  #lose(name: string): void {
    if (this.#lost++ < NAMED) this.#lostNames.push(name);
  }
}
