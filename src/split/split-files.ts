/**
 * The files of split realms, under the names that they have: rows name uploads by their path, and avatars lie under a hash with the
 * server's salt, which changes only where the new server has a salt of its own.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { wantedRows } from '../export/wanted-rows.js';
import { wantedFiles } from '../export/wanted.js';
import { Lost, type Candidate, type FileStore } from '../files/file-store.js';
import { inOrder } from '../files/ordered-pool.js';
import { unsafe } from '../files/safe-path.js';
import { AREAS, type WantedAvatar, type WantedFiles } from '../files/wanted-files.js';
import { DirectoryFiles } from '../load/directory-files.js';
import { tellPhase, tellProgress } from '../narration.js';
import type { ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';
import { withTemporaryDirectory } from '../temporary-directory.js';
import { SPLIT_FILES } from './split-progress.js';

export interface FilesRequest {
  readonly openStore: () => Promise<FileStore>;
  /** Where files/ and avatars/ go. */
  readonly directory: string;
  /** The source's avatar_salt; undefined leaves avatars out. */
  readonly salt: string | undefined;
  /** The new server's, if it has one of its own. */
  readonly newSalt: string | undefined;
  /** With approved users: only their files. */
  readonly approvedFilesOnly: boolean;
  /** Files under way at once. */
  readonly jobs: number;
}

export interface SplitFiles {
  readonly files: number;
  readonly bytes: number;
  /** `area key: why`. */
  readonly lost: readonly string[];
}

/** Files that wait for a slower one before them. */
const WINDOW = 1000;

/** @param client a session in the snapshot, used by nobody else meanwhile */
export async function splitFiles(client: pg.Client, source: Source, plans: readonly ExportPlan[], request: FilesRequest, stop: AbortSignal): Promise<SplitFiles> {
  // Each file under way listens.
  const signal = AbortSignal.any([stop]);
  setMaxListeners(0, signal);
  await mkdir(request.directory, { recursive: true, mode: 0o700 });
  const target = new DirectoryFiles(request.directory);
  await target.open();
  const store = await request.openStore();
  const lost: string[] = [];
  tellPhase(SPLIT_FILES, 'files');
  let files = 0;
  let bytes = 0;
  try {
    return await withTemporaryDirectory('realmlift-split-', async (temporary) => {
      for (const plan of plans) {
        const owners = plan.request.approved !== undefined && request.approvedFilesOnly ? new Set(plan.parameters.consenting_user_ids) : undefined;
        const of = (salt: string | undefined): Promise<WantedFiles> => wantedFiles(wantedRows(client, plan, source), plan, source, { salt, owners, onSkipped: () => undefined });
        const wanted = await of(request.salt);
        const renamed = request.newSalt === undefined ? new Map<string, string>() : await newHashes(wanted, await of(request.newSalt));
        for (const area of AREAS.filter((each) => wanted.areas.includes(each))) {
          const candidates = withSiblings(store.candidates(area, wanted, signal));
          for await (const size of inOrder(candidates, request.jobs, WINDOW, (candidate) => take(store, candidate, target, renamed, temporary, lost, signal))) {
            if (size === undefined) continue;
            files++;
            bytes += size;
            tellProgress(1, size);
          }
        }
      }
      return { files, bytes, lost: lost.sort() };
    });
  } finally {
    store.close();
  }
}

async function newHashes(old: WantedFiles, fresh: WantedFiles): Promise<Map<string, string>> {
  const hashes = async (wanted: WantedFiles): Promise<WantedAvatar[]> => {
    const out: WantedAvatar[] = [];
    for await (const avatar of wanted.avatars?.() ?? []) out.push(avatar);
    return out;
  };
  const byUser = new Map((await hashes(fresh)).map(({ userId, hash }) => [userId, hash]));
  return new Map((await hashes(old)).map(({ userId, hash }) => [hash, byUser.get(userId) ?? hash]));
}

/** What Zulip made of a picture lies beside it: it is no part of an export, since an import makes it anew, but nobody imports a split. */
async function* withSiblings(candidates: AsyncIterable<Candidate>): AsyncGenerator<Candidate> {
  for await (const candidate of candidates) {
    yield candidate;
    const { area, key, judge } = candidate;
    const sibling = area === 'avatars' && !key.endsWith('.original') ? key.replace(/(?:\.png)?$/, '-medium.png')
      : area === 'emoji' ? key.replace(/([^/]*?)(?:\.[^./]*)?$/, 'still/$1.png') : undefined;
    if (sibling !== undefined) yield { area, key: sibling, path: sibling, optional: true, judge };
  }
}

/** @returns bytes; undefined when the file is not taken, which is told where it is a loss */
async function take(store: FileStore, candidate: Candidate, target: DirectoryFiles, renamed: ReadonlyMap<string, string>, temporary: string, lost: string[], signal: AbortSignal): Promise<number | undefined> {
  const { area, key, refused, optional } = candidate;
  const partial = join(temporary, randomUUID());
  try {
    if (refused === 'owner') return undefined;
    if (refused === 'absent') throw new Lost('absent', 'there is no such file');
    const problem = unsafe(key);
    if (problem !== undefined) throw new Lost('unsafe-name', problem);
    const fetched = await store.fetch(candidate, partial, signal);
    if (!fetched.taken) return undefined;
    const place = area === 'avatars' ? key.replace(/[0-9a-f]{40}/, (hash) => renamed.get(hash) ?? hash) : key;
    const { last_modified: modified } = fetched.verdict.record as { last_modified?: unknown };
    await target.put({
      path: key, size: fetched.size, sha256: fetched.sha256, area: area === 'uploads' ? 'files' : 'avatars', key: place, oldKey: undefined,
      attributes: { contentType: '', metadata: {} }, modified: typeof modified === 'number' ? modified : undefined, image: undefined,
    }, partial, signal);
    return fetched.size;
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    if (error.reason !== 'absent' || optional !== true) lost.push(`${area} ${key}: ${error.message}`);
    return undefined;
  } finally {
    await rm(partial, { force: true });
  }
}

