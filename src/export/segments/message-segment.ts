/** A run of messages files: their messages out of one query, dealt out by id, each file with the usermessages of its messages behind them. */
import { join } from 'node:path';
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';
import { PartFile, type FinishedFile } from '../../package/part-file.js';
import { bindMessageIds, bindMessageRange } from '../../plan/parameters.js';
import { digestOfList } from './id-list.js';
import { copyEncoded, copyInto, describeQuery, encoderOf, type Progress, type RowQuery } from './row-query.js';
import type { SegmentedSink } from '../../transform/row-sinks.js';
import type { BasePart, EarlierPart, FinishedPart } from './finished-part.js';
import { PartDigest } from './part-digest.js';

/** One numbered messages file: the exported messages with `after` < id <= `until`. */
export interface MessageFile {
  readonly path: string;
  readonly after: number;
  readonly until: number;
  /** Messages that the plan counted there. */
  readonly rows: number;
  readonly earlier: EarlierPart | undefined;
  /** What a base has in its place; its path is there. */
  readonly base?: BasePart | undefined;
  /** Of its messages, as a list, where they are known to be those that the base has there. */
  readonly ids?: string | undefined;
}

export interface MessageQueries {
  /** Its text ends in the range of ids, see bindMessageRange. */
  readonly messages: RowQuery;
  /** Its text holds `:message_ids`; absent for a single user. */
  readonly usermessages: RowQuery | undefined;
}

type OnProgress = (progress: Progress) => void;

/** Writes the files, which are consecutive, and tells each once it is finished. @param flushed and on the disk */
export async function exportMessages(
  client: pg.Client, queries: MessageQueries, files: readonly MessageFile[], directory: string, flushed: boolean, onPart: (part: FinishedPart) => void, onProgress: OnProgress,
): Promise<void> {
  const flushing: Promise<void>[] = [];
  const opened: PartFile[] = [];
  const open = ({ path }: MessageFile): PartFile => {
    const file = new PartFile(join(directory, path));
    opened.push(file);
    return file;
  };
  try {
    const messages = await copyMessages(client, queries.messages, files, open, onProgress);
    const fields = await usermessageFields(client, queries);
    for (const file of messages) {
      const rows = await endFile(client, queries, fields, file, onProgress);
      const { planned, out, ids } = file;
      // The flush runs beside the next file's rows: it waits for the disk, not for us.
      flushing.push(out.finish(flushed).then((finished: FinishedFile) => onPart({ path: planned.path, ...finished, rows, ids: digestOfList(ids.join()), clients: clientsOf(file) })));
    }
    await Promise.all(flushing);
  } catch (error) {
    await Promise.allSettled(flushing);
    for (const file of opened) file.abandon();
    throw error;
  }
}

/** That its messages were sent with, in order. */
function clientsOf({ clients }: DealtFile<Out>): number[] {
  return [...clients].sort((a, b) => a - b);
}

/** The query of the messages from the first file to the last. */
export function messageRange(select: string, files: readonly MessageFile[]): string {
  return bindMessageRange(select, (files[0] as MessageFile).after, (files.at(-1) as MessageFile).until);
}

/** The longest runs of neighbours that `belongs` takes: each is one query. */
export function consecutive<T>(all: readonly T[], belongs: (each: T) => boolean): T[][] {
  const runs: T[][] = [];
  let open: T[] | undefined;
  for (const each of all) {
    if (!belongs(each)) open = undefined;
    else if (open !== undefined) open.push(each);
    else runs.push(open = [each]);
  }
  return runs;
}

/** Copies the rows of files that an earlier run finished, and tells those that would be the same bytes. @param known SHA-256 of the file of then */
export async function confirmMessages(
  client: pg.Client, queries: MessageQueries, files: readonly MessageFile[], known: (file: MessageFile) => string | undefined, onSame: (file: MessageFile, clients: readonly number[]) => void, onProgress: OnProgress,
): Promise<void> {
  const messages = await copyMessages(client, queries.messages, files, () => new PartDigest(), onProgress);
  const fields = await usermessageFields(client, queries);
  for (const file of messages) {
    await endFile(client, queries, fields, file, onProgress);
    if (file.out.hex() === known(file.planned)) onSame(file.planned, clientsOf(file));
  }
}

