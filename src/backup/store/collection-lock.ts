/**
 * One run at a time writes to a collection of backups: a small object says who is at work, and is renewed while the work goes on. One
 * that was not renewed, or whose process is gone, belongs to a run that died.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { RealmliftError } from '../../errors.js';
import { readWhole, writeWhole } from './backup-store.js';
import type { BackupStore } from './backup-store.js';

const LOCK = 'lock.json';
/** Milliseconds between two renewals. */
const RENEWAL = 60_000;
/** Milliseconds without a renewal after which a lock counts for nothing; several missed renewals, and clocks that differ a little. */
const EXPIRY = 10 * RENEWAL;

interface Holder {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly renewedAt: string;
}

/** @throws RealmliftError BACKUP_RUNNING */
export async function withCollectionLock<T>(collection: BackupStore, work: () => Promise<T>): Promise<T> {
  const id = randomUUID();
  const content = (): string => `${JSON.stringify({ id, host: hostname(), pid: process.pid, renewedAt: new Date().toISOString() } satisfies Holder)}\n`;
  await acquire(collection, LOCK, content);
  const renewal = setInterval(() => void writeWhole(collection, LOCK, content()).catch(() => undefined), RENEWAL);
  renewal.unref();
  try {
    return await work();
  } finally {
    clearInterval(renewal);
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

function isGone({ host, pid, renewedAt }: Holder): boolean {
  if (!(Date.now() - Date.parse(renewedAt) < EXPIRY)) return true;
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    // EPERM: it is there, and another user's.
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
