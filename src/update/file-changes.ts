/**
 * What differs in the files. New ones are there before the rows that name them are seen, old ones go when nobody sees their rows any more. A
 * file that takes another's name - a realm's icon - comes after that too, and until then is in the record.
 */
import type pg from 'pg';
import { stoppedFault } from '../copy/target-fault.js';
import { RealmliftError } from '../errors.js';
import type { FileTarget } from '../load/files/file-target.js';
import { planFile, planFiles, type FilePlanContext, type PlannedFile } from '../load/files/file-plan.js';
import { copyFile, keysOf, madeKeys, noteFound, type Found } from '../load/files/load-files.js';
import type { LoadableExport } from '../load/source/loadable-export.js';
import type { LoadRecord, RecordedFile } from '../load/server/load-record.js';
import { inParallel } from '../in-parallel.js';
import { tellProgress } from '../narration.js';
import { comparePaths } from '../package/manifest.js';
import { fileLines, type FileLine } from '../pipe/file-lines.js';

/** Files that are written down, and copied, at once. */
const BATCH = 500;

export interface FileSide {
  readonly source: LoadableExport;
  readonly plan: FilePlanContext;
}

export interface FileDifference {
  /** Sees the rows of the update. */
  readonly client: pg.Client;
  /** Commits by itself what files are on their way. */
  readonly noting: pg.Client;
  readonly record: LoadRecord;
  readonly earlier: FileSide;
  readonly later: FileSide;
  readonly target: FileTarget;
  readonly jobs: number;
}

export interface FileCounts {
  copied: number;
  removed: number;
}

/** Looks at a file as a copy would, and writes nothing. */
const NOWHERE: Pick<FileTarget, 'put' | 'write'> = { put: () => Promise.resolve(), write: () => Promise.resolve() };

/** Copies what has come, and writes down what is to go or to be replaced when the transaction is over. */
export async function changeFiles(difference: FileDifference, signal: AbortSignal): Promise<FileCounts> {
  const { client, record, earlier, later } = difference;
  const counts = { copied: 0, removed: 0 };
  const going = new Map<string, RecordedFile>();
  const [lostAvatars, newAvatars] = [new Set<number>(), new Set<number>()];
  let batch: { readonly is: FileLine; readonly was: FileLine | undefined }[] = [];
  const finish = async (): Promise<void> => {
    for (const user of await copyBatch(difference, batch, going, signal)) newAvatars.add(user);
    counts.copied += batch.length;
    batch = [];
  };
  for await (const { was, is } of pairs(earlier.source, later.source)) {
    if (was !== undefined && is !== undefined && isSame(was, is)) continue;
    const gone = was === undefined ? undefined : planFile(was, earlier.plan);
    if (gone !== undefined) for (const file of filesOf(gone, earlier.plan)) going.set(`${file.area}/${file.key}`, file);
    if (is === undefined) {
      counts.removed++;
      if (gone?.image?.kind === 'avatar') lostAvatars.add(gone.image.user);
      continue;
    }
    batch.push({ was, is });
    if (batch.length === BATCH) await finish();
  }
  if (batch.length > 0) await finish();
  // A picture may be made of either of two files.
  if (going.size > 0) for await (const line of fileLines(later.source, undefined)) for (const { area, key } of filesOf(planFile(line, later.plan), later.plan)) going.delete(`${area}/${key}`);
  // Theirs is no more that is no image; what another of them is, is noted by now.
  await record.forget(client, 'broken avatar', [...lostAvatars].filter((user) => !newAvatars.has(user)));
  await record.addFiles(client, 'going', [...going.values()]);
  await record.forgetFiles(client, 'coming');
  return counts;
}

/** Once the transaction is over, or when a run was stopped there. @returns how many files went @throws RealmliftError saying that the rows are those of the later export by now */
export async function settleFiles(client: pg.Client, record: LoadRecord, side: FileSide, target: FileTarget, signal: AbortSignal): Promise<number> {
  return settle(client, record, side, target, signal).catch((error: unknown) => {
    const fault = stoppedFault(error, signal, 'update');
    throw fault instanceof RealmliftError && fault.code !== 'STOPPED' ? fault.ending('the rows are updated, and some files are not: run the same command again, which sees to them') : fault;
  });
}

