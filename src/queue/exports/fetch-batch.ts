/** A batch of files, fetched by a worker: what they are is told, and whether and as what they travel is decided by the coordinator. */
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { diskFault } from '../../files/export-directory.js';
import { Lost, type Candidate, type FileStore, type ObjectInfo } from '../../files/file-store.js';
import { inOrder } from '../../files/ordered-pool.js';
import type { FileRecord } from '../../files/records.js';
import type { FetchedFile, FilesJob } from './export-jobs.js';

/** Fetches one file to a path, or further on. @returns null when it cannot be had @throws RealmliftError when none can any more */
export type FetchOne = (named: FilesJob['files'][number], partial: string, signal: AbortSignal) => Promise<FetchedFile | null>;

/**
 * @param directory to which each goes under its number
 * @param jobs at once
 * @returns in the same order; null for those that cannot be had
 * @throws RealmliftError when no file can be had any more
 */
export async function fetchBatch(fetchOne: FetchOne, files: FilesJob['files'], directory: string, jobs: number, signal: AbortSignal): Promise<(FetchedFile | null)[]> {
  setMaxListeners(0, signal);
  const fetched: (FetchedFile | null)[] = [];
  for await (const file of inOrder(numbered(files), jobs, files.length, ([number, named]) => fetchOne(named, join(directory, String(number)), signal))) fetched.push(file);
  return fetched;
}

// eslint-disable-next-line @typescript-eslint/require-await
async function* numbered<T>(all: readonly T[]): AsyncGenerator<[number, T]> {
  yield* all.entries();
}

/** Out of the store into the file. */
export async function fetchFrom(store: FileStore, named: FilesJob['files'][number], partial: string, signal: AbortSignal): Promise<FetchedFile | null> {
  const infos = new Map<FileRecord, ObjectInfo>();
  const candidate: Candidate = {
    ...named,
    judge: (info) => {
      const record: FileRecord = {};
      infos.set(record, info);
      return { take: true, record };
    },
  };
  try {
    const file = await store.fetch(candidate, partial, signal);
    const info = file.taken ? infos.get(file.verdict.record) : undefined;
    return file.taken && info !== undefined ? { info, size: file.size, sha256: file.sha256, identity: file.identity } : null;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof Lost) return null;
    throw diskFault(error) ?? error;
  }
}
