/**
 * What lies below the realm's prefixes and no row of the database claims: left by deleted rows, by restored backups, by
 * other programs. It is counted and named, and copied beside the export only when asked: no row says whose it is.
 */
import type { AreaTally, EarlierFile, LossReason, OnFileEvent, Orphan } from './file-events.js';
import type { Candidate, FileStore, StoredFile } from './file-store.js';
import { Lost } from './file-store.js';
import type { FilesTarget } from './files-target.js';
import { NameTaken } from './export-directory.js';
import { inOrder } from './ordered-pool.js';
import { byBytes } from './records.js';
import { unsafe } from './safe-path.js';
import type { Area } from '../package/export-files.js';
import type { WantedFiles } from './wanted-files.js';

/** Where orphans are copied to, in the export's directory: the import does not look there. */
export const ORPHANS_DIRECTORY = 'orphans';

/** Written by the upload server tusd beside each file. */
const SIDECAR = '.info';

export interface Reconciliation {
  readonly store: FileStore;
  readonly wanted: WantedFiles;
  readonly areas: Readonly<Record<Area, AreaTally>>;
  /** Given, orphans are copied into it. */
  readonly target: FilesTarget | undefined;
  /** What an earlier run copied. */
  readonly done: ((path: string) => EarlierFile | undefined) | undefined;
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly onEvent: OnFileEvent;
}

/** Finds the orphans of uploads, avatars and emoji; of icons there are none, since all are exported. */
export async function reconcile(run: Reconciliation): Promise<void> {
  const { wanted } = run;
  const { claimedUploads } = wanted;
  if (claimedUploads === undefined) return;
  await orphansOf(run, 'uploads', unclaimed(list(run, 'uploads'), claimedUploads()));
  if (wanted.avatars !== undefined) await orphansOf(run, 'avatars', without(list(run, 'avatars'), await avatarNames(wanted), avatarStem));
  await orphansOf(run, 'emoji', without(list(run, 'emoji'), await emojiNames(wanted), emojiStem));
  if (wanted.areas.includes('realm_icons')) run.areas.realm_icons.orphansListed = 'all';
}

function list({ store, wanted, signal }: Reconciliation, area: Area): AsyncIterable<StoredFile> {
  return store.list(area, wanted.realmId, signal);
}

async function orphansOf(run: Reconciliation, area: Area, orphans: AsyncIterable<StoredFile>): Promise<void> {
  const tally = run.areas[area];
  const copied = async (file: StoredFile): Promise<Orphan> => {
    const orphan = { kind: 'orphan', area, key: file.key, size: file.size } as const;
    return run.target === undefined ? orphan : { ...orphan, ...(await copyOrphan(run, run.target, area, file)) };
  };
  try {
    // In the order of the listing, so that the report is the same each time.
    for await (const orphan of inOrder(orphans, run.jobs, run.jobs, copied)) {
      tally.orphans += 1;
      tally.orphanBytes += orphan.size;
      if (orphan.copy !== undefined) tally.orphansCopied += 1;
      await run.onEvent(orphan);
    }
    tally.orphansListed = 'all';
  } catch (error) {
    if (!(error instanceof Lost || error instanceof Unordered)) throw error;
    tally.orphansListed = 'partly';
    await run.onEvent({ kind: 'orphans-unknown', area, detail: error.message });
  }
}

async function copyOrphan({ store, wanted, done, signal }: Reconciliation, target: FilesTarget, area: Area, listed: StoredFile): Promise<Pick<Orphan, 'copy' | 'notCopied'>> {
  const { key } = listed;
  const path = `${ORPHANS_DIRECTORY}/${area}/${key}`;
  const candidate: Candidate = {
    area, key, path, listed,
    // Where the metadata names an owner or a realm, it must be one that travels; the local disk has no metadata.
    judge: ({ size, lastModified, contentType, etag: md5 = null, bucket = '', metadata: { user_profile_id: user, realm_id: realm } }) => {
      const foreign = (user !== undefined && !wanted.isRealmUser(Number(user))) || (realm !== undefined && realm !== String(wanted.realmId));
      if (foreign) return { take: false };
      // For the journal alone: by this a resumed run tells whether it would copy the same.
      const named = { ...(user === undefined ? {} : { user_profile_id: user }), ...(realm === undefined ? {} : { realm_id: realm }) };
      return { take: true, record: { bucket, size, last_modified: lastModified, content_type: contentType, md5, ...named } };
    },
  };
  const lost = (reason: LossReason): { notCopied: LossReason } => ({ notCopied: reason });
  if (unsafe(path) !== undefined) return lost('unsafe-name');
  try {
    const earlier = done?.(path);
    if (earlier !== undefined && (await store.unchanged(candidate, earlier.record)) && (await target.holds(path, earlier))) return { copy: { path, size: earlier.size, sha256: earlier.sha256, record: earlier.record, etag: earlier.etag } };
    const partial = target.partial(path);
    const fetched = await store.fetch(candidate, partial, signal);
    if (!fetched.taken) return { notCopied: 'owner' };
    const etag = await target.publish(partial, path);
    return { copy: { path, size: fetched.size, sha256: fetched.sha256, record: fetched.verdict.record, etag } };
  } catch (error) {
    if (error instanceof Lost) return lost(error.reason);
    if (error instanceof NameTaken) return lost('collision');
    throw error;
  }
}

/** The listing does not keep the order of bytes, so it cannot be compared with the rows in passing. */
class Unordered extends Error {}

/** Files that `claimed` does not name; both by their bytes, neither held in memory. A sidecar goes with its file. */
async function* unclaimed(files: AsyncIterable<StoredFile>, claimed: AsyncIterable<string>): AsyncGenerator<StoredFile> {
  const rows = claimed[Symbol.asyncIterator]();
  let row = await rows.next();
  let last = '';
  let lastRow: string | undefined;
  try {
    for await (const file of files) {
      if (byBytes(last, file.key) > 0) throw new Unordered('the store does not list its files in order');
      last = file.key;
      while (row.done !== true && byBytes(row.value, file.key) < 0) {
        lastRow = row.value;
        row = await rows.next();
      }
      const isClaimed = row.done !== true && row.value === file.key;
      const isSidecar = file.key.endsWith(SIDECAR) && lastRow === file.key.slice(0, -SIDECAR.length);
      if (!isClaimed && !isSidecar) yield file;
    }
  } finally {
    await rows.return?.();
  }
}

async function* without(files: AsyncIterable<StoredFile>, names: ReadonlySet<string>, stemOf: (name: string) => string): AsyncGenerator<StoredFile> {
  for await (const file of files) if (!names.has(stemOf(file.key.slice(file.key.lastIndexOf('/') + 1)))) yield file;
}

async function avatarNames({ avatars }: WantedFiles): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { hash } of avatars?.() ?? []) names.add(hash);
  return names;
}

/** `HASH`, `HASH.original`, `HASH.png` and `HASH-medium.png` are one user's. */
export function avatarStem(name: string): string {
  return name.replace(/\..*$/, '').replace(/-medium$/, '');
}

async function emojiNames({ emoji }: WantedFiles): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { fileName } of emoji()) names.add(emojiStem(fileName));
  return names;
}

/** `NAME.gif`, `NAME.gif.original` and the still picture `still/NAME.png` are one emoji's. */
function emojiStem(name: string): string {
  return name.replace(/\.original$/, '').replace(/\.[^.]*$/, '');
}
