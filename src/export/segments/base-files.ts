/** The messages files of a segment that a base has: what is the same, by the versions of the rows or row by row, is taken over; of what differs in a few, the rest. */
import { join } from 'node:path';
import type pg from 'pg';
import { takeOver } from '../../package/take-over.js';
import { isSame, knownFiles, type BaseVersions, type KnownFile } from './changed-files.js';
import { isMendable, mendFiles } from './mended-file.js';
import { confirmMessages, consecutive, type BasePart, type MessageFile, type MessageQueries } from './message-segment.js';
import type { SegmentEvents } from './segment-events.js';

export interface SegmentBase {
  readonly directory: string;
  /** What it has by the same queries is the same. */
  readonly unchanged: boolean;
  /** Undefined where the versions of rows cannot be believed. */
  readonly versions: BaseVersions | undefined;
}

/** Files taken over at once, so that one is read while the disk keeps another. */
const AT_ONCE = 8;

/** @param files of the segment in order @param wanted those that are asked for @returns those that are there now */
export async function takeFromBase(
  client: pg.Client, base: SegmentBase, queries: MessageQueries, files: readonly MessageFile[], wanted: ReadonlySet<MessageFile>, directory: string, events: SegmentEvents,
): Promise<MessageFile[]> {
  const { unchanged, versions } = base;
  const byVersion = ({ base: part }: MessageFile): boolean => !unchanged && versions !== undefined && part?.sameQuery === true && part.ids !== undefined;
  const known: KnownFile[] = [];
  const same: Pick<KnownFile, 'file' | 'base'>[] = [];
  const certain = ({ base: part }: MessageFile): boolean => unchanged && part?.sameQuery === true && part.clients !== undefined;
  for (const file of wanted) if (certain(file)) same.push({ file, base: file.base as BasePart });
  for (const run of consecutive(files, (file) => wanted.has(file) && byVersion(file))) known.push(...await knownFiles(client, versions as BaseVersions, run));
  for (const each of known) if (isSame(each)) same.push(each);
  for (const run of consecutive(files, (file) => wanted.has(file) && !certain(file) && !byVersion(file))) {
    await confirmMessages(client, queries, run, (file) => file.base?.sha256, (file, clients) => same.push({ file, base: { ...(file.base as BasePart), clients } }), events.onProgress);
  }
  const done: MessageFile[] = [];
  const waiting = same[Symbol.iterator]();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const { file, base: part } of waiting) {
      if (await takeOver(join(base.directory, part.path), join(directory, file.path), part)) {
        events.onPart({ ...part, path: file.path, inode: undefined, base: true }, true);
        done.push(file);
      } else events.onDamaged(join(base.directory, part.path));
    }
  }));
  const mendable = known.filter((each) => !isSame(each) && isMendable(each));
  for (const [{ file, base: part }, mended] of await mendFiles(client, queries, mendable, base.directory, directory, events.onProgress)) {
    if (mended === 'damaged') events.onDamaged(join(base.directory, part.path));
    else {
      events.onPart(mended, false);
      done.push(file);
    }
  }
  return done;
}