async function settle(client: pg.Client, record: LoadRecord, side: FileSide, target: FileTarget, signal: AbortSignal): Promise<number> {
  const replaced = new Set((await record.files(client, 'replaced')).map(({ key }) => key));
  if (replaced.size > 0) {
    for await (const line of fileLines(side.source, undefined)) {
      if (!replaced.has(line.path)) continue;
      for (const file of await planFiles(client, [line], side.plan)) {
        // Of what was an image, and is none any more, nothing is made.
        await target.remove(file.area, [], madeKeys(side.source, file, side.plan), signal);
        await copyFile({ ...side, target }, file, { animated: new Set(), brokenAvatars: new Set() }, signal);
      }
    }
    await record.forgetFiles(client, 'replaced');
  }
  return removeFiles(client, record, 'going', target, signal);
}

/** Files that came for an update that did not come about, or that nothing needs any more. */
export async function removeFiles(client: pg.Client, record: LoadRecord, state: 'coming' | 'going', target: FileTarget, signal: AbortSignal): Promise<number> {
  // What ended the run may have been that it did not hear of its commit, which makes what came the realm's own.
  const files = await record.files(client, state, true);
  let removed = 0;
  for (const area of ['files', 'avatars'] as const) removed += await target.remove(area, [], files.filter((file) => file.area === area).map(({ key }) => key), signal);
  await record.forgetFiles(client, state);
  return removed;
}

/** @returns the users whose avatars came */
async function copyBatch(difference: FileDifference, batch: readonly { readonly is: FileLine; readonly was: FileLine | undefined }[], going: ReadonlyMap<string, RecordedFile>, signal: AbortSignal): Promise<readonly number[]> {
  const { client, noting, record, later, target } = difference;
  const found: Found = { animated: new Set(), brokenAvatars: new Set() };
  const planned = await planFiles(client, batch.map(({ is }) => is), later.plan);
  const users = planned.flatMap(({ image }) => (image?.kind === 'avatar' ? [image.user] : []));
  if (users.length > 0) await record.forget(client, 'broken avatar', users);
  const takesPlace = (file: PlannedFile): boolean => keysOf(file, later.plan).some((key) => going.has(`${file.area}/${key}`));
  const replacing = planned.filter(takesPlace);
  const coming = planned.filter((file) => !takesPlace(file));
  await record.addFiles(noting, 'coming', coming.flatMap((file) => keysOf(file, later.plan).map((key) => ({ area: file.area, key }))));
  await record.addFiles(client, 'replaced', replacing.map(({ area, path }) => ({ area, key: path })));
  await inParallel(coming, difference.jobs, async (file, stop) => {
    await copyFile({ source: later.source, target, plan: later.plan }, file, found, stop);
    tellProgress(1, file.size);
  }, signal);
  for (const file of replacing) await copyFile({ source: later.source, target: NOWHERE, plan: later.plan }, file, found, signal);
  await noteFound(client, record, later.plan, found);
  return users;
}

function filesOf(file: PlannedFile, plan: FilePlanContext): RecordedFile[] {
  return keysOf(file, plan).map((key) => ({ area: file.area, key }));
}

function isSame(was: FileLine, is: FileLine): boolean {
  return was.size === is.size && was.sha256 === is.sha256 && JSON.stringify(was.record) === JSON.stringify(is.record);
}

/** Both are sorted by path. */
async function* pairs(earlier: LoadableExport, later: LoadableExport): AsyncGenerator<{ readonly was: FileLine | undefined; readonly is: FileLine | undefined }> {
  const [before, after] = [fileLines(earlier, undefined), fileLines(later, undefined)];
  let [was, is] = [await before.next(), await after.next()];
  while (was.done !== true || is.done !== true) {
    const order = was.done === true ? 1 : is.done === true ? -1 : comparePaths(was.value.path, is.value.path);
    yield { was: order > 0 || was.done === true ? undefined : was.value, is: order < 0 || is.done === true ? undefined : is.value };
    if (order <= 0) was = await before.next();
    if (order >= 0) is = await after.next();
  }
}
