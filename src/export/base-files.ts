/** The messages files of a segment that a base has: found to be the same, by the versions of their rows or row by row, and taken over. */
import { join } from 'node:path';
import type pg from 'pg';
import { takeOver } from '../package/take-over.js';
import { unchangedFiles, type BaseVersions } from './changed-files.js';
import { confirmMessages, consecutive, type MessageFile, type MessageQueries } from './message-segment.js';
import type { SegmentEvents } from './segment-events.js';

export interface SegmentBase {
  readonly directory: string;
  /** Undefined where the versions of rows cannot be believed. */
  readonly versions: BaseVersions | undefined;
}

/** @param files of the segment in order @param wanted those that are asked for @returns those that are there now */
export async function takeFromBase(
  client: pg.Client, base: SegmentBase, queries: MessageQueries, files: readonly MessageFile[], wanted: ReadonlySet<MessageFile>, directory: string, events: SegmentEvents,
): Promise<MessageFile[]> {
  const { versions } = base;
  const byVersion = ({ base: part }: MessageFile): boolean => versions !== undefined && part?.sameQuery === true && part.ids !== undefined;
  const same: MessageFile[] = [];
  for (const run of consecutive(files, (file) => wanted.has(file) && byVersion(file))) same.push(...await unchangedFiles(client, versions as BaseVersions, run));
  for (const run of consecutive(files, (file) => wanted.has(file) && !byVersion(file) && file.base?.source !== undefined)) {
    await confirmMessages(client, queries, run, (file) => file.base?.source, (file) => same.push(file), events.onProgress);
  }
  const taken = await Promise.all(same.map(async (file) => {
    const part = file.base as NonNullable<MessageFile['base']>;
    const whole = await takeOver(join(base.directory, part.path), join(directory, file.path), part, false);
    if (whole) events.onPart({ ...part, path: file.path, base: true }, true);
    else events.onDamaged(join(base.directory, part.path));
    return whole;
  }));
  return same.filter((_, index) => taken[index]);
}
