/**
 * One run at a time writes to a collection of backups: a small object says who is at work, and is renewed while the work goes on. One
 * that was not renewed, or whose process is gone, belongs to a run that died.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { RealmliftError } from '../errors.js';
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
  await acquire(collection, content);
  const renewal = setInterval(() => void writeWhole(collection, LOCK, content()).catch(() => undefined), RENEWAL);
  renewal.unref();
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    if ((await holderOf(collection).catch(() => undefined))?.id === id) await collection.remove(LOCK).catch(() => undefined);
  }
}

async function acquire(collection: BackupStore, content: () => string): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt++) {
    if (await collection.create(LOCK, Buffer.from(content()))) return;
    const holder = await holderOf(collection);
    if (holder !== undefined && !isGone(holder)) {
      throw new RealmliftError('BACKUP_RUNNING', 'backup', `another backup to ${collection.description} is under way (process ${holder.pid} on ${holder.host}, last seen ${holder.renewedAt})`, {
        hint: `wait for it; if it is surely dead, remove ${collection.description}/${LOCK}`,
      });
    }
    await collection.remove(LOCK);
  }
  throw new RealmliftError('BACKUP_RUNNING', 'backup', `another backup to ${collection.description} began at this moment`, { hint: 'wait for it' });
}

/** Who holds the lock; undefined when nobody does, or when its writer died before it was whole. */
async function holderOf(collection: BackupStore): Promise<Holder | undefined> {
  try {
    return JSON.parse((await readWhole(collection, LOCK)).toString('utf8')) as Holder;
  } catch (error) {
    if (error instanceof SyntaxError || (error as RealmliftError).code === 'PART_MISSING') return undefined;
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
