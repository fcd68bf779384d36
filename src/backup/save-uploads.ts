/**
 * Uploaded files in sealed tar archives of some tens of MB, so that a million small files make some thousands of parts, and no name of a file
 * is seen from outside. What S3 knows of an object is in its entry's extended header; other tar programs ignore it.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack as newPack } from 'tar-stream';
import type { Header, Pack } from 'tar-stream';
import { inOrder } from '../files/ordered-pool.js';
import type { Contents, FilesPart, Part } from './backup-contents.js';
import type { BackupStore } from './backup-store.js';
import type { PartNames } from './part-names.js';
import { sealPart } from './sealing.js';
import type { Sealing } from './sealing.js';
import type { UploadContent, UploadSource, UploadedFile } from './upload-source.js';

/** Bytes of content, and number of files, that close an archive. */
const PACK_SIZE = 64 * 1024 * 1024;
const PACK_FILES = 2000;
/** Files of up to so many bytes are read ahead, so that the next ones are on their way while one is written. */
const SMALL = 1024 * 1024;
const READ_AHEAD = 8;

/** Key of the record in a tar entry's extended header. */
export const ATTRIBUTES_RECORD = 'REALMLIFT.attributes';

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

export async function saveUploads(source: UploadSource, { store, names, sealing, jobs }: UploadSaving, stop: AbortSignal): Promise<SavedUploads> {
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);
  const parts: Part[] = [];
  const saved: FilesPart[] = [];
  let vanished = 0;
  const queue = packs(source.files());
  const work = async (): Promise<void> => {
    try {
      for await (const files of queue) {
        signal.throwIfAborted();
        const at = saved.push({ part: '', files: 0, bytes: 0 }) - 1;
        const { part, found } = await savePack(files, store, names.files(at + 1), sealing, signal);
        parts.push(part);
        saved[at] = { part: part.name, ...found };
        vanished += files.length - found.files;
      }
    } catch (error) {
      failed.abort(error);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  signal.throwIfAborted();
  return { files: { kind: source.kind, parts: saved, vanished }, parts };
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

async function savePack(files: readonly UploadedFile[], store: BackupStore, name: string, sealing: Sealing, signal: AbortSignal): Promise<{ part: Part; found: Found }> {
  const tar = newPack();
  const filling = fill(tar, files).catch((error: unknown) => {
    tar.destroy(error as Error);
    throw error;
  });
  const [sealed, filled] = await Promise.allSettled([sealPart(store, name, Readable.from(tar), sealing, signal), filling]);
  // Each fails when the other does; the source's own reason is the better one to know, unless the store broke it off.
  if (sealed.status === 'rejected') throw filled.status === 'rejected' && !/destroyed/.test((filled.reason as Error).message) ? filled.reason : sealed.reason;
  if (filled.status === 'rejected') throw filled.reason;
  return { part: sealed.value, found: filled.value };
}

async function fill(tar: Pack, files: readonly UploadedFile[]): Promise<Found> {
  let count = 0;
  let bytes = 0;
  for await (const { file, content } of inOrder(Readable.from(files) as AsyncIterable<UploadedFile>, READ_AHEAD, READ_AHEAD, readAhead)) {
    const found = content ?? (file.size > SMALL ? await file.read() : undefined);
    if (found === undefined) continue;
    await pipeline(Readable.from(found.chunks, { objectMode: false }), tar.entry(headerOf(file, found)));
    count++;
    bytes += found.size;
  }
  tar.finalize();
  return { files: count, bytes };
}

async function readAhead(file: UploadedFile): Promise<{ file: UploadedFile; content?: UploadContent }> {
  const content = file.size > SMALL ? undefined : await file.read();
  if (content === undefined) return { file };
  const chunks: Buffer[] = [];
  for await (const chunk of content.chunks) chunks.push(chunk);
  return { file, content: { ...content, chunks: Readable.from(chunks) } };
}

function headerOf({ name }: UploadedFile, { size, modified, mode, attributes }: UploadContent): Pick<Header, 'name' | 'size' | 'mtime' | 'mode' | 'type' | 'pax'> {
  return {
    name, size, mtime: new Date(modified * 1000), mode: mode ?? 0o644, type: 'file',
    // The plain header has whole seconds only.
    pax: { mtime: String(modified), ...(attributes === undefined ? {} : { [ATTRIBUTES_RECORD]: JSON.stringify(attributes) }) },
  };
}
