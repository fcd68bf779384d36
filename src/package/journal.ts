/**
 * What a run has finished, line by line: `.realmlift/journal`. A run that was killed goes on from here.
 *
 * The first line says what the run exports, a line `snapshot` out of which snapshot the lines behind it come, and each other
 * line names a finished file. A line is a JSON object behind a piece of its own SHA-256; a damaged or cut one counts as not
 * written, and what it named is done again. What a line says of a file is believed only after the file was read again.
 *
 * A line is given to the operating system at once, which keeps it when this process is killed, and flushed to the disk
 * within {@link FLUSH_INTERVAL}, after the file of the export that it names. A part of a table, which goes into such a file, may come later: all are read again before a later run believes them. The journal holds the run's seed, so only its owner reads it.
 */
import { closeSync, existsSync, fdatasync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { NO_TABLE } from './export-files.js';
import { journalLine, journalLines, parseLine } from './journal-lines.js';
import { diskError } from './part-file.js';
import { PathIndex } from './path-index.js';

const flush = promisify(fdatasync);

/** Milliseconds that lines may wait for the next flush: a flush costs the disk, and what is lost is only done again. */
const FLUSH_INTERVAL = 100;

/** A finished file of the run. */
export interface JournalPart {
  /** Relative to the run's directory. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly rows?: Readonly<Record<string, number>> | undefined;
  /** Digest of the query. */
  readonly query?: string | undefined;
  /** Of a messages file: it holds the messages with `after` < id <= `until`. */
  readonly after?: number | undefined;
  readonly until?: number | undefined;
  /** Of a messages file: ids of the clients that its messages were sent with. */
  readonly clients?: readonly number[] | undefined;
  /** Of a messages file: digest of the ids of its messages, see digestOfList. */
  readonly ids?: string | undefined;
  /** Of a pulled file: its entry in records.json, what tells it from another of its name, and what was odd of it. */
  readonly record?: unknown;
  readonly identity?: string | undefined;
  readonly oddMetadata?: unknown;
  /** Beside a finished export, see inodeOf: the file is the one that was finished. */
  readonly inode?: string | undefined;
  /** ETag of the object that it is, where it is not in the directory. */
  readonly etag?: string | undefined;
  /** Taken over from the base of the run, or from there with a few rows changed. */
  readonly base?: true | undefined;
  readonly mended?: true | undefined;
}

/** The snapshot that lines come out of. */
export interface JournalSnapshot {
  readonly id: string;
  /** Tells it from any other snapshot that ever had this id. */
  readonly key: string;
  /** ISO 8601 in UTC. */
  readonly takenAt: string;
}

/** The first line: what the run exports, and the seed of its random parts. */
export interface JournalHead {
  readonly run: Readonly<Record<string, string | number>>;
  readonly seed: string;
}

/** Rows by table of all these files. */
export function rowsByTable(parts: Iterable<JournalPart>): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { rows } of parts) for (const [table, count] of Object.entries(rows ?? {})) if (table !== NO_TABLE) sums.set(table, (sums.get(table) ?? 0) + count);
  return sums;
}

type Line = { readonly kind: 'run' } & JournalHead | { readonly kind: 'snapshot' } & JournalSnapshot | { readonly kind: 'part' | 'file' } & JournalPart;

export class Journal {
  /** The first line that an earlier run wrote. */
  readonly head: JournalHead | undefined;
  readonly #path: string;
  /** Undefined until there is something to write. */
  #file: number | undefined;
  readonly #index: PathIndex;
  #end: number;
  /** Lines from here on belong to the present snapshot. */
  #present: number;
  #snapshot: JournalSnapshot | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #failure: unknown;

  private constructor(path: string, file: number | undefined, index: PathIndex, read: ReadJournal) {
    this.#path = path;
    this.#file = file;
    this.#index = index;
    this.head = read.head;
    this.#end = read.end;
    this.#present = read.snapshotAt;
    this.#snapshot = read.snapshot;
  }

