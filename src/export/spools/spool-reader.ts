/** Reads spools, group by group: best in the order of the groups, which then cost one look into the directory for every hundred. */
import { closeSync, openSync, readSync } from 'node:fs';
import { ENTRY, RECORD, type Spool } from './spool-format.js';

/** Records of a directory read at once. */
const WINDOW = 128;
/** Bytes of an extent read at once. */
const PIECE = 256 * 1024;
/** Files that are open at once, at most: a process may have few. */
const OPEN = 48;

/** What a spool has of a group. */
export interface SpooledGroup {
  readonly spool: Spool;
  readonly rows: number;
  readonly firstId: number;
  readonly lastId: number;
  /** Of its rows, with the commas between them. */
  readonly bytes: number;
  readonly firstEntry: number;
  readonly entries: number;
}

/** A piece of a spool's directory. */
interface Window {
  readonly records: Buffer;
  /** Number of the first record, and how many there are. */
  start: number;
  count: number;
}

export class SpoolReader {
  /** By path, the one used longest ago first. */
  readonly #files = new Map<string, number>();
  /** By spool: the piece that was looked at last. */
  readonly #windows = new Map<string, Window>();

  find(spool: Spool, group: number): SpooledGroup | undefined {
    if (spool.groups === 0) return undefined;
    const open = this.#windowOf(spool);
    let [low, high] = [0, Math.ceil(spool.groups / WINDOW) - 1];
    // The window that was used last, and the one behind it, are the likeliest.
    for (let window = Math.floor(open.start / WINDOW); ;) {
      this.#look(spool, open, window);
      if (group < groupAt(open, 0)) high = window - 1;
      else if (group > groupAt(open, open.count - 1)) low = window + 1;
      else break;
      if (low > high) return undefined;
      window = low === window + 1 && group > groupAt(open, open.count - 1) ? low : (low + high) >> 1;
    }
    let [from, to] = [0, open.count - 1];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (groupAt(open, middle) < group) from = middle + 1;
      else to = middle;
    }
    if (groupAt(open, from) !== group) return undefined;
    const at = from * RECORD;
    const { records } = open;
    return {
      spool, entries: records.readUInt32LE(at + 4), firstEntry: records.readUInt32LE(at + 8), rows: records.readUInt32LE(at + 12), firstId: records.readDoubleLE(at + 16), lastId: records.readDoubleLE(at + 24),
      bytes: records.readDoubleLE(at + 32),
    };
  }

  /** The group's bytes, in pieces that hold until the next one. */
  * read({ spool, firstEntry, entries }: SpooledGroup): Generator<Buffer> {
    const table = Buffer.alloc(entries * ENTRY);
    readSync(this.#opened(spool), table, 0, table.length, spool.entriesAt + firstEntry * ENTRY);
    let longest = 0;
    for (let entry = 0; entry < table.length; entry += ENTRY) longest = Math.max(longest, table.readUInt32LE(entry + 8));
    const piece = Buffer.allocUnsafe(Math.min(PIECE, longest));
    for (let entry = 0; entry < table.length; entry += ENTRY) {
      const offset = table.readDoubleLE(entry);
      const length = table.readUInt32LE(entry + 8);
      for (let at = 0; at < length;) {
        const read = readSync(this.#opened(spool), piece, 0, Math.min(piece.length, length - at), offset + at);
        if (read === 0) throw new Error(`${spool.path} is cut short`);
        yield piece.subarray(0, read);
        at += read;
      }
    }
  }

  /** All of the group's bytes. */
  bytes(group: SpooledGroup): Buffer {
    const all = Buffer.allocUnsafe(group.bytes);
    let at = 0;
    for (const piece of this.read(group)) at += piece.copy(all, at);
    return all;
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
    this.#windows.clear();
  }

  #opened({ path }: Spool): number {
    let file = this.#files.get(path);
    if (file === undefined) {
      const [oldest] = this.#files;
      if (oldest !== undefined && this.#files.size >= OPEN) {
        closeSync(oldest[1]);
        this.#files.delete(oldest[0]);
      }
      file = openSync(path, 'r');
    } else this.#files.delete(path);
    this.#files.set(path, file);
    return file;
  }

  #windowOf(spool: Spool): Window {
    const key = `${spool.directoryAt} ${spool.path}`;
    let window = this.#windows.get(key);
    if (window === undefined) {
      window = { records: Buffer.alloc(Math.min(WINDOW, spool.groups) * RECORD), start: 0, count: 0 };
      this.#look(spool, window, 0);
      this.#windows.set(key, window);
    }
    return window;
  }

  #look(spool: Spool, open: Window, window: number): void {
    const start = window * WINDOW;
    if (open.count > 0 && open.start === start) return;
    open.start = start;
    open.count = Math.min(WINDOW, spool.groups - start);
    readSync(this.#opened(spool), open.records, 0, open.count * RECORD, spool.directoryAt + start * RECORD);
  }
}

function groupAt({ records }: Window, index: number): number {
  return records.readUInt32LE(index * RECORD);
}
