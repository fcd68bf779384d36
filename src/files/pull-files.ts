/**
 * The files stage: pulls what the database wants out of the store into the export's directory, and writes each area's
 * records.json. One file that cannot be had never ends the run: it is told as an event, and the export goes on.
 */
import { setMaxListeners } from 'node:events';
import { ExportDirectory, NameTaken, diskFault } from './export-directory.js';
import type { AreaTally, FileDone, FilesResult, LossReason, OnFileEvent } from './file-events.js';
import { emptyTally } from './file-events.js';
import type { Candidate, FileStore } from './file-store.js';
import { Lost } from './file-store.js';
import { reconcile } from './orphans.js';
import { inOrder } from './ordered-pool.js';
import type { FileRecord } from './records.js';
import { writeRecords } from './records.js';
import { unsafe } from './safe-path.js';
import type { Area, WantedFiles } from './wanted-files.js';
import { AREAS } from './wanted-files.js';

/** Records that wait for a slower file before them: some 500 bytes each, so 10 MB. */
const WINDOW = 20_000;

/** A file that an earlier run told with a `file` event, of which these members must be kept. */
export type EarlierFile = Pick<FileDone, 'size' | 'sha256' | 'record' | 'oddMetadata'>;

export interface PullOptions {
  /** Files under way at once. Default 32. */
  readonly jobs?: number | undefined;
  /** What the journal of an earlier run says of a path such as `uploads/2/ab/x.png`; given, the run resumes. */
  readonly done?: ((path: string) => EarlierFile | undefined) | undefined;
  /** What becomes of files below the realm's prefixes that no row claims. Default `report`; `copy` puts them in `orphans/`. */
  readonly orphans?: 'report' | 'copy' | 'ignore' | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * @param directory the export's directory, which exists; files go to `directory/AREA/…`
 * @throws RealmliftError when nothing more can be pulled (store gone, credentials refused, disk full)
 */
export async function pullFiles(store: FileStore, wanted: WantedFiles, directory: string, options: PullOptions, onEvent: OnFileEvent): Promise<FilesResult> {
  const target = await ExportDirectory.open(directory, options.done !== undefined);
  const { jobs = 32 } = options;
  const areas = Object.fromEntries(AREAS.map((area) => [area, emptyTally()])) as Record<Area, AreaTally>;
  const lostAttachmentIds: string[] = [];
  // One error ends all: what else is under way must not go on behind it.
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  // Each request under way listens.
  setMaxListeners(0, signal);

  const skip = async ({ area, key, attachmentId }: Candidate): Promise<undefined> => {
    if (attachmentId !== undefined) lostAttachmentIds.push(attachmentId);
    areas[area].skipped += 1;
    await onEvent({ kind: 'skipped', area, key, attachmentId });
    return undefined;
  };

  const pull = async (candidate: Candidate): Promise<FileRecord | undefined> => {
    const tally = areas[candidate.area];
    const lose = async (reason: LossReason, detail: string | undefined): Promise<undefined> => {
      if (candidate.attachmentId !== undefined) lostAttachmentIds.push(candidate.attachmentId);
      if (reason === 'absent') tally.missing += 1;
      else tally.failed += 1;
      const { area, key, attachmentId } = candidate;
      await onEvent({ kind: 'lost', area, key, reason, attachmentId, detail });
      return undefined;
    };
    try {
      if (candidate.refused === 'owner') return await skip(candidate);
      return (await pullOne(store, target, candidate, tally, options, onEvent, signal)) ?? (await skip(candidate));
    } catch (error) {
      // What fails once the run is being stopped fails for that reason.
      if (signal.aborted) throw signal.reason;
      if (error instanceof Lost) {
        if (error.reason === 'absent' && candidate.optional === true) return undefined;
        return await lose(error.reason, error.message);
      }
      if (error instanceof NameTaken) return await lose('collision', error.message);
      stop.abort(diskFault(error) ?? error);
      throw signal.reason;
    }
  };

  /** A directory or listing that cannot be read is told like a file. */
  async function* candidates(area: Area): AsyncGenerator<Candidate> {
    try {
      yield* store.candidates(area, wanted, signal);
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      areas[area].failed += 1;
      await onEvent({ kind: 'lost', area, key: `${wanted.realmId}/`, reason: error.reason, detail: error.message });
    }
  }

  for (const area of AREAS) {
    if (area === 'realm_icons' && !wanted.realmIcons) continue;
    areas[area].records = await writeRecords(directory, area, present(inOrder(candidates(area), jobs, WINDOW, pull)));
  }
  const { orphans = 'report' } = options;
  if (orphans !== 'ignore') await reconcile({ store, wanted, areas, target: orphans === 'copy' ? target : undefined, jobs, signal, onEvent });
  await target.close();
  return { areas, lostAttachmentIds: lostAttachmentIds.sort((a, b) => a.length - b.length || (a < b ? -1 : 1)) };
}

/** @returns the file's record; undefined when its owner may not travel */
async function pullOne(
  store: FileStore, target: ExportDirectory, candidate: Candidate, tally: AreaTally, options: PullOptions, onEvent: OnFileEvent, signal: AbortSignal,
): Promise<FileRecord | undefined> {
  signal.throwIfAborted();
  const { area, key, attachmentId, rowSize, refused } = candidate;
  const path = `${area}/${candidate.path}`;
  if (refused === 'absent') throw new Lost('absent', 'there is no such file');
  const problem = unsafe(candidate.path) ?? (candidate.path === 'records.json' ? 'the key is that of the records' : undefined);
  if (problem !== undefined) throw new Lost('unsafe-name', problem);

  const tell = async ({ size, sha256, record, oddMetadata }: EarlierFile, resumed: boolean): Promise<FileRecord> => {
    tally.found += 1;
    tally.bytes += size;
    if (resumed) tally.resumed += 1;
    if (oddMetadata !== undefined) {
      tally.metadata[oddMetadata.problem] += 1;
      await onEvent({ kind: 'metadata', area, key, ...oddMetadata });
    }
    if (rowSize !== undefined && rowSize !== size) {
      tally.otherSize += 1;
      await onEvent({ kind: 'other-size', area, key, row: rowSize, file: size, attachmentId });
    }
    await onEvent({ kind: 'file', area, path, size, sha256, record, oddMetadata, resumed });
    return record;
  };

  const earlier = options.done?.(path);
  if (earlier !== undefined && (await store.unchanged(candidate, earlier.record)) && (await target.holds(path, earlier.size, earlier.sha256))) return tell(earlier, true);

  const partial = target.partial(path);
  const fetched = await store.fetch(candidate, partial, signal);
  if (!fetched.taken) return undefined;
  await target.publish(partial, path);
  return tell({ size: fetched.size, sha256: fetched.sha256, record: fetched.verdict.record, oddMetadata: fetched.verdict.oddMetadata }, false);
}

async function* present(records: AsyncIterable<FileRecord | undefined>): AsyncGenerator<FileRecord> {
  for await (const record of records) if (record !== undefined) yield record;
}
