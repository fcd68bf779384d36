/**
 * One run at a time writes to a collection of backups: a small object says who is at work, and is renewed while the work goes on. One
 * that was not renewed, or whose process is gone, belongs to a run that died. A run that was only held up, such as by a store that was out
 * of reach, finds the lock another's and ends.
 */
import { randomUUID } from 'node:crypto';
import { RealmliftError } from '../../errors.js';
import { mayRun, thisProcess, type Owner } from '../../process-owner.js';
import { readWhole, writeWhole } from './backup-store.js';
import type { BackupStore } from './backup-store.js';

const LOCK = 'lock.json';
/** Milliseconds between two renewals. */
const RENEWAL = 60_000;
/** Milliseconds without a renewal after which a lock counts for nothing; several missed renewals, and clocks that differ a little. */
const EXPIRY = 10 * RENEWAL;

interface Holder extends Owner {
  readonly id: string;
  readonly renewedAt: string;
}

/** The lock, as the run has it that holds it. */
export interface CollectionLock {
  /** Aborted when a renewal has found the lock another's. */
  readonly lost: AbortSignal;
  /** Makes sure that the lock is this run's still, and for some minutes more. @throws RealmliftError BACKUP_OVERTAKEN */
  readonly renew: () => Promise<void>;
}

/** Runs `work` while this run alone writes to the collection. @throws RealmliftError BACKUP_RUNNING; what `work` throws */
export async function withCollectionLock<T>(collection: BackupStore, work: (lock: CollectionLock) => Promise<T>): Promise<T> {
  const id = randomUUID();
  const content = (): string => `${JSON.stringify({ id, ...thisProcess(), renewedAt: new Date().toISOString() } satisfies Holder)}\n`;
  await acquire(collection, LOCK, content);
  const lost = new AbortController();
  const renewOnce = async (): Promise<void> => {
    if ((await holderOf(collection, LOCK))?.id !== id) lost.abort(overtaken(collection));
    lost.signal.throwIfAborted();
    await writeWhole(collection, LOCK, content());
  };
  let underWay: Promise<void> | undefined;
  const renew = (): Promise<void> => (underWay ??= renewOnce().finally(() => { underWay = undefined; }));
  // A renewal that fails costs nothing yet: a later one sees whose the lock is by then.
  const renewal = setInterval(() => void renew().catch(() => undefined), RENEWAL);
  renewal.unref();
  try {
    return await work({ lost: lost.signal, renew });
  } finally {
    clearInterval(renewal);
    // It would make the lock again.
    await underWay?.catch(() => undefined);
    if ((await holderOf(collection, LOCK).catch(() => undefined))?.id === id) await collection.remove(LOCK).catch(() => undefined);
  }
}

/**
 * Makes a lock, or takes over that of a holder who is gone. Many may see at once that he is gone: a lock named after his lock admits one of
 * them, who looks again before taking it over. He was admitted alone, so what he sees then stays until he replaces it.
 */
async function acquire(collection: BackupStore, lock: string, content: () => string): Promise<void> {
  if (await collection.create(lock, Buffer.from(content()))) return;
  const holder = await holderOf(collection, lock);
  // Let go meanwhile.
  if (holder === undefined) return acquire(collection, lock, content);
  if (!isGone(holder)) throw running(collection, holder);
  const succession = `lock-after-${holder.id}.json`;
  await acquire(collection, succession, content);
  try {
    const present = await holderOf(collection, lock);
    if (present?.id !== holder.id) throw running(collection, present);
    await writeWhole(collection, lock, content());
  } finally {
    await collection.remove(succession).catch(() => undefined);
  }
}

function running({ description }: BackupStore, holder: Holder | undefined): RealmliftError {
  return holder === undefined
    ? new RealmliftError('BACKUP_RUNNING', 'backup', `another backup to ${description} began, or ended, at this moment`, { hint: 'wait for it' })
    : new RealmliftError('BACKUP_RUNNING', 'backup', `another backup to ${description} is under way (process ${holder.pid} on ${holder.host}, last seen ${holder.renewedAt})`, {
      hint: `wait for it; if it is surely dead, remove ${description}/${LOCK}`,
    });
}

function overtaken({ description }: BackupStore): RealmliftError {
  return new RealmliftError('BACKUP_OVERTAKEN', 'backup', `${description}/${LOCK} is this backup's no more: it was removed, or another backup took this one for dead, which was silent for ${EXPIRY / 60_000} minutes`, {
    left: 'nothing is left of it', hint: 'see that no other backup to this place is under way, and what held this one up: a machine that slept, or a store that was out of reach', again: true,
  });
}

/** What stands for the holder of a lock that is not whole, for the machine died before it was on the disk. */
const NOBODY: Holder = { id: 'nobody', host: '', pid: 0, renewedAt: '' };

/** Who holds a lock; undefined when there is none. */
async function holderOf(collection: BackupStore, lock: string): Promise<Holder | undefined> {
  try {
    return JSON.parse((await readWhole(collection, lock)).toString('utf8')) as Holder;
  } catch (error) {
    if (error instanceof SyntaxError) return NOBODY;
    if ((error as RealmliftError).code === 'PART_MISSING') return undefined;
    throw error;
  }
}

function isGone(holder: Holder): boolean {
  return !(Date.now() - Date.parse(holder.renewedAt) < EXPIRY) || !mayRun(holder);
}
