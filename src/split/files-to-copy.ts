/** What copying the files of a realm asks of its database, had at once: files may take hours, and the snapshot would hold back vacuum for as long. */
import type pg from 'pg';
import { wantedFiles } from '../export/wanted/wanted.js';
import { wantedRows } from '../export/wanted/wanted-rows.js';
import { spoolWanted } from '../export/wanted/wanted-spool.js';
import type { FileStore } from '../files/file-store.js';
import type { UploadPlace } from '../files/upload/upload-place.js';
import type { WantedAvatar, WantedFiles, WantedUpload } from '../files/wanted-files.js';
import { uploadRows } from '../load/files/file-plan.js';
import type { Source } from '../plan/source.js';
import { FilePlaces } from './file-places.js';
import type { SplitPlan } from './plan-split.js';
import { takesAllUploads } from './split-uploads.js';

export interface FilesToCopy {
  readonly wanted: WantedFiles;
  readonly places: FilePlaces;
}

export interface Salts {
  /** The source's avatar_salt; undefined leaves avatars out. */
  readonly salt: string | undefined;
  /** The new server's, if it has one of its own. */
  readonly newSalt: string | undefined;
}

/** Uploads whose rows are looked up at once. */
const LOOKED_UP = 1000;

/** @param session finds the source's tables @param directory takes the lists, for there may be millions of files */
export async function filesToCopy(session: pg.Client, source: Source, plan: SplitPlan, { salt, newSalt }: Salts, from: FileStore['kind'], to: UploadPlace['kind'], directory: string): Promise<FilesToCopy> {
  const rows = wantedRows(session, plan, source, takesAllUploads(plan, source));
  const namedBy = (by: string | undefined): Promise<WantedFiles> => wantedFiles(rows, plan, source, { salt: by, owners: plan.owners, onSkipped: () => undefined });
  const named = await namedBy(salt);
  const wanted = await spoolWanted(to === 'directory' ? named : { ...named, uploads: () => served(session, rows.uploads()) }, directory, false, () => undefined);
  const renamed = newSalt === undefined ? new Map<string, string>() : await newHashes(named, await namedBy(newSalt));
  const owner = await firstOwner(session, source, wanted.realmId);
  return { wanted, places: new FilePlaces({ from, to, realm: wanted.realmId, owner, zerverMigration: source.version.zerverMigration, rules: wanted.rules, renamed }) };
}

/** The rows are looked up by the session that reads the list, some at a time. */
async function* served(session: pg.Client, uploads: AsyncIterable<WantedUpload>): AsyncGenerator<WantedUpload> {
  const lookedUp = async (some: readonly WantedUpload[]): Promise<WantedUpload[]> => {
    const found = await uploadRows(session, some.map(({ pathId }) => pathId));
    return some.map((upload) => ({ ...upload, served: found.get(upload.pathId) }));
  };
  let some: WantedUpload[] = [];
  for await (const upload of uploads) {
    some.push(upload);
    if (some.length < LOOKED_UP) continue;
    yield* await lookedUp(some);
    some = [];
  }
  yield* await lookedUp(some);
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

async function firstOwner(session: pg.Client, { catalog }: Source, realm: number): Promise<number | undefined> {
  const owner = catalog.get('zerver_userprofile')?.columns.has('role') === true ? 'role = 100' : 'is_realm_admin';
  const { rows: [first] } = await session.query<{ id: number | null }>(`SELECT min(id)::float8 AS id FROM zerver_userprofile WHERE realm_id = $1 AND is_active AND NOT is_bot AND ${owner}`, [realm]);
  return first?.id ?? undefined;
}
