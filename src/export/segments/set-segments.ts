/**
 * The work of a set that a worker does in its session: a table of all targets, a range of message ids of all targets, the
 * usermessages or reactions of such a range. Each is one COPY into one spool.
 */
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type pg from 'pg';
import { isOfRows } from '../../copy/copy-error.js';
import { RealmliftError } from '../../errors.js';
import { bindMessageIds } from '../../plan/parameters.js';
import { deal, NOBODY, Ordinals, RowFault, type DealtQuery } from './dealer.js';
import { messagesIn, RowIndex, type MessageFilesOfSet } from '../spools/message-index.js';
import type { Progress } from './row-query.js';
import type { Spool } from '../spools/spool-format.js';
import { SpoolReader } from '../spools/spool-reader.js';
import { SpoolSeries } from '../spools/spool-series.js';

/** Messages whose usermessages are asked for in one query, which names each: 3 MB of text. */
const MESSAGES_PER_SPOOL = 200_000;

interface SetSegment {
  /** Ids of the targets' realms: the place of a realm is the number of its target. */
  readonly realmIds: Float64Array;
  readonly query: DealtQuery;
  /** For the spools. */
  readonly directory: string;
  /** Rows of one realm alone are asked for. */
  readonly alone: boolean;
  /** Of the server's planner, to be off for this query. */
  readonly off?: 'enable_sort' | 'enable_nestloop' | undefined;
}

/** Groups of its spool are the targets. */
export interface SetTableSegment extends SetSegment {
  readonly kind: 'set-table';
}

/** Groups are the targets, and behind them the targets again for the index of the rows, see RowIndex. */
export interface SetMessagesSegment extends SetSegment {
  readonly kind: 'set-messages';
}

/** Rows of messages that were copied, which the query asks for by their ids. */
export interface SetRowsOfMessagesSegment extends SetSegment {
  readonly kind: 'set-rows-of-messages';
  readonly messages: Spool;
  /** Groups are the messages files of all targets; undefined: the targets. */
  readonly files: MessageFilesOfSet | undefined;
}

export type AnySetSegment = SetTableSegment | SetMessagesSegment | SetRowsOfMessagesSegment;

export interface DealtRows {
  /** In the order of the rows. */
  readonly spools: readonly Spool[];
  /** Of messages: pairs of a target and a client that its messages were sent with. */
  readonly clients: readonly (readonly [ordinal: number, client: number])[];
}

/** @throws RealmliftError as deal; RowFault where the server cannot send the rows of some realm */
export async function dealSegment(client: pg.Client, segment: AnySetSegment, onProgress: (progress: Progress) => void): Promise<DealtRows> {
  try {
    return await dealPlanned(client, segment, onProgress);
  } catch (error) {
    // Of one realm alone the error says more as it is.
    throw error instanceof RealmliftError && !(error instanceof RowFault) && !segment.alone && isOfRows(error) ? new RowFault(error, NaN) : error;
  }
}

async function dealPlanned(client: pg.Client, segment: AnySetSegment, onProgress: (progress: Progress) => void): Promise<DealtRows> {
  if (segment.off === undefined) return dealInto(client, segment, onProgress);
  await client.query(`SET LOCAL ${segment.off} = off`);
  const dealt = await dealInto(client, segment, onProgress);
  await client.query(`SET LOCAL ${segment.off} = on`);
  return dealt;
}

function dealInto(client: pg.Client, segment: AnySetSegment, onProgress: (progress: Progress) => void): Promise<DealtRows> {
  const ordinals = new Ordinals(segment.realmIds);
  switch (segment.kind) {
    case 'set-table': return into(segment, segment.realmIds.length, Infinity, async (spools) => {
      await deal(client, segment.query, ordinals, spools, (ordinal) => ordinal, onProgress);
      return [];
    });
    case 'set-messages': return into(segment, segment.realmIds.length * 2, MESSAGES_PER_SPOOL, (spools) => dealMessages(client, segment, ordinals, spools, onProgress));
    case 'set-rows-of-messages': return into(segment, segment.files?.until.length ?? segment.realmIds.length, Infinity, (spools) => dealRowsOfMessages(client, segment, ordinals, spools, onProgress));
  }
}

async function into({ directory }: AnySetSegment, groups: number, limit: number, work: (spools: SpoolSeries) => Promise<DealtRows['clients']>): Promise<DealtRows> {
  // A thread writes one spool after the other, all into one file.
  const spools = new SpoolSeries(join(directory, `rows-${threadId}`), groups, limit);
  try {
    const clients = await work(spools);
    return { spools: spools.finish(), clients };
  } finally {
    spools.abandon();
  }
}

async function dealMessages(client: pg.Client, { query, realmIds }: SetMessagesSegment, ordinals: Ordinals, spools: SpoolSeries, onProgress: (progress: Progress) => void): Promise<DealtRows['clients']> {
  const index = new RowIndex(spools, realmIds.length);
  const clients = new Map<number, Set<number>>();
  await deal(client, query, ordinals, spools, (ordinal) => ordinal, onProgress, 'sending_client_id', (ordinal, id, sentWith, length) => {
    index.add(ordinal, id, length);
    const of = clients.get(ordinal);
    if (of === undefined) clients.set(ordinal, new Set([sentWith]));
    else of.add(sentWith);
  });
  return [...clients].flatMap(([ordinal, of]) => [...of].map((each) => [ordinal, each] as const));
}

/** The query names the messages, and its rows are the users'. A message of one realm that somebody of another one received, or reacted to, is no row of either. */
async function dealRowsOfMessages(client: pg.Client, segment: SetRowsOfMessagesSegment, ordinals: Ordinals, spools: SpoolSeries, onProgress: (progress: Progress) => void): Promise<DealtRows['clients']> {
  const { files, query, realmIds } = segment;
  const reader = new SpoolReader();
  let messages: Map<number, number>;
  try {
    messages = messagesIn(reader, segment.messages, realmIds.length);
  } finally {
    reader.close();
  }
  const select = bindMessageIds(query.select, [...messages.keys()]);
  const group = (ordinal: number, message: number): number => files === undefined ? ordinal : fileOf(files, ordinal, message);
  // A list of two hundred thousand ids takes the planner a while.
  const described = bindMessageIds(query.select, []);
  await deal(client, { ...query, select, described }, ordinals, spools, (ordinal, _, message) => (messages.get(message) === ordinal ? group(ordinal, message) : NOBODY), onProgress, 'message_id');
  return [];
}

/** The file of a target that holds the message. */
function fileOf({ first, until }: MessageFilesOfSet, ordinal: number, message: number): number {
  let low = first[ordinal] as number;
  let high = (first[ordinal + 1] as number) - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((until[middle] as number) < message) low = middle + 1;
    else high = middle;
  }
  return low;
}
