/**
 * One segment of an export, in the session of a worker. A table is one part; a run of messages files is several.
 *
 * What an earlier run finished is read again before it is believed. Made out of the present snapshot it then stays; made out of
 * another it stays if its rows, copied again, are still the same bytes.
 */
import { join } from 'node:path';
import type pg from 'pg';
import { isIntact, PartFile, type FinishedFile } from '../../package/part-file.js';
import { beginWithRows } from '../../package/take-rows.js';
import { takeFromBase, type SegmentBase } from './base-files.js';
import { confirmMessages, consecutive, exportMessages, type MessageFile, type MessageQueries } from './message-segment.js';
import { readIds, type IdsSegment } from './ids-segment.js';
import { copyInto, describeQuery, type RowQuery } from './row-query.js';
import { dealSegment, type AnySetSegment } from './set-segments.js';
import type { EarlierPart } from './finished-part.js';
import type { SegmentEvents } from './segment-events.js';
import { PartDigest } from './part-digest.js';

export interface TableSegment {
  readonly kind: 'table';
  /** Of the part file, relative to the run's directory. */
  readonly path: string;
  readonly query: RowQuery;
  readonly earlier: EarlierPart | undefined;
  readonly grown?: GrownTable | undefined;
}

/** A table of which a base has the rows but for new ones, which all come behind them. */
export interface GrownTable {
  /** File of the base. */
  readonly from: string;
  /** The rows in it. */
  readonly rows: FinishedFile & { readonly count: number };
  /** Yields the new ones. */
  readonly added: RowQuery;
}

export interface MessageSegment extends MessageQueries {
  readonly kind: 'messages';
  /** Consecutive. */
  readonly files: readonly MessageFile[];
  readonly base: SegmentBase | undefined;
}

export type Segment = TableSegment | MessageSegment | IdsSegment | AnySetSegment;

/** The directories of a segment's files, mostly the same one. */
export interface SegmentPlaces {
  /** Where those lie that an earlier run finished; undefined where whoever gave the segment has looked at them. */
  readonly finished: string | undefined;
  /** Where those are written that are made now: elsewhere for another machine, which sees what has been flushed to the disk. In the same place they are flushed by whoever publishes them. */
  readonly fresh: string;
}

/** Writes the segment's files. */
export async function exportSegment(client: pg.Client, segment: Segment, places: SegmentPlaces, events: SegmentEvents): Promise<void> {
  switch (segment.kind) {
    case 'table': return tableSegment(client, segment, places, events);
    case 'messages': return messageSegment(client, segment, places, events);
    case 'ids': return events.onIds(await readIds(client, segment));
    default: events.onDealt(await dealSegment(client, segment, events.onProgress));
  }
}

/** Whether what an earlier run finished is as it was. */
async function isThere(finished: string | undefined, path: string, earlier: EarlierPart): Promise<boolean> {
  return finished === undefined || isIntact(join(finished, path), earlier);
}

async function tableSegment(client: pg.Client, { path, query, earlier, grown }: TableSegment, { finished, fresh }: SegmentPlaces, events: SegmentEvents): Promise<void> {
  const { onPart, onDamaged, onProgress } = events;
  if (earlier !== undefined) {
    if (!(await isThere(finished, path, earlier))) onDamaged(path);
    else if (earlier.certain || (await digestNow(client, query, onProgress)) === earlier.sha256) {
      onPart(earlier, true);
      return;
    }
  }
  if (grown !== undefined && await grownTable(client, path, query, grown, fresh, events)) return;
  const file = new PartFile(join(fresh, path));
  try {
    const rows = await writeTable(client, query, file, onProgress);
    onPart({ path, ...(await file.finish(finished !== fresh)), rows: { [query.table]: rows } }, false);
  } catch (error) {
    file.abandon();
    throw error;
  }
}

/** @returns whether the base's rows were what was finished then; else nothing is there */
async function grownTable(client: pg.Client, path: string, { table }: RowQuery, { from, rows, added }: GrownTable, fresh: string, { onPart, onDamaged, onProgress }: SegmentEvents): Promise<boolean> {
  const file = new PartFile(join(fresh, path));
  try {
    if (!(await beginWithRows(file, from, table, rows))) {
      onDamaged(from);
      return false;
    }
    let separated = rows.count === 0;
    const behind = {
      write: (bytes: Uint8Array): void => {
        if (!separated) file.writeText(',');
        separated = true;
        file.write(bytes);
      },
    };
    const count = rows.count + await copyInto(client, added, await describeQuery(client, added), behind, onProgress);
    file.writeText(']');
    onPart({ path, ...(await file.finish(false)), rows: { [table]: count }, mended: true }, false);
    return true;
  } finally {
    file.abandon();
  }
}

async function digestNow(client: pg.Client, query: RowQuery, onProgress: SegmentEvents['onProgress']): Promise<string> {
  const digest = new PartDigest();
  await writeTable(client, query, digest, onProgress);
  return digest.hex();
}

/** @returns the number of rows */
async function writeTable(client: pg.Client, query: RowQuery, out: PartFile | PartDigest, onProgress: SegmentEvents['onProgress']): Promise<number> {
  out.writeText('[');
  const rows = await copyInto(client, query, await describeQuery(client, query), out, onProgress);
  out.writeText(']');
  return rows;
}

async function messageSegment(client: pg.Client, segment: MessageSegment, { finished, fresh }: SegmentPlaces, events: SegmentEvents): Promise<void> {
  const { onPart, onDamaged, onProgress } = events;
  const kept = new Set<MessageFile>();
  const doubtful = new Set<MessageFile>();
  const keep = (file: MessageFile, clients = file.earlier?.clients): void => {
    kept.add(file);
    onPart({ ...(file.earlier as EarlierPart), clients }, true);
  };
  for (const file of segment.files) {
    if (file.earlier === undefined) continue;
    if (!(await isThere(finished, file.path, file.earlier))) onDamaged(file.path);
    // A file of a set does not know its clients, which have to travel: its messages tell them again.
    else if (file.earlier.certain && file.earlier.clients !== undefined) keep(file);
    else if (file.base === undefined) doubtful.add(file);
  }
  if (segment.base !== undefined && finished !== undefined) {
    const wanted = new Set(segment.files.filter((file) => file.base !== undefined && !kept.has(file)));
    for (const file of await takeFromBase(client, segment.base, segment, segment.files, wanted, finished, events)) kept.add(file);
  }
  for (const run of consecutive(segment.files, (file) => doubtful.has(file))) await confirmMessages(client, segment, run, (file) => file.earlier?.sha256, keep, onProgress);
  for (const run of consecutive(segment.files, (file) => !kept.has(file))) await exportMessages(client, segment, run, fresh, finished !== fresh, (part) => onPart(part, false), onProgress);
}
