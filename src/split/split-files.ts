/**
 * The files of split realms, under the names that they have: rows name uploads by their path, and avatars lie under a hash with the
 * server's salt, which changes only where the new server has a salt of its own. They may come from a disk and go into buckets, or the other way.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import type { UploadPlace } from '../files/upload/upload-place.js';
import { holdsAllUploads, uploadsQuery, wantedRows } from '../export/wanted/wanted-rows.js';
import { wantedFiles } from '../export/wanted/wanted.js';
import { Lost, untilLost, type Candidate, type FileStore } from '../files/file-store.js';
import { inOrder } from '../files/ordered-pool.js';
import { unsafe } from '../files/safe-path.js';
import type { WantedAvatar, WantedFiles } from '../files/wanted-files.js';
import { AREAS, type Area } from '../package/export-files.js';
import type { FileTarget } from '../load/files/file-target.js';
import { openFileTarget } from '../load/files/open-file-target.js';
import type { ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';
import { withTemporaryDirectory } from '../temporary-directory.js';
import { FilePlaces, type PlacedFile } from './file-places.js';

export interface FilesRequest {
  readonly openStore: () => Promise<FileStore>;
  /** Where they go. */
  readonly place: UploadPlace;
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
  readonly lost: number;
  /** The first of them: `area key: why`. */
  readonly lostNames: readonly string[];
}

/** Files that wait for a slower one before them. */
const WINDOW = 1000;

/** Lost files that are named. */
const NAMED = 20;

/** Users whose files alone travel; undefined for all. */
export function approvedOwners({ request, parameters }: ExportPlan, approvedFilesOnly: boolean): ReadonlySet<number> | undefined {
  return request.approved !== undefined && approvedFilesOnly ? new Set(parameters.consenting_user_ids) : undefined;
}

/** Until Zulip 4 an export holds all uploads of the realm in every mode, whatever their rows do; a split does where everybody's data travel, with their rows. */
export function takesAllUploads({ request }: ExportPlan, source: Source): boolean {
  return holdsAllUploads(source) && request.mode === 'full';
}

/** Attachments whose file does not travel because of its owner, and whose rows stay with it, as an export has it. */
export async function refusedAttachments(client: pg.Client, source: Source, plan: ExportPlan, owners: ReadonlySet<number> | undefined): Promise<string[]> {
  const { request: { realm }, parameters: { cross_realm_bot_ids: bots } } = plan;
  const { rows } = await client.query<{ id: string }>(`
    SELECT w.id::text AS id FROM (${uploadsQuery(plan, source, takesAllUploads(plan, source))}) AS w LEFT JOIN zerver_userprofile u ON u.id = w.owner_id AND (u.realm_id = ${realm.id} OR u.id = ANY ($1::bigint[]))
    WHERE u.id IS NULL OR ($2::bigint[] IS NOT NULL AND u.id <> ALL ($2::bigint[]))`, [bots, owners === undefined ? null : [...owners]]);
  return rows.map(({ id }) => id);
}

export interface OpenPlaces {
  readonly store: FileStore;
  readonly target: FileTarget;
}

/** Both are there and can be used: known before any row is copied. */
export async function openPlaces({ openStore, place, jobs }: FilesRequest, signal: AbortSignal): Promise<OpenPlaces> {
  if (place.kind === 'directory') await mkdir(place.directory, { recursive: true, mode: 0o700 }).catch(() => undefined);
  const target = await openFileTarget(place, jobs, undefined, signal);
  try {
    return { store: await openStore(), target };
  } catch (error) {
    target.close();
    throw error;
  }
}

/** @param client,lookups sessions in the snapshot, for nothing else meanwhile */
export async function splitFiles(client: pg.Client, lookups: pg.Client, source: Source, plans: readonly ExportPlan[], request: FilesRequest & { readonly onFile: (bytes: number) => void }, { store, target }: OpenPlaces, stop: AbortSignal): Promise<SplitFiles> {
  // Each file under way listens.
  const signal = AbortSignal.any([stop]);
  setMaxListeners(0, signal);
  const lostNames: string[] = [];
  let [files, bytes, lost] = [0, 0, 0];
  const onLost = (name: string): void => {
    if (lost++ < NAMED) lostNames.push(name);
  };
  try {
    await withTemporaryDirectory('split', async (temporary) => {
      for (const plan of plans) {
        const owners = approvedOwners(plan, request.approvedFilesOnly);
        const of = (salt: string | undefined): Promise<WantedFiles> => wantedFiles(wantedRows(client, plan, source, takesAllUploads(plan, source)), plan, source, { salt, owners, onSkipped: () => undefined });
        const wanted = await of(request.salt);
        const renamed = request.newSalt === undefined ? new Map<string, string>() : await newHashes(wanted, await of(request.newSalt));
        const places = await FilePlaces.open(lookups, source, plan.request.realm.id, { from: store.kind, to: request.place.kind, rules: wanted.rules, renamed });
        const take = async (candidate: Candidate): Promise<number[]> => {
          const sizes: number[] = [];
          for (const each of [candidate, ...places.siblings(candidate)]) {
            const size = await copy(store, each, target, places, temporary, onLost, signal);
            if (size !== undefined) sizes.push(size);
          }
          return sizes;
        };
        const candidates = (area: Area): AsyncIterable<Candidate> => untilLost(store.candidates(area, wanted, signal), ({ message }) => onLost(`${area} ${wanted.realmId}/: ${message}`));
        for (const area of AREAS.filter((each) => wanted.areas.includes(each))) {
          for await (const sizes of inOrder(candidates(area), request.jobs, WINDOW, take)) {
            files += sizes.length;
            for (const size of sizes) {
              bytes += size;
              request.onFile(size);
            }
          }
        }
      }
    });
    return { files, bytes, lost, lostNames };
  } finally {
    store.close();
    target.close();
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

/** @returns bytes; undefined when the file is not taken, which is told where it is a loss */
async function copy(store: FileStore, candidate: Candidate, target: FileTarget, places: FilePlaces, temporary: string, onLost: (name: string) => void, signal: AbortSignal): Promise<number | undefined> {
  const { area, key, refused, optional } = candidate;
  const partial = join(temporary, randomUUID());
  try {
    signal.throwIfAborted();
    if (refused === 'owner') return undefined;
    if (refused === 'absent') throw new Lost('absent', 'there is no such file');
    const problem = unsafe(key);
    if (problem !== undefined) throw new Lost('unsafe-name', problem);
    const fetched = await store.fetch(candidate, partial, signal);
    if (!fetched.taken) return undefined;
    const placed: PlacedFile | undefined = await places.placed(candidate, fetched.verdict.record);
    if (placed === undefined) return undefined;
    await target.put({ path: key, size: fetched.size, sha256: fetched.sha256, oldKey: undefined, image: undefined, ...placed }, partial, signal);
    return fetched.size;
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    if (error.reason !== 'absent' || optional !== true) onLost(`${area} ${key}: ${error.message}`);
    return undefined;
  } finally {
    await rm(partial, { force: true });
  }
}
