/** Segments of a set on their way to a worker and back: without what JSON cannot hold, and with paths below directories that each machine has elsewhere. */
import { join, relative } from 'node:path';
import { RealmliftError } from '../../errors.js';
import type { DealtQuery } from '../../export/segments/dealer.js';
import type { Progress } from '../../export/segments/row-query.js';
import type { Segment } from '../../export/segments/segment.js';
import type { AnySetSegment, DealtRows } from '../../export/segments/set-segments.js';
import type { Spool } from '../../export/spools/spool-format.js';

export interface SentSetSegment {
  readonly kind: AnySetSegment['kind'];
  readonly realmIds: readonly number[];
  readonly query: DealtQuery;
  readonly alone: boolean;
  readonly off?: AnySetSegment['off'];
  /** Its path is below the set's directory. */
  readonly messages?: Spool;
  readonly files?: { readonly first: readonly number[]; readonly until: readonly number[] } | undefined;
}

export function isOfSet(segment: Segment | SentSetSegment): segment is AnySetSegment | SentSetSegment {
  return segment.kind.startsWith('set-');
}

/** @param directory of the set, as the coordinator sees it */
export function sentSegment(segment: AnySetSegment, directory: string): SentSetSegment {
  const { kind, query, alone, off } = segment;
  const common = { kind, query, alone, off, realmIds: [...segment.realmIds] };
  if (segment.kind !== 'set-rows-of-messages') return common;
  const { messages, files } = segment;
  return { ...common, messages: below(messages, directory), files: files && { first: [...files.first], until: [...files.until] } };
}

/** @param finished the set's directory, as the worker sees it @param directory for its own spools */
export function receivedSegment({ realmIds, messages, files, ...common }: SentSetSegment, finished: string, directory: string): AnySetSegment {
  return {
    ...common, realmIds: Float64Array.from(realmIds), directory,
    ...(messages && { messages: { ...messages, path: join(finished, messages.path) } }),
    files: files && { first: Float64Array.from(files.first), until: Float64Array.from(files.until) },
  } as AnySetSegment;
}

/** @param directory where the worker wrote */
export function sentRows({ spools, clients }: DealtRows, directory: string): DealtRows {
  return { clients, spools: spools.map((spool) => below(spool, directory)) };
}

/**
 * A spool that is not named would be rows that nobody misses. Each row that was copied is in one, but for those of messages, of which there is one spool and some rows are nobody's.
 * @throws RealmliftError PART_NOT_THERE
 */
export function requireAll(kind: AnySetSegment['kind'], { spools }: DealtRows, progress: readonly Progress[]): void {
  const sum = (each: readonly { readonly rows: number }[]): number => each.reduce((all, { rows }) => all + rows, 0);
  if (kind === 'set-rows-of-messages' ? spools.length === 1 : sum(spools) === sum(progress)) return;
  throw new RealmliftError('PART_NOT_THERE', 'queue', 'the queue does not name all rows that a worker copied', { hint: "who else can write to the queue's database? Make one that only realmlift's role may use", again: true });
}

/** @param directory the same, as the coordinator sees it */
export function receivedSpool({ firstId, lastId, path, ...spool }: Spool, directory: string): Spool {
  // Of a spool without rows both are NaN, for which JSON has null.
  const id = (sent: number | null): number => sent ?? NaN;
  return { ...spool, path: join(directory, path), firstId: id(firstId), lastId: id(lastId) };
}

function below(spool: Spool, directory: string): Spool {
  return { ...spool, path: relative(directory, spool.path) };
}