  /**
   * Runs `work` with the journal of the run whose own files lie in `directory`, and with what an earlier run wrote there.
   * @param flushed false: when `work` ends well, nothing needs the journal any more
   * @throws RealmliftError as diskError, also when a line did not reach the disk
   */
  static async with<T>(directory: string, work: (journal: Journal) => Promise<T>, flushed = true): Promise<T> {
    const journal = await Journal.#open(directory);
    let done = false;
    try {
      const result = await work(journal);
      done = true;
      return result;
    } finally {
      // What ended the work is more telling than that the journal could not be flushed either.
      await journal.#close(flushed || !done).catch((error: unknown) => {
        if (done) throw error;
      });
    }
  }

  static async #open(directory: string): Promise<Journal> {
    const path = journalPath(directory);
    try {
      const index = new PathIndex(join(directory, 'index'));
      const read = await readJournal(path, (part, place) => index.set(part.path, place));
      const file = existsSync(path) ? openSync(path, 'r+') : undefined;
      // What is behind the last whole line would make the next one unreadable.
      if (file !== undefined) ftruncateSync(file, read.end);
      return new Journal(path, file, index, read);
    } catch (error) {
      throw diskError(error, path);
    }
  }

  /**
   * Says what is exported, where this is a new run, and out of which snapshot. Once this is done the run can be resumed.
   *
   * @param flushed false: it need not survive a power cut before the first finished file does
   * @returns whether the snapshot is the one that the last lines of an earlier run belong to
   */
  begin(head: JournalHead, { id, key, takenAt }: JournalSnapshot, flushed = true): boolean {
    try {
      this.#file ??= openSync(this.#path, 'wx+', 0o600);
    } catch (error) {
      throw diskError(error, this.#path);
    }
    if (this.head === undefined) this.#write({ kind: 'run', run: head.run, seed: head.seed });
    const same = this.#snapshot?.id === id && this.#snapshot.key === key;
    if (!same) {
      this.#present = this.#end;
      this.#write({ kind: 'snapshot', id, key, takenAt });
    }
    if (!flushed) return same;
    try {
      fsyncSync(this.#file);
      // The path down to it as well.
      for (const directory of [dirname(this.#path), dirname(dirname(this.#path))]) flushDirectory(directory);
    } catch (error) {
      throw diskError(error, this.#path);
    }
    return same;
  }

  /** Remembers a finished file, which is safe on disk already. */
  append(kind: 'part' | 'file', part: JournalPart): void {
    if (this.#failure !== undefined) throw this.#failure as Error;
    const place = this.#write({ kind, ...part });
    try {
      this.#index.set(part.path, place);
    } catch (error) {
      throw diskError(error, this.#path);
    }
    this.#timer ??= setTimeout(() => void this.#flush(), FLUSH_INTERVAL).unref();
  }

  /** The file that was finished out of the present snapshot. */
  get(path: string): JournalPart | undefined {
    const known = this.earlier(path);
    return known?.present === true ? known.part : undefined;
  }

  /** What was finished last at this path, out of whichever snapshot. */
  earlier(path: string): { readonly part: JournalPart; readonly present: boolean } | undefined {
    const place = this.#index.get(path);
    if (place === undefined) return undefined;
    const line = Buffer.allocUnsafe(place.length);
    readSync(this.#opened, line, 0, place.length, place.offset);
    const part = parseLine<JournalPart>(line.toString());
    return part?.path === path ? { part, present: place.offset >= this.#present } : undefined;
  }

  /** What was finished out of the present snapshot, each path once, in the order in which it was. */
  async* finished(): AsyncGenerator<JournalPart> {
    for await (const { text, offset } of journalLines(this.#path)) {
      if (offset < this.#present) continue;
      const line = parseLine<Line>(text);
      if ((line?.kind === 'part' || line?.kind === 'file') && this.#index.get(line.path)?.offset === offset) yield line;
    }
  }

  async #close(flushed: boolean): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#file !== undefined) {
      await (flushed ? this.#flush() : this.#flushing);
      closeSync(this.#file);
      this.#file = undefined;
    }
    this.#index.close();
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  get #opened(): number {
    return this.#file as number;
  }

  #write(line: Line): { offset: number; length: number } {
    const bytes = Buffer.from(journalLine(line));
    const offset = this.#end;
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#opened, bytes, at, bytes.length - at, offset + at);
    } catch (error) {
      throw diskError(error, this.#path);
    }
    this.#end = offset + bytes.length;
    return { offset, length: bytes.length - 1 };
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#flushing.then(() => flush(this.#opened)).catch((error: unknown) => {
      this.#failure ??= diskError(error, this.#path);
    });
    return this.#flushing;
  }
}

/** @param directory of the run's own files */
export function journalPath(directory: string): string {
  return join(directory, 'journal');
}

interface ReadJournal {
  readonly head: JournalHead | undefined;
  readonly snapshot: JournalSnapshot | undefined;
  /** Offset of the last snapshot's line. */
  readonly snapshotAt: number;
  /** Offset behind the last whole line. */
  readonly end: number;
}

/** Reads a journal as a stream, telling each finished file; one without a whole first line is none. */
export async function readJournal(path: string, onPart: (part: JournalPart, place: { offset: number; length: number }) => void): Promise<ReadJournal> {
  let head: JournalHead | undefined;
  let snapshot: JournalSnapshot | undefined;
  let snapshotAt = 0;
  let end = 0;
  if (existsSync(path)) {
    for await (const { text, offset, length } of journalLines(path)) {
      const line = parseLine<Line>(text);
      if (offset === 0 && line?.kind !== 'run') break;
      end = offset + length + 1;
      if (line?.kind === 'run') head = { run: line.run, seed: line.seed };
      else if (line?.kind === 'snapshot') {
        snapshot = { id: line.id, key: line.key, takenAt: line.takenAt };
        snapshotAt = offset;
      } else if (line !== undefined) onPart(line, { offset, length });
      // It may have named a snapshot: what follows is not taken for the one before.
      else snapshot = undefined;
    }
  }
  return { head, snapshot, snapshotAt, end };
}

/** A new name is safe from a power cut only when its directory is flushed. */
export function flushDirectory(directory: string): void {
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
