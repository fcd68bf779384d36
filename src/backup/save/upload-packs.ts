/** One archive of uploaded files, made and sealed. What S3 knows of an object is in its entry's extended header; other tar programs ignore it. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack as newPack } from 'tar-stream';
import type { Header, Pack } from 'tar-stream';
import { Lost } from '../../files/file-store.js';
import { inOrder } from '../../files/ordered-pool.js';
import { throwReason } from '../../joined-streams.js';
import type { Part } from '../contents/backup-contents.js';
import { sealPart } from '../contents/sealing.js';
import type { Sealing } from '../contents/sealing.js';
import type { ObjectSink } from '../store/staging.js';
import { ATTRIBUTES_RECORD } from '../uploads/upload-archive.js';
import type { LostUpload, OnLostUpload, UploadContent, UploadedFile } from '../uploads/upload-source.js';

/** Files of up to so many bytes are read ahead, so that the next ones are on their way while one is written. */
const SMALL = 1024 * 1024;
const READ_AHEAD = 8;

/** How often a file that breaks off while it is read is read again. */
const ATTEMPTS = 3;

interface Found {
  readonly files: number;
  readonly bytes: number;
}

/** The part that an archive becomes. */
export interface Archive {
  readonly store: ObjectSink;
  readonly name: string;
  readonly sealing: Sealing;
  readonly signal: AbortSignal;
  /** Told of each file that is in it. */
  readonly onFile?: (bytes: number) => void;
}

export interface SavedPack {
  readonly part: Part;
  readonly found: Found;
  /** What there was and is not in the archive. */
  readonly lost: readonly LostUpload[];
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
export async function savePack(files: readonly UploadedFile[], archive: Archive): Promise<SavedPack> {
  const broken = new Map<UploadedFile, number>();
  const brokenOff: LostUpload[] = [];
  for (;;) {
    const lost: LostUpload[] = [];
    try {
      const whole = files.filter((file) => (broken.get(file) ?? 0) < ATTEMPTS);
      return { ...await writePack(whole, archive, (each) => lost.push(each)), lost: [...brokenOff, ...lost] };
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      const times = (broken.get(error.file) ?? 0) + 1;
      broken.set(error.file, times);
      if (times === ATTEMPTS) brokenOff.push({ name: error.file.name, reason: error.lost.reason, detail: error.lost.message });
    }
  }
}

async function writePack(files: readonly UploadedFile[], { store, name, sealing, signal, onFile }: Archive, onLost: OnLostUpload): Promise<Omit<SavedPack, 'lost'>> {
  const tar = newPack();
  const filling = fill(tar, files, onLost, onFile).catch((error: unknown) => {
    tar.destroy(error as Error);
    throw error;
  });
  const sealed = sealPart(store, name, Readable.from(tar), sealing, signal);
  throwReason(await Promise.allSettled([filling, sealed]));
  return { part: await sealed, found: await filling };
}

async function fill(tar: Pack, files: readonly UploadedFile[], onLost: OnLostUpload, onFile: Archive['onFile']): Promise<Found> {
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
    onFile?.(found.size);
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
