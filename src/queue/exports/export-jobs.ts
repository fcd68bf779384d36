/** What the jobs of a run say, and what is said of them when they are done. Paths are relative to the output directory, which every machine has elsewhere. */
import { RealmliftError } from '../../errors.js';
import type { DealtQuery } from '../../export/segments/dealer.js';
import type { IdsSegment } from '../../export/segments/ids-segment.js';
import type { MessageFile } from '../../export/segments/message-segment.js';
import type { Progress, RowQuery } from '../../export/segments/row-query.js';
import type { FinishedPart } from '../../export/segments/finished-part.js';
import type { MessageSegment, Segment, TableSegment } from '../../export/segments/segment.js';
import type { AnySetSegment, DealtRows } from '../../export/segments/set-segments.js';
import type { SentError } from '../../export/segments/sent-error.js';
import type { Spool } from '../../export/spools/spool-format.js';
import type { PendingObject } from '../../files/upload/export-bucket.js';
import type { Candidate, Fetched, ObjectInfo } from '../../files/file-store.js';
import { unsafe } from '../../files/safe-path.js';
import { SENT_ERROR } from '../runs/job-failed.js';
import { anything, count, digest, flag, listOf, nullable, number, objectOf, optional, recordOf, text, type Shape } from '../runs/shape.js';
import type { SentSetSegment } from './set-jobs.js';

/** Where a job's files go. */
export interface JobPlaces {
  /** Directory of the export; in a bucket its name, below which objects are named. */
  readonly finished: string;
  /** Directory in which each attempt makes one of its own; in a bucket there is none. */
  readonly attempts: string;
}

/** A segment of the rows. */
export interface RowsJob {
  readonly segment: Exclude<Segment, AnySetSegment> | SentSetSegment;
  readonly schema: string;
  readonly places: JobPlaces;
}

export interface MadePart {
  readonly part: FinishedPart;
  /** An earlier run had finished it. */
  readonly kept: boolean;
  /** Where it was stored in a bucket. */
  readonly stored?: PendingObject | undefined;
}

export interface RowsDone {
  /** Name of the attempt's directory. */
  readonly attempt: string;
  readonly parts: readonly MadePart[];
  readonly damaged: readonly string[];
  readonly progress: readonly Progress[];
  /** Of a set, whose spools are and stay in the attempt's directory. */
  readonly dealt?: DealtRows | undefined;
  /** Of a set: a row of one realm is at fault, wherever it is tried. */
  readonly fault?: SentError | undefined;
}

/** A batch of files. */
export interface FilesJob {
  readonly files: readonly Pick<Candidate, 'area' | 'key' | 'path'>[];
  readonly places: JobPlaces;
}

/** A file that was fetched, and lies in the attempt's directory under its number among the job's. */
export interface FetchedFile extends Pick<Extract<Fetched, { taken: true }>, 'size' | 'sha256' | 'identity'> {
  readonly info: ObjectInfo;
  /** Where it was stored in a bucket. */
  readonly stored?: PendingObject | undefined;
}

export interface FilesDone {
  readonly attempt: string;
  /** In the order of the job; null for one that could not be had. */
  readonly files: readonly (FetchedFile | null)[];
}

const PENDING = objectOf<PendingObject>({ name: text, size: count, upload: optional(text), parts: listOf(objectOf<PendingObject['parts'][number]>({ etag: text, sha256: optional(text) })) });

const PART = objectOf<FinishedPart>({
  path: text, size: count, sha256: digest, rows: recordOf(count), clients: optional(listOf(count)), ids: optional(text), inode: optional(text), etag: optional(text), base: optional(flag), mended: optional(flag),
});

const SPOOL = objectOf<Spool>({ path: text, entriesAt: count, directoryAt: count, groups: count, rows: count, firstId: nullable(count), lastId: nullable(count) });

const QUERY = { table: text, select: text, keys: listOf(text), stripped: listOf(text) };
const EARLIER = objectOf<Pick<FinishedPart, 'path' | 'size' | 'sha256'>>({ path: text, size: count, sha256: digest });
const PLACES = objectOf<JobPlaces>({ finished: text, attempts: text });

const OF_SET = objectOf<SentSetSegment>({
  kind: text, realmIds: listOf(count), query: objectOf<DealtQuery>({ ...QUERY, columns: listOf(text), described: optional(text), anyRealm: optional(flag) }), alone: flag, off: optional(text), messages: optional(SPOOL),
  files: optional(objectOf<NonNullable<SentSetSegment['files']>>({ first: listOf(nullable(number)), until: listOf(nullable(number)) })),
});

const SEGMENTS: Readonly<Record<RowsJob['segment']['kind'], Shape>> = {
  table: objectOf<TableSegment>({ kind: text, path: text, query: objectOf<RowQuery>(QUERY), earlier: optional(EARLIER), grown: anything }),
  messages: objectOf<MessageSegment>({
    kind: text, messages: objectOf<RowQuery>(QUERY), usermessages: optional(objectOf<RowQuery>(QUERY)), base: anything,
    files: listOf(objectOf<MessageFile>({ path: text, after: nullable(number), until: nullable(number), rows: count, earlier: optional(EARLIER), base: anything, ids: optional(text) })),
  }),
  ids: objectOf<IdsSegment>({ kind: text, table: text, select: text, most: number }),
  'set-table': OF_SET, 'set-messages': OF_SET, 'set-rows-of-messages': OF_SET,
};

/** A job as it comes out of the queue. */
export const ROWS_JOB = objectOf<RowsJob>({
  segment: (value) => Object.entries(SEGMENTS).some(([kind, shape]) => (value as { kind?: unknown } | null | undefined)?.kind === kind && shape(value)), schema: text, places: PLACES,
});

export const FILES_JOB = objectOf<FilesJob>({ files: listOf(objectOf<FilesJob['files'][number]>({ area: text, key: text, path: text })), places: PLACES });

export const ROWS_DONE = objectOf<RowsDone>({
  attempt: text, parts: listOf(objectOf<MadePart>({ part: PART, kept: flag, stored: optional(PENDING) })), damaged: listOf(text), progress: listOf(objectOf<Progress>({ table: text, rows: count, bytes: count })),
  dealt: optional(objectOf<DealtRows>({ spools: listOf(SPOOL), clients: listOf((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(count)) })), fault: optional(SENT_ERROR),
});

const FETCHED = objectOf<FetchedFile>({
  size: count, sha256: digest, identity: optional(text), stored: optional(PENDING),
  info: objectOf<ObjectInfo>({ size: count, lastModified: (value) => typeof value === 'string' || Number.isFinite(value), contentType: nullable(text), etag: optional(text), bucket: optional(text), metadata: recordOf(text) }),
});

/** @param files how many the job names */
export function filesDone(files: number): Shape {
  return objectOf<FilesDone>({ attempt: text, files: (value) => listOf(nullable(FETCHED))(value) && (value as unknown[]).length === files });
}

/** What the queue says that a worker wrote is not to lead elsewhere: files are renamed and removed there. @throws RealmliftError PART_NOT_THERE */
export function requireInside(...paths: readonly string[]): void {
  const outside = paths.find((path) => unsafe(path) !== undefined);
  if (outside !== undefined) throw new RealmliftError('PART_NOT_THERE', 'queue', `the queue says that a worker wrote ${JSON.stringify(outside)}, which is no path inside the export`, { hint: "who else can write to the queue's database? Make one that only realmlift's role may use" });
}
