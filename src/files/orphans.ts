/**
 * What lies below the realm's prefixes and no row of the database claims: left by deleted rows, by restored backups, by
 * other programs. It is counted and named, and copied beside the export only when asked: no row says whose it is.
 */
import type { AreaTally, LossReason, OnFileEvent, Orphan } from './file-events.js';
import type { Candidate, FileStore, StoredFile } from './file-store.js';
import { Lost } from './file-store.js';
import type { ExportDirectory } from './export-directory.js';
import { NameTaken } from './export-directory.js';
import { inOrder } from './ordered-pool.js';
import { byBytes } from './records.js';
import { unsafe } from './safe-path.js';
import type { Area, WantedFiles } from './wanted-files.js';

/** Where orphans are copied to, in the export's directory: the import does not look there. */
const DIRECTORY = 'orphans';

/** Written by the upload server tusd beside each file. */
const SIDECAR = '.info';

export interface Reconciliation {
  readonly store: FileStore;
  readonly wanted: WantedFiles;
  readonly areas: Readonly<Record<Area, AreaTally>>;
  /** Given, orphans are copied into it. */
  readonly target: ExportDirectory | undefined;
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
}

function list({ store, wanted, signal }: Reconciliation, area: Area): AsyncIterable<StoredFile> {
  return store.list(area, wanted.realmId, signal);
}

async function orphansOf(run: Reconciliation, area: Area, orphans: AsyncIterable<StoredFile>): Promise<void> {
  const tally = run.areas[area];
  const tell = async (file: StoredFile): Promise<void> => {
    const copy = run.target === undefined ? {} : await copyOrphan(run, run.target, area, file.key);
    tally.orphans += 1;
    tally.orphanBytes += file.size;
    if (copy.path !== undefined) tally.orphansCopied += 1;
    await run.onEvent({ kind: 'orphan', area, key: file.key, size: file.size, ...copy });
  };
  try {
    for await (const done of inOrder(orphans, run.jobs, run.jobs, tell)) void done;
  } catch (error) {
    if (!(error instanceof Lost || error instanceof Unordered)) throw error;
    Object.assign(tally, { orphans: 0, orphanBytes: 0 });
    await run.onEvent({ kind: 'orphans-unknown', area, detail: error.message });
  }
}

async function copyOrphan({ store, wanted, signal }: Reconciliation, target: ExportDirectory, area: Area, key: string): Promise<Pick<Orphan, 'path' | 'notCopied'>> {
  const path = `${DIRECTORY}/${area}/${key}`;
  const candidate: Candidate = {
    area, key, path,
    // Where the metadata names an owner or a realm, it must be one that travels; the local disk has no metadata.
    judge: ({ metadata: { user_profile_id: user, realm_id: realm } }) => {
      const foreign = (user !== undefined && !wanted.isRealmUser(Number(user))) || (realm !== undefined && realm !== String(wanted.realmId));
      return foreign ? { take: false } : { take: true, record: {} };
    },
  };
  const lost = (reason: LossReason): { notCopied: LossReason } => ({ notCopied: reason });
  if (unsafe(path) !== undefined) return lost('unsafe-name');
  try {
    const partial = target.partial(path);
    if (!(await store.fetch(candidate, partial, signal)).taken) return { notCopied: 'owner' };
    await target.publish(partial, path);
    return { path };
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
function avatarStem(name: string): string {
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
