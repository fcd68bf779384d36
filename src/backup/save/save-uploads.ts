/**
 * Uploaded files in sealed tar archives of some tens of MB, so that a million small files make some thousands of parts, and no name of a file
 * is seen from outside. What S3 knows of an object is in its entry's extended header; other tar programs ignore it.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack as newPack } from 'tar-stream';
import type { Header, Pack } from 'tar-stream';
import { Lost } from '../../files/file-store.js';
import { inOrder } from '../../files/ordered-pool.js';
import { tellPhase, tellProgress } from '../../narration.js';
import type { Contents, FilesPart, Part } from '../contents/backup-contents.js';
import type { PartNames } from '../contents/part-names.js';
import { sealPart } from '../contents/sealing.js';
import type { Sealing } from '../contents/sealing.js';
import type { BackupStore } from '../store/backup-store.js';
import { ATTRIBUTES_RECORD } from '../uploads/upload-archive.js';
import type { LostUpload, OnLostUpload, UploadContent, UploadSource, UploadedFile } from '../uploads/upload-source.js';

/** Bytes of content, and number of files, that close an archive. */
const PACK_SIZE = 64 * 1024 * 1024;
const PACK_FILES = 2000;
/** Files of up to so many bytes are read ahead, so that the next ones are on their way while one is written. */
const SMALL = 1024 * 1024;
const READ_AHEAD = 8;

/** The step's name. */
export const UPLOADED_FILES = 'uploaded files';

export interface UploadSaving {
  readonly store: BackupStore;
  readonly names: PartNames;
  readonly sealing: Sealing;
  /** Archives that are written at once. */
  readonly jobs: number;
}

export interface SavedUploads {
  readonly files: NonNullable<Contents['files']>;
  readonly parts: readonly Part[];
}

/** Lost files that are kept by name, for the list must be held in memory by whoever opens the backup. */
const NAMED = 10_000;
/** How often a file that breaks off while it is read is read again. */
const ATTEMPTS = 3;

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
export async function saveUploads(source: UploadSource, { store, names, sealing, jobs }: UploadSaving, stop: AbortSignal): Promise<SavedUploads> {
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);
  const parts: Part[] = [];
  const saved: FilesPart[] = [];
  const losses = new Losses();
  tellPhase(UPLOADED_FILES, 'files');
  const queue = packs(source.files(losses.add));
  const work = async (): Promise<void> => {
    try {
      for await (const files of queue) {
        signal.throwIfAborted();
        const at = saved.push({ part: '', files: 0, bytes: 0 }) - 1;
        const { part, found } = await savePack(files, { store, name: names.files(at + 1), sealing, signal }, losses);
        parts.push(part);
        saved[at] = { part: part.name, ...found };
      }
    } catch (error) {
      failed.abort(error);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  signal.throwIfAborted();
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

interface Found {
  readonly files: number;
  readonly bytes: number;
}

/** The part that an archive becomes. */
interface Archive {
  readonly store: BackupStore;
  readonly name: string;
  readonly sealing: Sealing;
  readonly signal: AbortSignal;
}

interface SavedPack {
  readonly part: Part;
  readonly found: Found;
}

/** A file of which the archive has the beginning and cannot have the rest. */
class Broken extends Error {
  readonly file: UploadedFile;
  readonly lost: Lost;

  constructor(file: UploadedFile, lost: Lost) {
    super(lost.message);
    this.file = file;
    this.lost = lost;
  }
}

/** An archive in which a file broke off is written anew, without that file where it always breaks off. */
async function savePack(files: readonly UploadedFile[], archive: Archive, losses: Losses): Promise<SavedPack> {
  const broken = new Map<UploadedFile, number>();
  for (;;) {
    const lost: LostUpload[] = [];
    try {
      const whole = files.filter((file) => (broken.get(file) ?? 0) < ATTEMPTS);
      const saved = await writePack(whole, archive, (each) => lost.push(each));
      for (const each of lost) losses.add(each);
      return saved;
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      const times = (broken.get(error.file) ?? 0) + 1;
      broken.set(error.file, times);
      if (times === ATTEMPTS) losses.add({ name: error.file.name, reason: error.lost.reason, detail: error.lost.message });
    }
  }
}

async function writePack(files: readonly UploadedFile[], { store, name, sealing, signal }: Archive, onLost: OnLostUpload): Promise<SavedPack> {
  const tar = newPack();
  const filling = fill(tar, files, onLost).catch((error: unknown) => {
    tar.destroy(error as Error);
    throw error;
  });
  const [sealed, filled] = await Promise.allSettled([sealPart(store, name, Readable.from(tar), sealing, signal), filling]);
  // Each fails when the other does; the source's own reason is the better one to know, unless the store broke it off.
  if (sealed.status === 'rejected') throw filled.status === 'rejected' && !/destroyed/.test((filled.reason as Error).message) ? filled.reason : sealed.reason;
  if (filled.status === 'rejected') throw filled.reason;
  return { part: sealed.value, found: filled.value };
}

async function fill(tar: Pack, files: readonly UploadedFile[], onLost: OnLostUpload): Promise<Found> {
  let count = 0;
  let bytes = 0;
  for await (const { file, content } of inOrder(Readable.from(files) as AsyncIterable<UploadedFile>, READ_AHEAD, READ_AHEAD, (each) => readAhead(each, onLost))) {
    const found = content ?? (file.size > SMALL ? await orLost(file, onLost, () => file.read()) : undefined);
    if (found === undefined) continue;
    await pipeline(Readable.from(found.chunks, { objectMode: false }), tar.entry(headerOf(file, found))).catch((error: unknown) => {
      throw error instanceof Lost ? new Broken(file, error) : error;
    });
    count++;
    bytes += found.size;
    tellProgress(1, found.size);
  }
  tar.finalize();
  return { files: count, bytes };
}

async function readAhead(file: UploadedFile, onLost: OnLostUpload): Promise<{ file: UploadedFile; content?: UploadContent }> {
  const content = file.size > SMALL ? undefined : await orLost(file, onLost, async () => {
    const small = await file.read();
    const chunks: Buffer[] = [];
    for await (const chunk of small.chunks) chunks.push(chunk);
    return { ...small, chunks: Readable.from(chunks) };
  });
  return content === undefined ? { file } : { file, content };
}

/** @returns undefined for a file that is lost, which is told */
async function orLost<T>({ name }: UploadedFile, onLost: OnLostUpload, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    onLost({ name, reason: error.reason, detail: error.message });
    return undefined;
  }
}

function headerOf({ name }: UploadedFile, { size, modified, mode, attributes }: UploadContent): Pick<Header, 'name' | 'size' | 'mtime' | 'mode' | 'type' | 'pax'> {
  return {
    name, size, mtime: new Date(modified * 1000), mode: mode ?? 0o644, type: 'file',
    // The plain header has whole seconds only.
    pax: { mtime: String(modified), ...(attributes === undefined ? {} : { [ATTRIBUTES_RECORD]: JSON.stringify(attributes) }) },
  };
}
