/**
 * A messages file of a base of which a few rows have changed: everybody sets flags everywhere, and now and then an old message is edited.
 * The server sends these rows alone, and the others are taken over as they stand in the base. Where that is not certain to be
 * the file that a fresh export would have, nothing is written.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type pg from 'pg';
import { pageAligned, readDirectly } from '../../direct-io.js';
import { writeWhole } from '../../package/part-file.js';
import { writeReplacedRows, type ReplacedRow } from '../../package/replaced-rows.js';
import { inodeOf } from '../../package/take-over.js';
import { bindMessageIds } from '../../plan/parameters.js';
import type { DealtSink } from '../../transform/row-sinks.js';
import { numbers } from './id-list.js';
import { messageRange, type MessageQueries } from './message-segment.js';
import type { KnownFile } from './changed-files.js';
import { copyEncoded, describeQuery, encoderOf, type Progress, type RowQuery } from './row-query.js';
import type { FinishedPart } from './finished-part.js';

/** A file with more new rows than this share is exported anew, which then costs as much. */
const SHARE = 0.25;

/** Bytes of a base's file: two are held in memory, so that one is read while the other is worked on. */
const LARGEST = 32 << 20;

const COMMA = Buffer.from(',');

/** OIDs of bool, int8, int2, int4: rows of these alone hold no braces but their own. */
const FLAT = new Set([16, 20, 21, 23]);
/** OIDs of json and jsonb, in which anything may be nested. */
const NESTED = new Set([114, 3802]);

export function isMendable({ base, newMessages, newUsermessages, joined }: KnownFile): boolean {
  return joined === 0 && base.size <= LARGEST && newMessages.length <= (base.rows.zerver_message ?? 0) * SHARE && newUsermessages.length <= (base.rows.zerver_usermessage ?? 0) * SHARE;
}

/** JSON of rows by their ids. */
type Rows = ReadonlyMap<number, Buffer>;

/** What the files are mended with. */
export interface NewRows {
  readonly messages: Rows;
  readonly usermessages: Rows;
  /** Their key in a messages file. */
  readonly key: string;
}

/** Asks for the new rows of files, see isMendable. @returns undefined where none of them can be mended */
export async function newRows(client: pg.Client, { messages, usermessages }: MessageQueries, files: readonly KnownFile[], onProgress: (progress: Progress) => void): Promise<NewRows | undefined> {
  if (files.length === 0 || usermessages === undefined || messages.keys[0] !== 'id') return undefined;
  const range = { ...messages, select: messageRange(messages.select, files.map(({ file }) => file)) };
  const received = { ...usermessages, select: bindMessageIds(usermessages.select, files.map(({ ids }) => ids)) };
  const newMessages = await rowsOf(client, range, files.flatMap((each) => each.newMessages), (type) => !NESTED.has(type), onProgress);
  const newUsermessages = await rowsOf(client, received, files.flatMap((each) => each.newUsermessages), (type) => FLAT.has(type), onProgress);
  return newMessages === undefined || newUsermessages === undefined ? undefined : { messages: newMessages, usermessages: newUsermessages, key: usermessages.table };
}

/**
 * Writes what can be mended of the files. Asks the server for nothing.
 *
 * @param base directory of the base @returns which file is which finished part now, or that the one of the base is damaged
 */
export async function mendFiles(files: readonly KnownFile[], rows: NewRows, base: string, directory: string): Promise<Map<KnownFile, FinishedPart | 'damaged'>> {
  const mended = new Map<KnownFile, FinishedPart | 'damaged'>();
  const writing = new Writing(directory);
  for await (const { known, path, bytes } of readAhead(files, base)) {
    if (bytes === undefined || !isFinished(path, bytes, known.base)) mended.set(known, 'damaged');
    else {
      const places = placesOf(bytes, known, rows);
      if (places === undefined) continue;
      writeReplacedRows(directory, known.file.path, { base: known.base.sha256, rows: replacedRows(bytes, places) });
      await writing.write(piecesOf(bytes, places), known, (part) => mended.set(known, part));
    }
  }
  await writing.end();
  return mended;
}

/** Buffers of files that are done with, for the next ones. */
const spare: Buffer[] = [];
const SPARE = 4;

function bufferFor(bytes: number): Buffer {
  const at = spare.findIndex(({ length }) => length >= bytes);
  return at === -1 ? pageAligned(bytes) : spare.splice(at, 1)[0] as Buffer;
}

