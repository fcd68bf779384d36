/**
 * An export as lines of JSON (https://github.com/ndjson/ndjson-spec), for loaders other than Zulip's own import:
 *
 * ```
 * {"header":{"format":1,"realm":"acme",…}}
 * {"table":"zerver_realm","row":{"id":2,…}}                         parents before children
 * {"file":"uploads","path":"uploads/2/ab/x.png","sha256":"…",…}
 * {"trailer":{"lines":…,"rows":{"zerver_realm":1,…},"files":…,"sha256":"…"}}
 * ```
 *
 * A stream without its last line was cut. The SHA-256 is that of all bytes before the last line. Rows go through as bytes, a
 * block at a time and only when the reader has taken the one before, so memory is that of a few blocks whatever the size.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { streamError } from '../package/stream-error.js';
import { loadRegistry } from '../plan/views/registry.js';
import { fileLines } from './file-lines.js';
import { areaFileCount, openWithoutOrphans, rowBytes, tableFiles, type FinishedExport } from './finished-export.js';
import { oneLine } from './one-line.js';
import { eachTableFile } from './opened-tables.js';
import { TableFile } from './table-file.js';
import { parentsFirst } from './table-order.js';
import { isNarrated, tellAhead, tellPhase, tellProgress } from '../narration.js';

export interface NdjsonOptions {
  /** Where the files are put beside the stream; undefined only names them. */
  readonly filesDirectory: string | undefined;
}

export interface NdjsonCounts {
  /** Lines between header and trailer. */
  readonly lines: number;
  /** By table, in the order in which they came. */
  readonly rows: Readonly<Record<string, number>>;
  readonly files: number;
}

/** Bytes handed to the reader at once. */
const BLOCK = 64 * 1024;

const NEWLINE = Buffer.from('\n');
const ROW_END = Buffer.from('}\n');
/** The table that stands for all messages files. */
const MESSAGES = 'zerver_message';

/**
 * Streams a finished export into `out`, which is ended.
 *
 * @throws RealmliftError OUTPUT_CLOSED when the reader goes away, OUTPUT_FULL, NOT_AN_EXPORT, EXPORT_CHANGED, JSON_DAMAGED; then there is no trailer
 */
export async function writeNdjson(exportDirectory: string, out: Writable, { filesDirectory }: NdjsonOptions): Promise<NdjsonCounts> {
  const source = await openWithoutOrphans(exportDirectory);
  const stream = new NdjsonStream(source, filesDirectory);
  try {
    await pipeline(Readable.from(stream.blocks(), { objectMode: false, highWaterMark: BLOCK }), out);
  } catch (error) {
    throw streamError(error);
  }
  return stream.counts;
}

class NdjsonStream {
  readonly #source: FinishedExport;
  readonly #filesDirectory: string | undefined;
  readonly #rows: Record<string, number> = {};
  readonly #hash = createHash('sha256');
  readonly #sizes: ReadonlyMap<string, number>;
  #files = 0;
  #lines = 0;
  #pending: Buffer[] = [];
  #bytes = 0;

  constructor(source: FinishedExport, filesDirectory: string | undefined) {
    this.#source = source;
    this.#filesDirectory = filesDirectory;
    this.#sizes = new Map([...source.top.values(), ...source.messages].map(({ path, size }) => [path, size]));
  }

  get counts(): NdjsonCounts {
    return { lines: this.#lines, rows: this.#rows, files: this.#files };
  }

  async *blocks(): AsyncGenerator<Buffer> {
    const { directory } = this.#source;
    tellAhead([{ name: 'rows', weight: rowBytes(this.#source) }, { name: 'uploaded files', weight: 0 }]);
    tellPhase('rows', 'bytes', rowBytes(this.#source));
    const small = tableFiles(this.#source).map((file) => TableFile.open(join(directory, file.path), file));
    try {
      const owner = new Map(small.flatMap((file) => file.tables.map((table) => [table, file] as const)));
      this.#line(Buffer.from(JSON.stringify({ header: this.#header(small) })));
      for (const table of parentsFirst([...owner.keys(), ...(this.#source.messages.length > 0 ? [MESSAGES] : [])], loadRegistry())) {
        for (const block of table === MESSAGES ? this.#messages() : this.#table(owner.get(table) as TableFile, table)) {
          yield block;
          // A pipe or a file takes it at once, and rows are read at once: only here the program hears signals.
          await turn();
        }
      }
      for (const file of small) tellProgress(this.#sizes.get(file.name) ?? 0);
    } finally {
      for (const file of small) file.close();
    }
    tellPhase('uploaded files', 'files', isNarrated() ? await areaFileCount(this.#source) : undefined);
    for await (const line of fileLines(this.#source, this.#filesDirectory)) {
      this.#line(Buffer.from(JSON.stringify(line)));
      this.#files++;
      tellProgress(1);
      this.#lines++;
      if (this.#bytes >= BLOCK) yield this.#block();
    }
    if (this.#bytes > 0) yield this.#block();
    const { lines, rows, files } = this.counts;
    yield Buffer.from(`${JSON.stringify({ trailer: { lines, rows, files, sha256: this.#hash.digest('hex') } })}\n`);
  }

  #header(small: readonly TableFile[]): object {
    const { format, realmlift, realm, realm_id, mode, zulip_version, snapshot } = this.#source.header;
    const constants = Object.fromEntries(small.flatMap((file) => [...file.constants].map(([key, value]) => [key, JSON.parse(value) as unknown])));
    return { format, realmlift, realm, realm_id, mode, zulip_version, snapshot, constants, files: this.#filesDirectory === undefined ? 'named' : 'beside' };
  }

  /** File by file, each with the usermessages of its messages behind them. */
  *#messages(): Generator<Buffer> {
    for (const file of eachTableFile(this.#source, this.#source.messages)) {
      for (const table of file.tables) yield* this.#table(file, table);
      tellProgress(this.#sizes.get(file.name) ?? 0);
    }
  }

  *#table(file: TableFile, table: string): Generator<Buffer> {
    const start = Buffer.from(`{"table":${JSON.stringify(table)},"row":`);
    let count = 0;
    for (const row of file.rows(table)) {
      // The row lies in the reader's own buffer, which the next row overwrites.
      this.#push(Buffer.concat([start, oneLine(row), ROW_END]));
      count++;
      if (this.#bytes >= BLOCK) yield this.#block();
    }
    this.#rows[table] = (this.#rows[table] ?? 0) + count;
    this.#lines += count;
  }

  #line(json: Buffer): void {
    this.#push(Buffer.concat([json, NEWLINE]));
  }

  #push(bytes: Buffer): void {
    this.#pending.push(bytes);
    this.#bytes += bytes.length;
  }

  #block(): Buffer {
    const block = Buffer.concat(this.#pending);
    this.#hash.update(block);
    this.#pending = [];
    this.#bytes = 0;
    return block;
  }
}