/** Writes what stands behind the messages: their usermessages, and the end. @returns rows of both by table */
async function endFile(client: pg.Client, queries: MessageQueries, fields: readonly pg.FieldDef[], { out, ids }: DealtFile<Out>, onProgress: OnProgress): Promise<Record<string, number>> {
  out.writeText(']');
  const rows: Record<string, number> = { [queries.messages.table]: ids.length };
  const usermessages = usermessagesOf(queries, ids);
  if (usermessages !== undefined) {
    out.writeText(`,"${usermessages.table}":[`);
    rows[usermessages.table] = await copyInto(client, usermessages, fields, out, onProgress);
    out.writeText(']');
  }
  out.writeText('}');
  return rows;
}

function usermessagesOf({ usermessages }: MessageQueries, ids: readonly number[]): RowQuery | undefined {
  return usermessages === undefined ? undefined : { ...usermessages, select: bindMessageIds(usermessages.select, ids) };
}

/** The same for whichever ids: asked once a segment. */
async function usermessageFields(client: pg.Client, queries: MessageQueries): Promise<readonly pg.FieldDef[]> {
  const usermessages = usermessagesOf(queries, []);
  return usermessages === undefined ? [] : describeQuery(client, usermessages);
}

/** Copies the messages of all files; what was written to each is an object that lacks its end. */
async function copyMessages<O extends Out>(
  client: pg.Client, messages: RowQuery, files: readonly MessageFile[], open: (file: MessageFile) => O, onProgress: OnProgress,
): Promise<DealtFile<O>[]> {
  const query = { ...messages, select: messageRange(messages.select, files) };
  const fields = await describeQuery(client, query);
  const dealt = new DealtMessages(files, fields, open);
  const encoder = encoderOf(query, fields, dealt);
  // An index yields the messages in their order; to fetch them in another and sort them, with their texts, only seems cheaper to the planner.
  await client.query('SET LOCAL enable_sort = off');
  await copyEncoded(client, query, fields, encoder, onProgress);
  await client.query('SET LOCAL enable_sort = on');
  return dealt.finish(query.table);
}

/** Where the bytes of a messages file go. */
interface Out {
  write(bytes: Uint8Array): void;
  writeText(text: string): void;
}

interface DealtFile<O extends Out> {
  readonly planned: MessageFile;
  readonly out: O;
  readonly ids: number[];
  /** That the messages were sent with. */
  readonly clients: Set<number>;
}

/** Deals the messages of a segment out to its files by id, and remembers the ids of each. */
class DealtMessages<O extends Out> implements SegmentedSink {
  readonly watched: number;
  readonly #planned: readonly MessageFile[];
  readonly #open: (file: MessageFile) => O;
  readonly #files: DealtFile<O>[] = [];

  constructor(planned: readonly MessageFile[], fields: readonly pg.FieldDef[], open: (file: MessageFile) => O) {
    this.#planned = planned;
    this.#open = open;
    this.watched = fields.findIndex(({ name }) => name === 'sending_client_id');
  }

  write(bytes: Uint8Array): void {
    this.#files.at(-1)?.out.write(bytes);
  }

  get boundary(): number {
    return this.#planned[this.#files.length - 1]?.until ?? -Infinity;
  }

  startFile(id: number): void {
    while (id > this.boundary) this.#next();
  }

  see(id: number, client: number): void {
    const { ids, clients } = this.#files.at(-1) as DealtFile<O>;
    ids.push(id);
    if (!Number.isNaN(client)) clients.add(client);
  }

  /** All files, once the last row is there. @throws RealmliftError ROWS_LOST when it is not what the plan counted */
  finish(table: string): DealtFile<O>[] {
    while (this.#files.length < this.#planned.length) this.#next();
    for (const { planned, ids } of this.#files) {
      if (ids.length !== planned.rows) {
        throw new RealmliftError('ROWS_LOST', 'copy', `${planned.path}: ${ids.length} messages arrived, the plan counted ${planned.rows}`, { table });
      }
    }
    return this.#files;
  }

  #next(): void {
    const planned = this.#planned[this.#files.length];
    if (planned === undefined) throw new RealmliftError('ROWS_UNPLANNED', 'copy', 'a message arrived that the plan did not count', { table: 'zerver_message' });
    const out = this.#open(planned);
    this.#files.push({ planned, out, ids: [], clients: new Set() });
    out.writeText('{"zerver_message":[');
  }
}