function giveBack(buffer: Buffer): void {
  if (spare.length === SPARE) spare.shift();
  spare.push(buffer);
}

interface ReadFile {
  readonly known: KnownFile;
  readonly path: string;
  /** Until the next one but one is asked for; undefined of a file that cannot be read. */
  readonly bytes: Buffer | undefined;
}

/** The files of the base, each read while the one before is worked on. */
async function* readAhead(files: readonly KnownFile[], base: string): AsyncGenerator<ReadFile> {
  const room = Math.max(0, ...files.map((each) => each.base.size)) + 1;
  const buffers = [bufferFor(room), bufferFor(room)] as const;
  const read = async (number: number): Promise<ReadFile | undefined> => {
    const known = files[number];
    if (known === undefined) return undefined;
    const path = join(base, known.base.path);
    return { known, path, bytes: await readDirectly(path, buffers[number % 2] as Buffer).catch(() => undefined) };
  };
  let next = read(0);
  for (let number = 1; number <= files.length; number++) {
    const one = await next;
    next = read(number);
    if (one !== undefined) yield one;
  }
  for (const buffer of buffers) giveBack(buffer);
}

/** By its inode, as where files are taken over, or else by its digest. */
function isFinished(path: string, bytes: Buffer, { size, sha256, inode }: KnownFile['base']): boolean {
  return bytes.length === size && ((inode !== undefined && inodeOf(path) === inode) || createHash('sha256').update(bytes).digest('hex') === sha256);
}

/** @returns undefined where a column is of a type that `may` does not take */
async function rowsOf(client: pg.Client, query: RowQuery, ids: readonly number[], may: (type: number) => boolean, onProgress: (progress: Progress) => void): Promise<Rows | undefined> {
  if (ids.length === 0) return new Map();
  // The first column says which row it is, and is not written.
  const named: RowQuery = { ...query, keys: ['', ...query.keys], stripped: ['', ...query.stripped], select: `SELECT t.id AS mended_row, t.* FROM (${query.select}) AS t WHERE t.id = ANY ('{${ids.join(',')}}'::bigint[]) ORDER BY t.id` };
  const fields = await describeQuery(client, named);
  if (!fields.every(({ dataTypeID }) => may(dataTypeID))) return undefined;
  const rows = new HeldRows();
  const encoder = encoderOf(named, fields, rows);
  await copyEncoded(client, named, fields, encoder, onProgress);
  return rows.held;
}

/** Holds each row by its id. */
class HeldRows implements DealtSink {
  readonly shown = [0];
  readonly values = new Float64Array(1);
  readonly held = new Map<number, Buffer>();
  #pieces: Buffer[] = [];

  write(bytes: Uint8Array): void {
    this.#pieces.push(Buffer.from(bytes));
  }

