/**
 * One segment of an export, in the session of a worker: rows out of COPY, through the transform, into files.
 * A table is one part; messages go file by file, each with the usermessages of its messages behind them.
 */
import { join } from 'node:path';
import type pg from 'pg';
import { copyError } from '../copy/copy-error.js';
import { copyRows } from '../copy/copy-rows.js';
import { RealmliftError } from '../errors.js';
import { PartFile } from '../package/part-file.js';
import { bindMessageIds } from '../plan/parameters.js';
import { columnsOf } from '../transform/columns-of.js';
import { CsvToJson, type RowSink } from '../transform/csv-to-json.js';

/** A query and how its rows are written. */
export interface RowQuery {
  readonly table: string;
  readonly select: string;
  readonly keys: readonly string[];
  readonly stripped: readonly string[];
}

export interface TableSegment {
  readonly kind: 'table';
  /** Of the part file, relative to the run's directory. */
  readonly path: string;
  readonly query: RowQuery;
}

/** One numbered messages file: the exported messages with `after` < id <= `until`. */
export interface MessageFile {
  readonly path: string;
  readonly after: number;
  readonly until: number;
  /** Messages that the plan counted there. */
  readonly rows: number;
}

export interface MessageSegment {
  readonly kind: 'messages';
  readonly files: readonly MessageFile[];
  /** Its text ends in `WHERE t.id > … AND t.id <= …`, made for the whole segment. */
  readonly messages: RowQuery;
  /** Its text holds `:message_ids`; absent for a single user. */
  readonly usermessages: RowQuery | undefined;
}

export type Segment = TableSegment | MessageSegment;

/** A finished file, safe on disk. */
export interface FinishedPart {
  /** Relative to the run's directory. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly rows: Readonly<Record<string, number>>;
}

export interface Progress {
  readonly table: string;
  readonly rows: number;
  readonly bytes: number;
}

/** Writes the segment's files under `directory` and tells each once it is on disk. */
export async function exportSegment(client: pg.Client, segment: Segment, directory: string, onPart: (part: FinishedPart) => void, onProgress: (progress: Progress) => void): Promise<void> {
  if (segment.kind === 'table') onPart(await exportTable(client, segment, directory, onProgress));
  else await exportMessages(client, segment, directory, onPart, onProgress);
}

async function exportTable(client: pg.Client, { path, query }: TableSegment, directory: string, onProgress: (progress: Progress) => void): Promise<FinishedPart> {
  const file = new PartFile(join(directory, path));
  try {
    file.writeText('[');
    const rows = await copyInto(client, query, file, onProgress);
    file.writeText(']');
    return { path, ...(await file.finish()), rows: { [query.table]: rows } };
  } catch (error) {
    file.abandon();
    throw error;
  }
}

async function exportMessages(client: pg.Client, segment: MessageSegment, directory: string, onPart: (part: FinishedPart) => void, onProgress: (progress: Progress) => void): Promise<void> {
  const sink = new MessageFiles(segment.files, directory);
  const flushing: Promise<void>[] = [];
  try {
    await copyInto(client, segment.messages, sink, onProgress);
    for (const [index, planned] of segment.files.entries()) {
      const open = sink.opened(index);
      if (open.ids.length !== planned.rows) {
        throw new RealmliftError('ROWS_LOST', 'copy', `${planned.path}: ${open.ids.length} messages arrived, the plan counted ${planned.rows}`, { table: segment.messages.table });
      }
      open.file.writeText(']');
      const rows: Record<string, number> = { [segment.messages.table]: open.ids.length };
      if (segment.usermessages !== undefined) {
        const query = { ...segment.usermessages, select: bindMessageIds(segment.usermessages.select, open.ids) };
        open.file.writeText(`,"${query.table}":[`);
        rows[query.table] = await copyInto(client, query, open.file, onProgress);
        open.file.writeText(']');
      }
      open.file.writeText('}');
      // The flush runs beside the next file's rows: it waits for the disk, not for us.
      flushing.push(open.file.finish().then((finished) => onPart({ path: planned.path, ...finished, rows })));
    }
    await Promise.all(flushing);
  } catch (error) {
    await Promise.allSettled(flushing);
    sink.abandon();
    throw error;
  }
}

interface OpenMessageFile {
  readonly file: PartFile;
  readonly ids: number[];
}

/** Deals the messages of a segment out to its files by id, and remembers the ids of each. */
class MessageFiles {
  /** The row just begun: the transform announces each row beyond it, so that every id is seen. */
  boundary = -Infinity;
  readonly #planned: readonly MessageFile[];
  readonly #directory: string;
  readonly #files: OpenMessageFile[] = [];

  constructor(planned: readonly MessageFile[], directory: string) {
    this.#planned = planned;
    this.#directory = directory;
  }

  write(bytes: Uint8Array): void {
    this.#files.at(-1)?.file.write(bytes);
  }

  startRow(id: number): void {
    while (this.#files.length === 0 || id > (this.#planned[this.#files.length - 1] as MessageFile).until) this.#next();
    const open = this.#files.at(-1) as OpenMessageFile;
    if (open.ids.length > 0) open.file.writeText(',');
    open.ids.push(id);
    this.boundary = id;
  }

  /** The file at this index, opened now if no message fell into it. */
  opened(index: number): OpenMessageFile {
    while (this.#files.length <= index) this.#next();
    return this.#files[index] as OpenMessageFile;
  }

  abandon(): void {
    for (const { file } of this.#files) file.abandon();
  }

  #next(): void {
    const planned = this.#planned[this.#files.length];
    if (planned === undefined) throw new RealmliftError('ROWS_UNPLANNED', 'copy', 'a message arrived that the plan did not count', { table: 'zerver_message' });
    const file = new PartFile(join(this.#directory, planned.path));
    file.writeText('{"zerver_message":[');
    this.#files.push({ file, ids: [] });
  }
}

/** Describes the query, then copies its rows through the transform into `sink`; their number. */
async function copyInto(client: pg.Client, query: RowQuery, sink: RowSink, onProgress: (progress: Progress) => void): Promise<number> {
  const { table, select, keys, stripped } = query;
  const fields = await describe(client, query);
  const encoder = new CsvToJson(columnsOf(fields, keys, table), sink, table, new Set(stripped));
  await copyRows(client, select, (chunk) => {
    encoder.push(chunk);
    onProgress({ table, rows: encoder.rows, bytes: encoder.bytesIn });
  }, table);
  encoder.end();
  return encoder.rows;
}

async function describe(client: pg.Client, { select, table }: RowQuery): Promise<pg.FieldDef[]> {
  try {
    return (await client.query(`SELECT * FROM (${select}) AS described LIMIT 0`)).fields;
  } catch (error) {
    throw copyError(error, table, select, client.user ?? 'the role');
  }
}
