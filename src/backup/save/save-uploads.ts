/**
 * Uploaded files in sealed tar archives of some tens of MB, so that a million small files make some thousands of parts, and no name of a file
 * is seen from outside.
 */
import { inParallel } from '../../in-parallel.js';
import { tellPhase, tellProgress } from '../../narration.js';
import type { Contents, FilesPart, Part } from '../contents/backup-contents.js';
import type { PartNames } from '../contents/part-names.js';
import type { Sealing } from '../contents/sealing.js';
import type { BackupStore } from '../store/backup-store.js';
import type { LostUpload, UploadSource, UploadedFile } from '../uploads/upload-source.js';
import type { BackupWorkers } from './backup-workers.js';
import { savePack, type SavedPack } from './upload-packs.js';

/** Bytes of content, and number of files, that close an archive. */
const PACK_SIZE = 64 * 1024 * 1024;
const PACK_FILES = 2000;
/** The step's name. */
export const UPLOADED_FILES = 'uploaded files';

export interface UploadSaving {
  readonly store: BackupStore;
  readonly names: PartNames;
  readonly sealing: Sealing;
  /** Archives that are written at once. */
  readonly jobs: number;
  /** Who writes them, if it is not this process. */
  readonly workers?: BackupWorkers | undefined;
}

export interface SavedUploads {
  readonly files: NonNullable<Contents['files']>;
  readonly parts: readonly Part[];
}

/** Lost files that are kept by name, for the list must be held in memory by whoever opens the backup. */
const NAMED = 10_000;

/** What there was and is not in the archives. */
class Losses {
  /** Deleted between listing and reading. */
  vanished = 0;
  lost = 0;
  readonly named: LostUpload[] = [];

  readonly add = (upload: LostUpload): void => {
    if (upload.reason === 'absent') this.vanished++;
    else if (++this.lost <= NAMED) this.named.push(upload);
  };
}

/** One file that cannot be had costs no other: it is named in the list of contents. */
export async function saveUploads(source: Pick<UploadSource, 'kind' | 'files'>, { store, names, sealing, jobs, workers }: UploadSaving, stop: AbortSignal): Promise<SavedUploads> {
  const parts: Part[] = [];
  const saved: FilesPart[] = [];
  const losses = new Losses();
  tellPhase(UPLOADED_FILES, 'files');
  const make = async (files: readonly UploadedFile[], name: string, signal: AbortSignal): Promise<SavedPack> => {
    const made = await workers?.archive(files, name, signal);
    if (made === undefined) return savePack(files, { store, name, sealing, signal, onFile: (bytes) => tellProgress(1, bytes) });
    tellProgress(made.found.files, made.found.bytes);
    return made;
  };
  await inParallel(packs(source.files(losses.add)), workers?.backlog ?? jobs, async (files, signal) => {
    const at = saved.push({ part: '', files: 0, bytes: 0 }) - 1;
    const { part, found, lost } = await make(files, names.files(at + 1), signal);
    for (const each of lost) losses.add(each);
    parts.push(part);
    saved[at] = { part: part.name, ...found };
  }, stop);
  const { vanished, lost, named } = losses;
  return { files: { kind: source.kind, parts: saved, vanished, ...(lost === 0 ? {} : { lost, lostFiles: named.sort((a, b) => (a.name < b.name ? -1 : 1)) }) }, parts };
}

async function* packs(files: AsyncIterable<UploadedFile>): AsyncGenerator<UploadedFile[]> {
  let pack: UploadedFile[] = [];
  let size = 0;
  for await (const file of files) {
    if (pack.length > 0 && (size + file.size > PACK_SIZE || pack.length === PACK_FILES)) {
      yield pack;
      pack = [];
      size = 0;
    }
    pack.push(file);
    size += file.size;
  }
  if (pack.length > 0) yield pack;
}
