/** The messages files of a segment that a base has: what is the same, by the versions of the rows or row by row, is taken over; of what differs in a few, the rest. */
import { join } from 'node:path';
import type pg from 'pg';
import { inParallel } from '../../in-parallel.js';
import { takeOver } from '../../package/take-over.js';
import { isSame, knownFiles, type BaseVersions, type KnownFile } from './changed-files.js';
import type { BasePart, FinishedPart } from './finished-part.js';
import { isMendable, mendFiles, newRows, type NewRows } from './mended-file.js';
import { confirmMessages, consecutive, type MessageFile, type MessageQueries } from './message-segment.js';
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

/** Files that are asked for in one query: those before are mended meanwhile, for which the disk has more to do than the processor. */
const ASKED = 12;

/** @param files of the segment in order @param wanted those that are asked for @returns those that are there now */
export async function takeFromBase(
  client: pg.Client, base: SegmentBase, queries: MessageQueries, files: readonly MessageFile[], wanted: ReadonlySet<MessageFile>, directory: string, events: SegmentEvents,
): Promise<MessageFile[]> {
  const { unchanged, versions } = base;
  const certain = ({ base: part }: MessageFile): boolean => unchanged && part?.sameQuery === true && part.clients !== undefined;
  const byVersion = ({ base: part }: MessageFile): boolean => !unchanged && versions !== undefined && part?.sameQuery === true && part.ids !== undefined;
  const taking = new Taking(base.directory, directory, events);
  const same: SameFile[] = [];
  for (const file of wanted) if (certain(file)) same.push({ file, base: file.base as BasePart });
  let before: Promise<void> = Promise.resolve();
  try {
    for (const run of consecutive(files, (file) => wanted.has(file) && byVersion(file)).flatMap((each) => inGroups(each, ASKED))) {
      const known = await knownFiles(client, versions as BaseVersions, run);
      const mendable = known.filter((each) => !isSame(each) && isMendable(each));
      const rows = await newRows(client, queries, mendable, events.onProgress);
      await before;
      before = taking.same(known.filter(isSame)).then(() => taking.mended(mendable, rows));
      before.catch(() => undefined);
    }
  } finally {
    // Nothing is written behind the back of whoever goes on.
    await Promise.allSettled([before]);
  }
  await before;
  for (const run of consecutive(files, (file) => wanted.has(file) && !certain(file) && !byVersion(file))) {
    await confirmMessages(client, queries, run, (file) => file.base?.sha256, (file, clients) => same.push({ file, base: { ...(file.base as BasePart), clients } }), events.onProgress);
  }
  await taking.same(same);
  return taking.done;
}

type SameFile = Pick<KnownFile, 'file' | 'base'>;

/** What is made of the files of a base. */
class Taking {
  readonly #base: string;
  readonly #directory: string;
  readonly #events: SegmentEvents;
  readonly done: MessageFile[] = [];

  constructor(base: string, directory: string, events: SegmentEvents) {
    [this.#base, this.#directory, this.#events] = [base, directory, events];
  }

  same(files: readonly SameFile[]): Promise<void> {
    return inParallel(files, AT_ONCE, async ({ file, base: part }) => {
      if (await takeOver(join(this.#base, part.path), join(this.#directory, file.path), part)) this.#have(file, { ...part, path: file.path, inode: undefined, base: true }, true);
      else this.#events.onDamaged(join(this.#base, part.path));
    });
  }

  /** @param rows see newRows */
  async mended(files: readonly KnownFile[], rows: NewRows | undefined): Promise<void> {
    if (rows === undefined) return;
    for (const [{ file, base: part }, mended] of await mendFiles(files, rows, this.#base, this.#directory)) {
      if (mended === 'damaged') this.#events.onDamaged(join(this.#base, part.path));
      else this.#have(file, mended, false);
    }
  }

  #have(file: MessageFile, part: FinishedPart, kept: boolean): void {
    this.#events.onPart(part, kept);
    this.done.push(file);
  }
}

function inGroups<T>(all: readonly T[], most: number): T[][] {
  const size = Math.ceil(all.length / Math.ceil(all.length / most));
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size));
}