  endRow(): void {
    this.held.set(this.values[0] as number, Buffer.concat(this.#pieces));
    this.#pieces = [];
  }
}

/** A row's bytes in the base, from `start` to before `end`; behind the last row new ones may follow. */
interface Place {
  readonly start: number;
  readonly end: number;
  readonly row: Buffer;
}

/** Where new rows belong, in order; undefined where the file must be exported anew. */
function placesOf(bytes: Buffer, known: KnownFile, rows: NewRows): Place[] | undefined {
  // No text holds it: there its quotes would have a backslash.
  const border = `],"${rows.key}":[`;
  const between = bytes.lastIndexOf(border);
  const begin = between + border.length;
  const end = bytes.length - ']}'.length;
  if (between === -1 || begin > end) return undefined;
  const messages = placesOfMessages(bytes, known, rows.messages, between);
  const usermessages = messages && placesOfUsermessages(bytes, known, rows.usermessages, begin, end);
  return messages === undefined || usermessages === undefined ? undefined : [...messages, ...usermessages];
}

/** The bytes of the mended file. */
function piecesOf(bytes: Buffer, places: readonly Place[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const { start, end, row } of places) {
    pieces.push(bytes.subarray(at, start), row);
    at = end;
  }
  return [...pieces, bytes.subarray(at)];
}

function replacedRows(bytes: Buffer, places: readonly Place[]): ReplacedRow[] {
  let longer = 0;
  return places.map(({ start, end, row }) => {
    const at = start + longer;
    longer += row.length - (end - start);
    return [at, row.length, bytes.toString('utf8', start, end)];
  });
}

function placesOfMessages(bytes: Buffer, { ids: list, newMessages }: KnownFile, rows: Rows, end: number): Place[] | undefined {
  const places: Place[] = [];
  const ids = newMessages.length === 0 ? [] : numbers(list);
  let at = 0;
  for (const id of newMessages) {
    const row = rows.get(id);
    const next = ids[ids.indexOf(id) + 1];
    const start = bytes.indexOf(`{"id":${id},`, at);
    const until = next === undefined ? end : bytes.indexOf(`,{"id":${next},`, start);
    if (row === undefined || start === -1 || until === -1 || until > end || !sameClient(row, bytes.subarray(start, until))) return undefined;
    places.push({ start, end: until, row });
    at = until;
  }
  return places;
}

/** Which clients a file's messages were sent with is known of the base, and no edit changes it. */
function sameClient(one: Buffer, other: Buffer): boolean {
  const client = (row: Buffer): unknown => (JSON.parse(row.toString()) as Record<string, unknown>).sending_client;
  return client(one) === client(other);
}

function placesOfUsermessages(bytes: Buffer, { base, usermessages, newUsermessages }: KnownFile, rows: Rows, begin: number, end: number): Place[] | undefined {
  const places: Place[] = [];
  const appended: Buffer[] = [];
  const last = bytes.lastIndexOf('{', end);
  let highest = last < begin ? -Infinity : (JSON.parse(bytes.toString('utf8', last, end)) as { id: number }).id;
  for (const id of newUsermessages) {
    const row = rows.get(id);
    if (row === undefined) return undefined;
    const found = placeOfRow(bytes, id, places.at(-1)?.end ?? begin, end);
    if (found !== undefined) places.push({ ...found, row });
    // Zulip gives rising ids; a new row in between is for a whole export.
    else if (id < highest) return undefined;
    else {
      appended.push(row);
      highest = id;
    }
  }
  // What is there besides is of the base, and all that is in the base is there: nothing was deleted.
  if ((base.rows.zerver_usermessage ?? 0) + appended.length !== usermessages) return undefined;
  if (appended.length === 0) return places;
  const lastRow = places.at(-1)?.end === end ? places.pop() : undefined;
  const before = last < begin ? [] : [lastRow?.row ?? bytes.subarray(last, end)];
  return [...places, { start: last < begin ? end : last, end, row: joined([...before, ...appended]) }];
}

/** Rows with commas between them. */
function joined(rows: readonly Buffer[]): Buffer {
  return Buffer.concat(rows.flatMap((row, at) => (at === 0 ? [row] : [COMMA, row])));
}

function placeOfRow(bytes: Buffer, id: number, from: number, end: number): Omit<Place, 'row'> | undefined {
  for (const mark of [',', '}']) {
    const at = bytes.indexOf(`"id":${id}${mark}`, from);
    if (at !== -1 && at < end) return { start: bytes.lastIndexOf('{', at), end: bytes.indexOf('}', at) + 1 };
  }
  return undefined;
}

/** Writes files while the next ones are read and worked on: two at a time. */
class Writing {
  readonly #directory: string;
  #last: Promise<unknown> = Promise.resolve();
  #before: Promise<unknown> = Promise.resolve();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Returns once the pieces may change. @throws of an earlier file as well */
  async write(pieces: readonly Buffer[], { file, base, usermessages }: KnownFile, then: (part: FinishedPart) => void): Promise<void> {
    await this.#before;
    const size = pieces.reduce((sum, { length }) => sum + length, 0);
    const buffer = bufferFor(size);
    let at = 0;
    for (const piece of pieces) {
      buffer.set(piece, at);
      at += piece.length;
    }
    const rows = { ...base.rows, zerver_usermessage: usermessages };
    const done = writeWhole(join(this.#directory, file.path), buffer.subarray(0, size)).then((finished) => {
      giveBack(buffer);
      then({ path: file.path, ...finished, rows, ids: base.ids, clients: base.clients, mended: true });
    });
    // Whoever waits for it hears of it.
    done.catch(() => undefined);
    [this.#before, this.#last] = [this.#last, done];
  }

  async end(): Promise<void> {
    await Promise.all([this.#before, this.#last]);
  }
}
